"""What this site votes for: one digest per key, and never another one, across restarts.

An accept takes a lock on its key that only the own finaliser's ACCEPT drops. So an honest owner
may have the same bytes tried again, and of two updates signed under one number sites of stake Q
accept at most one. Votes are cast by own blocks: what a block does not list it accepts.

Source: docs/protocol.md, section 6; Baudet et al., "FastPay", arXiv 2003.11506.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from seawall.consensus.dag.finaliser import Finaliser
from seawall.consensus.dag.instances import places
from seawall.consensus.dag.owners import drop_below
from seawall.consensus.dag.store import Vertex
from seawall.domain.block import RejectSet

_TARGET_BYTES: Final = 44
_INDEX_BYTES: Final = 4

Taken: TypeAlias = dict[tuple[bytes, int], bytes]
"""Digests by key."""


def rejects_size(rejects: Iterable[RejectSet]) -> int:
    """Return how many bytes of a block these rejects take."""
    return sum([_TARGET_BYTES + _INDEX_BYTES * len(reject.indices) for reject in rejects])


class LockState(msgspec.Struct, frozen=True, array_like=True):
    """The locks on one owner's keys, as a journal's base keeps them."""

    contributor: bytes
    digests: dict[int, bytes]


class Locks:
    """The digests that this site has accepted, by owner and number."""

    def __init__(self, finaliser: Finaliser, rejects_bytes_max: int) -> None:
        """Begin an epoch without locks; `finaliser` says which keys are shut.

        With more than `rejects_bytes_max` to say in one block a site abstains.
        """
        self._finaliser = finaliser
        self._rejects_bytes_max = rejects_bytes_max
        self._digests: dict[bytes, dict[int, bytes]] = {}
        self._floors: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Return the number of locks."""
        return sum([len(one) for one in self._digests.values()])

    def vote(
        self, carriers: Sequence[Vertex], cutoff: int, commit_index: int
    ) -> tuple[tuple[RejectSet, ...], int]:
        """Take locks for what this site accepts; return what it rejects, and the vote cutoff.

        `carriers` are in the order of reference. When the rejects do not fit into a block the
        cutoff rises above the oldest of them: it is fixed before any lock is taken.
        """
        rejects: list[RejectSet] = []
        taken: Taken = {}
        size = 0
        for vertex in carriers:
            if vertex.round <= cutoff:
                continue
            indices = self._refused(vertex, taken, commit_index)
            if not indices:
                continue
            rejects.append(RejectSet(vertex.ref, indices))
            size += rejects_size(rejects[-1:])
            if size > self._rejects_bytes_max:
                return self.vote(carriers, rejects[0].target.round, commit_index)
        self._take(taken)
        return tuple(rejects), cutoff

    def _refused(self, vertex: Vertex, taken: Taken, commit_index: int) -> tuple[int, ...]:
        """Return the instances of a block that this site refuses; note the others as taken."""
        refused: list[int] = []
        locks, is_shut = self._digests, self._finaliser.is_shut
        for index, (contributor, digest, seq, expires_height) in enumerate(vertex.instances):
            key = (contributor, seq)
            held = taken.get(key)
            if held is None:
                held = locks.get(contributor, {}).get(seq)
            is_other = held is not None and held != digest
            if is_other or expires_height <= commit_index or is_shut(contributor, seq):
                refused.append(index)
            else:
                taken[key] = digest
        return tuple(refused)

    def _take(self, taken: Taken) -> None:
        for (contributor, seq), digest in taken.items():
            self._digests.setdefault(contributor, {})[seq] = digest

    def vote_again(self, carriers: Iterable[Vertex], own: Vertex) -> None:
        """Take the locks that an own block of the journal took when it was made."""
        for vertex in carriers:
            universe = (1 << len(vertex.instances)) - 1
            accepted = universe & ~own.rejected(vertex)
            for index in places(accepted):
                contributor, digest, seq, _ = vertex.instances[index]
                if not self._finaliser.is_shut(contributor, seq):
                    self._digests.setdefault(contributor, {})[seq] = digest

    def drop(self, keys: Iterable[tuple[bytes, int]]) -> None:
        """Drop the locks on keys that have been accepted, and on those out of their window."""
        for contributor, seq in keys:
            held = self._digests.get(contributor)
            if held is None:
                continue
            held.pop(seq, None)
            floor = self._finaliser.owners[contributor].floor
            before = self._floors.get(contributor, 0)
            if floor > before:
                drop_below(held, before, floor)
                self._floors[contributor] = floor

    def snapshot(self) -> tuple[LockState, ...]:
        """Return all locks."""
        return tuple([LockState(name, dict(one)) for name, one in self._digests.items() if one])

    def restore(self, states: Iterable[LockState]) -> None:
        """Go on with these locks only."""
        self._digests = {one.contributor: dict(one.digests) for one in states}
