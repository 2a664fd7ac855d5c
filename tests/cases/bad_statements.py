"""Bad statements beside an update: provenance and chunk manifest."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.crypto.hashing import sha256
from seawall.crypto.signing import key_id
from seawall.formats import jcs, oms
from seawall.formats.intoto import Subject
from seawall.formats.slsa import Provenance, provenance
from tests.cases.authors import SMALL, WIDE, Author, Signed, manifest_of
from tests.cases.case import Case

MIB: Final = oms.CHUNK_SIZE


def statement_cases() -> Iterator[Case]:
    """Yield every row."""
    yield from _statements()
    yield from _manifest_names()
    yield from _manifest_shards()
    yield from _manifest_digests()
    yield from _manifests()


Change = Callable[[dict[str, Any]], object]


def _with_provenance(
    change: Change, *, task: str = SMALL.name, sent: Callable[[bytes], bytes] = bytes
) -> Callable[[Author], Signed]:
    """Return a maker of updates whose provenance is changed, signed for, then sent."""

    def make(author: Author) -> Signed:
        payload = author.payload()
        claim = Provenance(
            subject=Subject("update.safetensors", sha256(payload)),
            builder=key_id(author.key.public),
            task=task,
            base_version=0,
            base_digest=SMALL.base_payload_digest,
        )
        document = json.loads(provenance(claim))
        change(document)
        statement = jcs.canonical(document)
        envelope = author.seal(author.claim(payload, provenance_digest=sha256(statement)))
        return Signed(envelope=envelope, provenance=sent(statement), payload=payload)

    return make


def _nothing(document: dict[str, Any]) -> None:
    """Leave a document as it is."""


def _statements() -> Iterator[Case]:
    def unbound(author: Author) -> Signed:
        update = author.update()
        return Signed(envelope=update.envelope, provenance=b"{}", payload=update.payload)

    def row(name: str, code: str, field: str, make: Callable[[Author], Signed]) -> Case:
        return Case(name=f"provenance: {name}", make=make, code=code, field=f"provenance{field}")

    yield row("not named by the submission", "STMT_UNBOUND", "", unbound)
    other = _with_provenance(_nothing, sent=lambda data: data + b" ")
    yield row("other bytes", "STMT_DIGEST", "", other)
    yield row("left out", "STMT_DIGEST", "", _with_provenance(_nothing, sent=lambda _: b""))
    yield row("of another task", "STMT_MISMATCH", "", _with_provenance(_nothing, task="wide"))
    yield row("no type", "STMT_FIELD", "._type", _with_provenance(lambda d: d.pop("_type")))
    twice = _with_provenance(lambda d: d["subject"].append(d["subject"][0]))
    yield row("two subjects", "STMT_SUBJECT", ".subject", twice)
    place = ".predicate.buildDefinition.buildType"
    build = _with_provenance(
        lambda d: d["predicate"]["buildDefinition"].update(buildType="urn:other")
    )
    yield row("other build type", "STMT_PROVENANCE", place, build)


def _spoilt(name: str, code: str, field: str, change: Change) -> Case:
    """Return the case of a manifest that is changed, then signed for."""

    def make(author: Author) -> Signed:
        payload = author.payload(WIDE)
        document = json.loads(manifest_of(payload))
        change(document)
        statement = json.dumps(document).encode()
        claim = author.claim(payload, WIDE, manifest_digest=sha256(statement))
        return Signed(envelope=author.seal(claim), manifest=statement, payload=payload)

    return Case(name=f"manifest: {name}", make=make, code=code, field=f"manifest.{field}")


def _subject(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = document["subject"][0]
    return entry


def _shard(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = document["predicate"]["resources"][1]
    return entry


def _manifest_names() -> Iterator[Case]:
    for what, name in (
        ("absolute path", "/update"),
        ("path upwards", "a/../b"),
        ("NUL", "a\x00b"),
        ("backslash", "a\\b"),
        ("right-to-left override", "a\u202eb"),
        ("not NFC", "e\u0301"),
    ):
        yield _spoilt(
            what,
            "STMT_NAME",
            "subject[0].name",
            lambda d, name=name: _subject(d).update(name=name),  # type: ignore[misc]  # bound early
        )


def _manifest_shards() -> Iterator[Case]:
    for what, code, name in (
        ("shard of another file", "STMT_NAME", f"other:{MIB}:{2 * MIB}"),
        ("gap", "STMT_SHARDS", f"update.safetensors:{MIB + 1}:{2 * MIB}"),
        ("overlap", "STMT_SHARDS", f"update.safetensors:{MIB - 1}:{2 * MIB}"),
        ("short shard inside", "STMT_SHARDS", f"update.safetensors:{MIB}:{2 * MIB - 1}"),
    ):
        yield _spoilt(
            what,
            code,
            "predicate.resources[1].name",
            lambda d, name=name: _shard(d).update(name=name),  # type: ignore[misc]  # bound early
        )
    yield _spoilt(
        "no shards",
        "STMT_SHARDS",
        "predicate.resources",
        lambda d: d["predicate"].update(resources=[]),
    )
    for member, value in (("shard_size", 0), ("allow_symlinks", True)):
        yield _spoilt(
            f"{member} {value}",
            "STMT_SERIALIZATION",
            f"predicate.serialization.{member}",
            lambda d, member=member, value=value: d["predicate"]["serialization"].update(  # type: ignore[misc]  # bound early
                {member: value}
            ),
        )


def _manifest_digests() -> Iterator[Case]:
    place = "subject[0].digest"
    yield _spoilt(
        "weak digest",
        "STMT_DIGEST",
        place,
        lambda d: _subject(d).update(digest={"sha1": "ab"}),
    )
    yield _spoilt(
        "two digests",
        "STMT_DIGEST",
        place,
        lambda d: _subject(d)["digest"].update(sha512="ab"),
    )
    yield _spoilt(
        "root digest", "STMT_ROOT", place, lambda d: _subject(d)["digest"].update(sha256="ab" * 32)
    )
    yield _spoilt(
        "upper-case digest",
        "STMT_DIGEST",
        "predicate.resources[1].digest",
        lambda d: _shard(d).update(digest="AB" * 32),
    )


def _manifests() -> Iterator[Case]:
    def other_bytes(author: Author) -> Signed:
        update = author.update(WIDE)
        return Signed(envelope=update.envelope, manifest=update.manifest + b" ")

    def short(author: Author) -> Signed:
        payload = author.payload(WIDE)
        manifest = manifest_of(payload[: 2 * MIB])
        claim = author.claim(payload, WIDE, manifest_digest=sha256(manifest))
        return Signed(envelope=author.seal(claim), manifest=manifest)

    def needless(author: Author) -> Signed:
        return Signed(envelope=author.update().envelope, manifest=b"{}")

    def float_size(author: Author) -> Signed:
        payload = author.payload(WIDE)
        manifest = manifest_of(payload).replace(b'"shard_size":1048576', b'"shard_size":1048576.0')
        claim = author.claim(payload, WIDE, manifest_digest=sha256(manifest))
        return Signed(envelope=author.seal(claim), manifest=manifest)

    for what, make, code in (
        ("other bytes", other_bytes, "STMT_DIGEST"),
        ("not the whole payload", short, "STMT_SHARDS"),
        ("for one chunk", needless, "STMT_UNBOUND"),
        ("shard size as float", float_size, "JSON_FLOAT"),
    ):
        yield Case(name=f"manifest: {what}", make=make, code=code, field="manifest")
