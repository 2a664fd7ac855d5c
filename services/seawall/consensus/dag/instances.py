"""Instances: places of updates in blocks, read once from a block's records.

An *instance* is one place (B, i) of an update in a block; indices count through all batches of
the block in stored order. Its key is (contributor, seq), its digest the update id. What is said
of some of a block's instances is a mask: bit i stands for instance i.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final, TypeAlias

from seawall.codec import RECORD_BYTES, record_count
from seawall.consensus.dag.stakes import StakeTable
from seawall.domain.block import Batch

Instance: TypeAlias = tuple[bytes, bytes, int, int]
"""Contributor, digest, sequence number, expires height."""

Votes: TypeAlias = Sequence[tuple[int, int]]
"""Votes on one block, or certificates of it: author bit, mask of the instances left out."""

_RECORD: Final = Struct(">32s32s35xQ4xQ12x")
_SIZE: Final = Struct(">119xQ4x")
assert _RECORD.size == _SIZE.size == RECORD_BYTES, "the layout of `seawall.codec.records`"

WORK_PAYLOAD_BYTES: Final = 32 << 10
"""So much payload is about as much work for the sites as one more update."""


def instances_in(batches: Sequence[Batch]) -> tuple[Instance, ...]:
    """Return all instances of a block's batches, in stored order."""
    if not batches:
        return ()
    return tuple([one for batch in batches for one in _RECORD.iter_unpack(batch.records_bytes)])


def work_in(batches: Sequence[Batch]) -> int:
    """Return how much work a block's batches are, in updates without payload."""
    work = 0
    for batch in batches:
        data = batch.records_bytes
        work += record_count(data)
        work += sum([size for (size,) in _SIZE.iter_unpack(data)]) // WORK_PAYLOAD_BYTES
    return work


def places(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set, ascending."""
    if mask & (mask + 1) == 0:
        yield from range(mask.bit_length())
        return
    while mask:
        lowest = mask & -mask
        mask ^= lowest
        yield lowest.bit_length() - 1


def mask_of(indices: Iterable[int], count: int) -> int:
    """Return the mask of ascending places; those from `count` on do not exist, and are ignored."""
    mask = 0
    for index in indices:
        if index >= count:
            break
        mask |= 1 << index
    return mask


def granted(stakes: StakeTable, votes: Votes, universe: int) -> int:
    """Return the instances that votes of stake Q do not leave out; an author counts once each."""
    clean = everyone = doubtful = 0
    for author_bit, left_out in votes:
        everyone |= author_bit
        if left_out:
            doubtful |= left_out
        else:
            clean |= author_bit
    if stakes.is_quorum(clean):
        return universe
    if not stakes.is_quorum(everyone):
        return 0
    found = universe & ~doubtful
    for index in places(doubtful):
        authors = 0
        for author_bit, left_out in votes:
            if not left_out >> index & 1:
                authors |= author_bit
        if stakes.is_quorum(authors):
            found |= 1 << index
    return found


def denied(stakes: StakeTable, votes: Votes) -> int:
    """Return the instances that votes of stake Q leave out."""
    doubtful = everyone = found = 0
    for author_bit, left_out in votes:
        if left_out:
            everyone |= author_bit
            doubtful |= left_out
    if not stakes.is_quorum(everyone):
        return 0
    for index in places(doubtful):
        authors = 0
        for author_bit, left_out in votes:
            if left_out >> index & 1:
                authors |= author_bit
        if stakes.is_quorum(authors):
            found |= 1 << index
    return found


def by_batch(batches: Sequence[Batch], mask: int) -> Iterator[tuple[Batch, int, tuple[int, ...]]]:
    """Yield the instances in a mask batch by batch: batch, first index, places within it."""
    first = 0
    for batch in batches:
        count = record_count(batch.records_bytes)
        within = mask >> first & ((1 << count) - 1)
        if within:
            yield batch, first, tuple(places(within))
        first += count
