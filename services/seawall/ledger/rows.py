"""Keys and values of the ledger's tables.

Integers in keys are big-endian, so that byte order is numeric order. Rows that are hashed into the
state root are MessagePack arrays written by one encoder, hence equal at every site.
"""

from struct import Struct
from typing import Final

import msgspec

U64: Final = Struct(">Q")
_NODE_KEY: Final = Struct(">BQ")
_SEQ_KEY: Final = Struct(">IQ")
_SEQ: Final = Struct(">QQB")
_ACCEPTED: Final = Struct(">BQQQ")
_REFUSED: Final = Struct(">BQ")
_VERSION_KEY: Final = Struct(">HQ")
_REFUSED_KEY: Final = Struct(">QI")

_STATUS_ACCEPTED: Final = 1
_STATUS_REFUSED: Final = 2

GENESIS_KEY: Final = b"genesis"
CERTIFICATE_KEY: Final = b"certificate"

_encode: Final = msgspec.msgpack.Encoder().encode


def key_of(number: int) -> bytes:
    """Return the key of an entry, commit or tree size, 8 bytes."""
    return U64.pack(number)


def number_of(key: bytes) -> int:
    """Return the number that `key_of` made a key of."""
    number: int = U64.unpack(key)[0]
    return number


def node_key(level: int, index: int) -> bytes:
    """Return the key of a node of the tree, 9 bytes."""
    return _NODE_KEY.pack(level, index)


def seq_key(contributor: int, seq: int) -> bytes:
    """Return the key of a contributor's sequence number, 12 bytes."""
    return _SEQ_KEY.pack(contributor, seq)


def payload_key(contributor: int, payload_digest: bytes) -> bytes:
    """Return the key of a contributor's payload, 36 bytes."""
    return contributor.to_bytes(4, "big") + payload_digest


def version_key(task: int, version: int) -> bytes:
    """Return the key of a task's version, 10 bytes."""
    return _VERSION_KEY.pack(task, version)


def refused_key(commit: int, position: int) -> bytes:
    """Return the key of the refusal at a position in a commit, 12 bytes."""
    return _REFUSED_KEY.pack(commit, position)


class CommitRow(msgspec.Struct, frozen=True, array_like=True):
    """What a commit led to.

    `tree_size` and `root` are those after it, `state_root` is the digest of the state after it;
    `updates` counts all updates accepted so far; `finality_digest` is that of the finaliser's
    state after it, 32 bytes, or empty before there was anything to judge.
    """

    digest: bytes
    tree_size: int
    root: bytes
    clock_ms: int
    state_root: bytes
    updates: int
    finality_digest: bytes


class CertificateRow(msgspec.Struct, frozen=True, array_like=True):
    """The newest certified checkpoint; cosignatures as (author, blob), ascending by author."""

    index: int
    tree_size: int
    root: bytes
    cosignatures: tuple[tuple[int, bytes], ...]


class Accepted(msgspec.Struct, frozen=True):
    """An accepted update: its entry, its commit, and the entry of the cut that decided on it.

    `cut_entry` is None while the update is pending.
    """

    entry: int
    commit: int
    cut_entry: int | None


class Refused(msgspec.Struct, frozen=True):
    """An update that was delivered and not accepted, with the code that says why."""

    commit: int
    code: str


class SeqRow(msgspec.Struct, frozen=True):
    """An accepted sequence number; `reported` once a conflict for it is in the log."""

    commit: int
    entry: int
    reported: bool


class Rejection(msgspec.Struct, frozen=True, array_like=True):
    """A number (`seq_key`) under which no update was accepted, and the first that was rejected.

    `reported` once a second one under it is in the log as evidence.
    """

    key: bytes
    update_id: bytes
    reported: bool


class ContributorRow(msgspec.Struct, frozen=True, array_like=True):
    """What may change about a contributor.

    Bit i of `accepted` (big-endian) says that seq `highest` - i was accepted; `included` is, by
    task, the last version whose cut included the contributor, -1 for never.
    """

    highest: int
    accepted: bytes
    included: tuple[int, ...]


class RootUpdate(msgspec.Struct, frozen=True, array_like=True):
    """The first root update for the head."""

    entry: int
    update_id: bytes


class Tally(msgspec.Struct, array_like=True):
    """Votes for one version: (site, payload digest, payload size), in the order of arrival.

    `usable` is the payload that reached V first; `final` says that it has Q; `forked` that a
    second one reached V; `conflicting` are the sites whose second vote is in the log.
    """

    version: int
    cut_entry: int
    votes: list[tuple[int, bytes, int]]
    usable: bytes | None = None
    final: bool = False
    forked: bool = False
    conflicting: list[int] = []


class TaskRow(msgspec.Struct, array_like=True):
    """What changes about a task.

    `head` is the highest usable version with its payload; `cut_version` the version of the last
    cut, which is `head` or one more; `cut_clock_ms` the ledger clock of that cut, or of the first
    commit that has one; `tallies` those of recent versions, ascending.
    """

    head: int
    head_payload: bytes
    cut_version: int
    cut_clock_ms: int
    root_update: RootUpdate | None
    tallies: list[Tally]


class VersionRow(msgspec.Struct, frozen=True, array_like=True):
    """A version that is usable: since which commit, and the entries that say so."""

    payload: bytes
    payload_size_bytes: int
    cut_entry: int
    usable_commit: int
    usable_entry: int
    final_entry: int | None


_decode_commit: Final = msgspec.msgpack.Decoder(CommitRow).decode
_decode_certificate: Final = msgspec.msgpack.Decoder(CertificateRow).decode
_decode_rejection: Final = msgspec.msgpack.Decoder(Rejection).decode
_decode_contributor: Final = msgspec.msgpack.Decoder(ContributorRow).decode
_decode_task: Final = msgspec.msgpack.Decoder(TaskRow).decode
_decode_version: Final = msgspec.msgpack.Decoder(VersionRow).decode


def encode(
    row: CommitRow | CertificateRow | Rejection | ContributorRow | TaskRow | VersionRow,
) -> bytes:
    """Return the bytes of a row."""
    return _encode(row)


def decode_commit(data: bytes) -> CommitRow:
    """Return the row of a commit."""
    return _decode_commit(data)


def decode_certificate(data: bytes) -> CertificateRow:
    """Return the newest certificate."""
    return _decode_certificate(data)


def decode_rejection(data: bytes) -> Rejection:
    """Return a rejected number."""
    return _decode_rejection(data)


def decode_contributor(data: bytes) -> ContributorRow:
    """Return the row of a contributor."""
    return _decode_contributor(data)


def decode_task(data: bytes) -> TaskRow:
    """Return the row of a task."""
    return _decode_task(data)


def decode_version(data: bytes) -> VersionRow:
    """Return the row of a version."""
    return _decode_version(data)


def encode_accepted(entry: int, commit: int, cut_entry: int = 0) -> bytes:
    """Return the bytes of an `Accepted`; a `cut_entry` of 0 means that none decided yet."""
    # No cut has entry 0: the log begins with its genesis entries.
    return _ACCEPTED.pack(_STATUS_ACCEPTED, entry, commit, cut_entry)


def encode_refused(row: Refused) -> bytes:
    """Return the bytes of a refused update's outcome."""
    return _REFUSED.pack(_STATUS_REFUSED, row.commit) + row.code.encode()


def decode_outcome(data: bytes) -> Accepted | Refused:
    """Return the outcome of an update."""
    if data[0] == _STATUS_REFUSED:
        _, commit = _REFUSED.unpack_from(data)
        return Refused(commit, data[_REFUSED.size :].decode())
    _, entry, commit, cut = _ACCEPTED.unpack(data)
    return Accepted(entry, commit, cut or None)


def encode_seq(commit: int, entry: int, *, reported: bool) -> bytes:
    """Return the bytes of a `SeqRow`."""
    return _SEQ.pack(commit, entry, reported)


def decode_seq(data: bytes) -> SeqRow:
    """Return an accepted sequence number."""
    commit, entry, reported = _SEQ.unpack(data)
    return SeqRow(commit, entry, bool(reported))


def parse_seq_key(key: bytes) -> tuple[int, int]:
    """Return contributor index and sequence number of a key that `seq_key` made."""
    contributor, seq = _SEQ_KEY.unpack(key)
    return contributor, seq
