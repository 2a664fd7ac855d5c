"""References to blocks, 42 bytes each: round, author, digest."""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from seawall.domain.block import Ref

REF: Final = Struct(">QH32s")


def encode_refs(refs: Iterable[Ref]) -> bytes:
    """Return the references one after the other."""
    return b"".join([REF.pack(ref.round, ref.author, ref.digest) for ref in refs])


def decode_refs(data: bytes) -> tuple[Ref, ...]:
    """Return the references in these bytes, which are a multiple of 42 long."""
    return tuple([Ref(*fields) for fields in REF.iter_unpack(data)])
