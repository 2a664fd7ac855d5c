"""What a contributor must not forget over restarts: used sequence numbers, the newest checkpoint.

A number that is used twice is an equivocation, so numbers are reserved on disk before they are
used, many at a time; a crash loses the reserved ones, which is harmless while fewer than the
chain's window are lost between two accepted updates. A client that forgets the newest checkpoint
could be shown an old log.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from seawall.errors import LocalError, OperationalError, PeerError
from seawall.formats.checkpoint import Checkpoint
from seawall.runtime.locks import write_durably

RESERVED_NUMBERS: Final = 32
"""Sequence numbers that one write to the disk reserves."""

STATE_BYTES_MAX: Final = 4096


class _State(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The file's JSON; `seq` is the first number that was never reserved."""

    origin: str
    contributor: str
    seq: int
    checkpoint_size: int
    checkpoint_root: str


def start_state(path: Path, *, origin: str, contributor: bytes, seq: int) -> None:
    """Write a new state file: `seq` is the first number that was never used.

    For whoever has lost the file of a key, and knows from the log which numbers it has used.
    """
    state = _State(origin, contributor.hex(), seq, 0, "")
    write_durably(path, msgspec.json.encode(state) + b"\n")


class Memory:
    """Sequence numbers and the newest checkpoint of one key on one chain; safe in threads."""

    def __init__(self, path: Path | None, *, origin: str, contributor: bytes) -> None:
        """Open the state file, or start one; without a path nothing outlives the process.

        Raises:
            LocalError: CLIENT_STATE for a file of another key or chain, or no state file at all;
                CLIENT_STATE_LOCKED when another process uses it.
            OperationalError: CLIENT_STATE_READ.

        """
        self._path = path
        self._guard = Lock()
        self._state = _State(origin, contributor.hex(), 1, 0, "")
        self._next = self._state.seq
        self._lock = None if path is None else _lock(path)
        try:
            if path is not None and path.exists():
                self._state = _read(path, self._state)
        except BaseException:
            self.close()
            raise
        self._next = self._state.seq

    def next_seq(self) -> int:
        """Return a sequence number that was never returned before.

        Raises:
            OperationalError: CLIENT_STATE_WRITE.

        """
        with self._guard:
            if self._next >= self._state.seq:
                self._write(msgspec.structs.replace(self._state, seq=self._next + RESERVED_NUMBERS))
            self._next += 1
            return self._next - 1

    def accept(self, checkpoint: Checkpoint) -> None:
        """Remember a verified checkpoint.

        Raises:
            PeerError: CLIENT_ROLLBACK when it is smaller than one seen before; LOG_FORK when it
                is another tree of the same size: keep both notes, they are evidence.

        """
        with self._guard:
            state = self._state
            if checkpoint.size < state.checkpoint_size:
                hint = f"this client has seen a log of {state.checkpoint_size} entries"
                raise PeerError("CLIENT_ROLLBACK", hint, field="checkpoint")
            if checkpoint.size == state.checkpoint_size:
                if checkpoint.root.hex() != state.checkpoint_root and state.checkpoint_root:
                    hint = "quorum stake signed two trees of one size: stop and tell everybody"
                    raise PeerError("LOG_FORK", hint, field="checkpoint")
                return
            size, root = checkpoint.size, checkpoint.root.hex()
            self._write(msgspec.structs.replace(state, checkpoint_size=size, checkpoint_root=root))

    def close(self) -> None:
        """Give back the numbers that were reserved and not used, and unlock."""
        with self._guard:
            if self._lock is None:
                return
            with suppress(OperationalError):
                if self._state.seq != self._next:
                    self._write(msgspec.structs.replace(self._state, seq=self._next))
            os.close(self._lock)
            self._lock = None

    def _write(self, state: _State) -> None:
        """Take a state over once it is durable."""
        if self._path is not None:
            try:
                write_durably(self._path, msgspec.json.encode(state) + b"\n")
            except OSError as fault:
                hint = f"cannot write {self._path}: {fault.strerror}"
                raise OperationalError("CLIENT_STATE_WRITE", hint) from fault
        self._state = state


def _lock(path: Path) -> int:
    place = path.with_name(path.name + ".lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        hint = f"cannot write {place}: {fault.strerror}"
        raise OperationalError("CLIENT_STATE_READ", hint) from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        os.close(descriptor)
        hint = f"another client uses {path}: two at once would use a number twice"
        raise LocalError("CLIENT_STATE_LOCKED", hint) from fault
    return descriptor


def _read(path: Path, expected: _State) -> _State:
    try:
        with path.open("rb") as file:
            data = file.read(STATE_BYTES_MAX)
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("CLIENT_STATE_READ", hint) from fault
    try:
        state = msgspec.json.decode(data, type=_State)
    except msgspec.MsgspecError as fault:
        raise LocalError("CLIENT_STATE", f"{path} is no state file of a client") from fault
    if (state.origin, state.contributor) != (expected.origin, expected.contributor):
        hint = f"{path} belongs to another key or chain: choose another state file"
        raise LocalError("CLIENT_STATE", hint)
    return state
