"""Twins as they are kept beside a commit: 212 bytes each, first and second block in turn.

block: reference (42), signature (64)
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from seawall.domain.block import Ref
from seawall.domain.commit import Twins
from seawall.errors import PeerError

_TWINS: Final = Struct(">QH32s64sQH32s64s")


def encode_twins(twins: Iterable[Twins]) -> bytes:
    """Return the canonical bytes of twins."""
    return b"".join(
        [
            _TWINS.pack(
                one.first.round,
                one.first.author,
                one.first.digest,
                one.first_signature,
                one.second.round,
                one.second.author,
                one.second.digest,
                one.second_signature,
            )
            for one in twins
        ]
    )


def decode_twins(data: bytes) -> tuple[Twins, ...]:
    """Return the twins in these bytes.

    Raises PeerError:
        TWINS_TRUNCATED: the bytes end within a pair.
        TWINS_SLOT: a pair of two slots, or of one block.
    """
    if len(data) % _TWINS.size:
        hint = f"each pair has {_TWINS.size} bytes"
        raise PeerError("TWINS_TRUNCATED", hint, offset=len(data))
    return tuple(
        [
            check_twins(Twins(Ref(*fields[:3]), fields[3], Ref(*fields[4:7]), fields[7]))
            for fields in _TWINS.iter_unpack(data)
        ]
    )


def check_twins(twins: Twins) -> Twins:
    """Return the pair; raises PeerError `TWINS_SLOT` unless it is of one slot and differs."""
    if twins.first.slot != twins.second.slot or twins.first.digest == twins.second.digest:
        raise PeerError("TWINS_SLOT", "twins are two blocks of one slot", field="twins")
    return twins
