"""Twins as they are kept beside a commit: 212 bytes each, first and second block in turn.

block: reference (42), signature (64)
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from seawall.codec.refs import REF
from seawall.crypto.signing import SIGNATURE_BYTES
from seawall.domain.block import Ref
from seawall.domain.commit import Twins
from seawall.errors import PeerError

_SIGNED: Final = Struct(f"{REF.format}{SIGNATURE_BYTES}s")
_PAIR_BYTES: Final = 2 * _SIGNED.size


def encode_twins(twins: Iterable[Twins]) -> bytes:
    """Return the canonical bytes of twins."""
    return b"".join(
        [
            _SIGNED.pack(ref.round, ref.author, ref.digest, signature)
            for one in twins
            for ref, signature in (
                (one.first, one.first_signature),
                (one.second, one.second_signature),
            )
        ]
    )


def decode_twins(data: bytes) -> tuple[Twins, ...]:
    """Return the twins in these bytes.

    Raises PeerError:
        TWINS_TRUNCATED: the bytes end within a pair.
        TWINS_SLOT: a pair of two slots, or of one block.
    """
    if len(data) % _PAIR_BYTES:
        hint = f"each pair has {_PAIR_BYTES} bytes"
        raise PeerError("TWINS_TRUNCATED", hint, offset=len(data))
    signed = _SIGNED.iter_unpack(data)
    return tuple(
        [
            check_twins(Twins(Ref(*first), first_signature, Ref(*second), second_signature))
            for (*first, first_signature), (*second, second_signature) in zip(
                signed, signed, strict=True
            )
        ]
    )


def check_twins(twins: Twins) -> Twins:
    """Return the pair; raises PeerError `TWINS_SLOT` unless it is of one slot and differs."""
    if twins.first.slot != twins.second.slot or twins.first.digest == twins.second.digest:
        raise PeerError("TWINS_SLOT", "twins are two blocks of one slot", field="twins")
    return twins
