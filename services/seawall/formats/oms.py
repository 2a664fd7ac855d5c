"""OpenSSF Model Signing manifest of one payload, cut into chunks of 1 MiB.

The chunk digests that stream verification needs are the shard digests of the manifest, so one pass
of SHA-256 serves both, and the stock verifier can repeat it. The subject digest is SHA-256 over the
shard digests one after another; it does not cover names, so payloads are never identified by it.

Source: OpenSSF Model Signing specification v1.0; in-toto Statement v1.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.crypto.hashing import sha256
from seawall.errors import LocalError, PeerError
from seawall.formats import intoto, jcs
from seawall.formats.intoto import Statement, Subject

PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
CHUNK_SIZE: Final = 2**20
"""Bytes in every chunk but the last, which holds 1 to 1 MiB."""

_ALGORITHM: Final = f"sha256-sharded-{CHUNK_SIZE}"
"""How the stock verifier calls a plain SHA-256 of one shard; it compares this name too."""

_SERIALIZATION: Final[dict[str, jcs.JsonValue]] = {
    "allow_symlinks": False,
    "hash_type": "sha256",
    "method": "shards",
    "shard_size": CHUNK_SIZE,
}
_RANGE: Final = re.compile(r"(0|[1-9][0-9]{0,15}):([1-9][0-9]{0,15})")


class Manifest(msgspec.Struct, frozen=True):
    """The chunks of one payload.

    Attributes:
        name: relative path of the payload.
        size: bytes in the payload, at least 1.
        chunk_digests: SHA-256 of each chunk in order, 32 bytes each.

    """

    name: str
    size: int
    chunk_digests: tuple[bytes, ...]


def chunk_count(size: int) -> int:
    """Return how many chunks a payload of so many bytes has."""
    return -(-size // CHUNK_SIZE)


def chunk_digests(data: bytes | memoryview) -> list[bytes]:
    """Return SHA-256 of each chunk of a payload, in order."""
    view = memoryview(data)
    return [sha256(view[at : at + CHUNK_SIZE]) for at in range(0, len(view), CHUNK_SIZE)]


def root_digest(digests: Sequence[bytes]) -> bytes:
    """Return the subject digest that stands for these chunks: SHA-256 of their concatenation."""
    return sha256(b"".join(digests))


def manifest(name: str, digests: Sequence[bytes], size: int) -> bytes:
    """Return the statement that lists the chunks of one payload, as canonical JSON.

    Args:
        name: relative path of the payload, without colon or backslash.
        digests: SHA-256 of each chunk in order.
        size: bytes in the payload, at least 1.

    Raises:
        LocalError: STMT_SHARDS when size and digests do not fit; STMT_NAME for the name.

    """
    if size < 1 or chunk_count(size) != len(digests):
        raise LocalError("STMT_SHARDS", "give one digest per chunk of 1 MiB", field="size")
    resources: list[jcs.JsonValue] = [
        {"algorithm": _ALGORITHM, "digest": digest.hex(), "name": shard}
        for shard, digest in zip(_shard_names(name, size), digests, strict=True)
    ]
    predicate: dict[str, jcs.JsonValue] = {
        "resources": resources,
        "serialization": _SERIALIZATION,
    }
    return intoto.encode(Statement(Subject(name, root_digest(digests)), PREDICATE_TYPE, predicate))


def parse_manifest(data: bytes, *, size_max: int) -> Manifest:
    """Return what a manifest says, after checking that its chunks cover the payload exactly.

    Args:
        data: the statement; `seawall.formats.intoto` says what JSON may look like.
        size_max: the most bytes of statement to read.

    Raises:
        PeerError: JSON_* and STMT_*; STMT_SHARDS for gaps, overlaps and wrong sizes.

    """
    statement = intoto.decode(data, size_max=size_max, predicate_type=PREDICATE_TYPE)
    predicate = intoto.members(
        statement.predicate, "predicate", required=("resources", "serialization")
    )
    _check_serialization(predicate["serialization"])
    name = statement.subject.name
    resources = predicate["resources"]
    if not isinstance(resources, list) or not resources:
        raise PeerError("STMT_SHARDS", "list at least one shard", field="predicate.resources")
    digests = []
    end = 0
    for at, resource in enumerate(resources):
        field = f"predicate.resources[{at}]"
        entry = intoto.members(resource, field, required=("algorithm", "digest", "name"))
        if entry["algorithm"] != _ALGORITHM:
            raise PeerError("STMT_DIGEST", f"use {_ALGORITHM}", field=f"{field}.algorithm")
        digests.append(intoto.hex_digest(entry["digest"], f"{field}.digest"))
        last = at == len(resources) - 1
        end = _shard_end(entry["name"], name, end, last=last, field=f"{field}.name")
    if root_digest(digests) != statement.subject.sha256:
        hint = "hash the concatenated shard digests"
        raise PeerError("STMT_ROOT", hint, field="subject[0].digest")
    return Manifest(name, end, tuple(digests))


def _shard_names(name: str, size: int) -> list[str]:
    """Return the resource name of each chunk: path, first byte, byte after the last."""
    return [
        f"{name}:{start}:{min(start + CHUNK_SIZE, size)}" for start in range(0, size, CHUNK_SIZE)
    ]


def _check_serialization(value: jcs.JsonValue) -> None:
    """Refuse any serialization but ours: 1 MiB shards, plain SHA-256, no symbolic links."""
    field = "predicate.serialization"
    serialization = intoto.members(
        value, field, required=tuple(_SERIALIZATION), optional=("ignore_paths",)
    )
    for name, expected in _SERIALIZATION.items():
        if type(serialization[name]) is not type(expected) or serialization[name] != expected:
            hint = "use shards of 1048576 bytes, sha256, and no symbolic links"
            raise PeerError("STMT_SERIALIZATION", hint, field=f"{field}.{name}")
    if serialization.get("ignore_paths", []) != []:
        hint = "ignore no paths"
        raise PeerError("STMT_SERIALIZATION", hint, field=f"{field}.ignore_paths")


def _shard_end(value: jcs.JsonValue, name: str, start: int, *, last: bool, field: str) -> int:
    """Return the byte after the shard, which must begin at `start` and be full unless last."""
    path, _, shard = intoto.text(value, field).partition(":")
    if path != name:
        raise PeerError("STMT_NAME", "name every shard after the subject", field=field)
    numbers = _RANGE.fullmatch(shard)
    if numbers is None:
        raise PeerError("STMT_SHARDS", "write `path:start:end`", field=field)
    first, end = int(numbers[1]), int(numbers[2])
    if first != start:
        raise PeerError("STMT_SHARDS", "leave no gap or overlap, in order", field=field)
    size = end - first
    if not 0 < size <= CHUNK_SIZE or (size < CHUNK_SIZE and not last):
        hint = "give every shard 1048576 bytes, the last one 1 to 1048576"
        raise PeerError("STMT_SHARDS", hint, field=field)
    return end
