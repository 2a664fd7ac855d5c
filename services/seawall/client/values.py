"""What a client gets and gives: stages, heads, bases, signed updates, events."""

from enum import IntEnum
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from seawall.errors import LocalError, PeerError
from seawall.formats.fxp24 import Integers

Reals: TypeAlias = npt.NDArray[np.float32]


class Stage(IntEnum):
    """Where an update stands; stages only advance, and REFUSED ends the list."""

    SENT = 0
    RECEIVED = 1
    ATTESTED = 2
    FINAL = 3
    COMMITTED = 4
    AGGREGATED = 5
    REFUSED = 6


STAGES: Final = ("received", "attested", "final", "committed", "aggregated")
"""Stages that a caller can wait for."""


def stage_of(name: str) -> Stage:
    """Return the stage of this name.

    Raises:
        LocalError: CLIENT_STAGE.

    """
    if name not in STAGES:
        raise LocalError("CLIENT_STAGE", f"wait for one of {', '.join(STAGES)}", field="stage")
    return Stage[name.upper()]


class SeenCheckpoint(msgspec.Struct, frozen=True):
    """A verified checkpoint: the note that quorum stake signed, and what it says.

    Attributes:
        size: entries in the log.
        root: RFC 6962 root, 32 bytes.
        note: the signed note as it was published; empty before the first checkpoint.
        height: commit index that the site says it covers.

    """

    size: int
    root: bytes
    note: str
    height: int


class Head(msgspec.Struct, frozen=True):
    """The newest usable version of a task, proven by the log.

    Attributes:
        task: name of the task.
        version: number; 0 is the base model of genesis.
        digest: SHA-256 of its payload, 32 bytes.
        size_bytes: length of its payload.
        commit_index: commit at which it became usable.
        final: whether votes of quorum stake agree on it.
        checkpoint: the checkpoint that proves it.

    """

    task: str
    version: int
    digest: bytes
    size_bytes: int
    commit_index: int
    final: bool
    checkpoint: SeenCheckpoint


class Base(msgspec.Struct, frozen=True, eq=False):
    """A model version to train from.

    Attributes:
        head: what the log says of it.
        ints: parameters in grid units, int32 of shape (d,), read-only.
        arrays: the same as float32 tensors by name, exactly.

    """

    head: Head
    ints: Integers
    arrays: dict[str, Reals]

    @property
    def version(self) -> int:
        """Return the version's number."""
        return self.head.version

    @property
    def digest(self) -> bytes:
        """Return SHA-256 of the version's payload, 32 bytes."""
        return self.head.digest

    @property
    def checkpoint(self) -> SeenCheckpoint:
        """Return the checkpoint that proves it."""
        return self.head.checkpoint


class Prepared(msgspec.Struct, frozen=True):
    """A signed update, ready to be sent any number of times to any site: same bytes, same update.

    Attributes:
        update_id: SHA-256 of the signed submission, 32 bytes.
        seq: the contributor's number of it.
        envelope: DSSE envelope in JSON.
        manifest: chunk list; empty for a payload of one chunk.
        provenance: SLSA statement; empty when there is none.
        payload: the safetensors file.

    """

    update_id: bytes
    seq: int
    envelope: bytes
    manifest: bytes
    provenance: bytes
    payload: bytes

    def dump(self) -> bytes:
        """Return these bytes in one piece, to keep them over a restart; see `load`."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def load(cls, data: bytes) -> "Prepared":
        """Return what `dump` gave.

        Raises:
            LocalError: CLIENT_PREPARED.

        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except msgspec.MsgspecError as fault:
            raise LocalError("CLIENT_PREPARED", "give the bytes that dump() returned") from fault


class Event(msgspec.Struct, frozen=True):
    """One step in the life of an update.

    Attributes:
        update_id: the update, 32 bytes.
        stage: what it reached.
        site: index of the site that says so.
        refusal: why, when REFUSED; why the rule gave it no weight, when AGGREGATED.
        entry_index: its entry in the log, from COMMITTED on.
        version: the version it went into or was filtered from, when AGGREGATED.

    """

    update_id: bytes
    stage: Stage
    site: int
    refusal: PeerError | None = None
    entry_index: int | None = None
    version: int | None = None
