"""The checks of a site in the order in which they run, with every code that they answer."""

from typing import Final

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One check: its stable name, who runs it, and its codes; `AREA_*` stands for a whole area."""

    name: str
    stage: str
    codes: tuple[str, ...]


CHECKS: Final = (
    Check("size", "ingestion", ("TOO_LARGE", "QUOTA_*")),
    Check("envelope", "ingestion", ("JSON_*", "DSSE_*")),
    Check("key", "ingestion", ("KEY_UNKNOWN",)),
    Check("signature", "ingestion", ("DSSE_TYPE_UNSUPPORTED", "DSSE_KEYID", "DSSE_SIGNATURE")),
    Check("schema", "ingestion", ("JSON_*", "SUB_*")),
    Check("owner", "ingestion", ("KEY_MISMATCH", "KEY_ROLE")),
    Check("context", "ingestion", ("REPLAY_ORIGIN", "REPLAY_TASK", "TOO_LARGE", "VAL_MANIFEST")),
    Check("statements", "ingestion", ("STMT_*",)),
    Check("conflict", "ingestion", ("REPLAY_SEQ", "REPLAY_PAYLOAD")),
    Check(
        "state",
        "state",
        (
            "KEY_UNKNOWN",
            "KEY_ROLE",
            "REPLAY_TASK",
            "REPLAY_SEQ",
            "REPLAY_PAYLOAD",
            "REPLAY_BASE",
            "REPLAY_EXPIRED",
            "REPLAY_EXPIRY_AHEAD",
            "REPLAY_CHECKPOINT",
        ),
    ),
    Check("chunks", "ingestion", ("CHUNK_ORDER", "CHUNK_LENGTH", "CHUNK_HASH", "INCOMPLETE")),
    Check("length", "ingestion", ("LENGTH",)),
    Check("header", "ingestion", ("ST_*", "VAL_NAMES", "VAL_DTYPE", "VAL_SHAPE", "VAL_MANIFEST")),
    Check("values", "ingestion", ("VAL_RANGE", "VAL_ZERO")),
    Check("again", "integrity", ("JSON_*", "DSSE_*", "KEY_*", "SUB_*", "STMT_*", "REPLAY_*")),
    Check("bytes", "integrity", ("LENGTH", "CHUNK_*", "INCOMPLETE", "ST_*", "VAL_*")),
)
"""Ingestion runs the first ones when an update arrives, integrity all of them before it signs."""
