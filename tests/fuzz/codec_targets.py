"""Fuzz targets: canonical bytes of blocks, records, commits and journals."""

from struct import Struct
from typing import Final

from seawall.codec import (
    decode_block,
    decode_commit_summary,
    decode_records,
    encode_block,
    encode_commit_summary,
    encode_records,
)
from seawall.codec.block import BLOCK_BYTES_MAX
from seawall.consensus.dag import records as journal
from seawall.consensus.engine import Record
from seawall.consensus.engines import ENGINES
from seawall.domain.parameters import ConsensusParameters
from tests.fuzz.properties import attempt, canonical
from tests.unit.consensus.cluster import make_committee, make_identity

_HEAD: Final = Struct(">BH")
_PARAMETERS: Final = ConsensusParameters(gc_depth=8)
_COMMITTEE: Final = make_committee()


def block(data: bytes) -> None:
    """Decode a block; what decodes is no larger than its bytes, and encodes to them."""
    signed = attempt(decode_block, data)
    if signed is not None:
        assert encode_block(signed.block) + signed.signature == data
        assert signed.raw == data
        assert len(data) <= BLOCK_BYTES_MAX


records = canonical(decode_records, encode_records)
commit_summary = canonical(decode_commit_summary, encode_commit_summary)


def journal_block(data: bytes) -> None:
    """Read a block's record; the mask of valid votes comes back but for bits without a vote."""
    found = attempt(journal.read_block, data)
    if found is not None:
        again = journal.block_record(found)
        assert journal.read_block(again.data) == found


def journal_base(data: bytes) -> None:
    """Read the record that begins a base."""
    found = attempt(journal.read_base, data)
    if found is not None:
        assert journal.base_record(found).data == data


def journal_floor(data: bytes) -> None:
    """Read the record of a lost disk."""
    found = attempt(journal.read_floor, data)
    if found is not None:
        assert journal.floor_record(found).data == data


def journal_records(data: bytes) -> list[Record]:
    """Return the records in these bytes: kind (1), length (2), data; what is left over is lost."""
    found = []
    offset = 0
    while offset + _HEAD.size <= len(data):
        kind, size = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        found.append(Record(kind, data[offset : offset + size]))
        offset += size
    return found


def join_records(records: list[Record]) -> bytes:
    """Return the bytes that `journal_records` reads; records of 64 KiB and more are left out."""
    short = [record for record in records if len(record.data) < 1 << 16]
    return b"".join([_HEAD.pack(one.kind, len(one.data)) + one.data for one in short])


def recovery(data: bytes) -> None:
    """Start an engine from a journal; it starts, or says that the journal is corrupt."""

    def start(raw: bytes) -> object:
        return ENGINES["sync"](
            identity=make_identity(0),
            committee=_COMMITTEE,
            parameters=_PARAMETERS,
            recovered=journal_records(raw),
        )

    attempt(start, data)
