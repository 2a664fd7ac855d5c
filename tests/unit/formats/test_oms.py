import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.json_format import MessageToJson
from hypothesis import given, settings
from hypothesis import strategies as st
from model_signing import hashing, verifying
from model_signing._signing import signing

from seawall.crypto.hashing import sha256
from seawall.errors import LocalError, PeerError
from seawall.formats import dsse, intoto, oms
from seawall.formats.oms import CHUNK_SIZE, Manifest

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"
SIZE_MAX = 100_000
DATA = b"a" * CHUNK_SIZE + b"b" * CHUNK_SIZE + b"c" * 5
NAME = "update.safetensors"
GOOD = oms.manifest(NAME, oms.chunk_digests(DATA), len(DATA))


def test_chunks_are_one_mebibyte() -> None:
    chunks = [b"a" * CHUNK_SIZE, b"b" * CHUNK_SIZE, b"ccccc"]
    assert oms.chunk_digests(DATA) == [sha256(chunk) for chunk in chunks]
    assert oms.chunk_digests(memoryview(DATA)) == oms.chunk_digests(DATA)
    assert oms.chunk_digests(b"") == []


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 0), (1, 1), (CHUNK_SIZE, 1), (CHUNK_SIZE + 1, 2), (3 * CHUNK_SIZE, 3)],
)
def test_chunk_count(size: int, count: int) -> None:
    assert oms.chunk_count(size) == count


@given(st.integers(1, 5 * CHUNK_SIZE), st.binary(min_size=1, max_size=4))
def test_a_manifest_comes_back(size: int, salt: bytes) -> None:
    digests = [sha256(salt + bytes([at])) for at in range(oms.chunk_count(size))]
    data = oms.manifest("models/a.safetensors", digests, size)
    expected = Manifest("models/a.safetensors", size, tuple(digests))
    assert oms.parse_manifest(data, size_max=len(data)) == expected


def test_the_statement_has_not_changed() -> None:
    assert (GOLDEN / "manifest.json").read_bytes().rstrip(b"\n") == GOOD


def test_the_stock_reader_finds_the_same_digests() -> None:
    theirs = signing.dsse_payload_to_manifest(json.loads(GOOD))
    found = {resource.identifier: resource.digest for resource in theirs.resource_descriptors()}
    assert [digest.digest_value for digest in found.values()] == oms.chunk_digests(DATA)
    assert list(found) == [
        f"{NAME}:0:1048576",
        f"{NAME}:1048576:2097152",
        f"{NAME}:2097152:2097157",
    ]


# Twelve shards: their names sort differently as text than as numbers.
LARGE = bytes(range(256)) * 4096 * 11 + b"tail"


def test_the_stock_serializer_makes_the_same_manifest(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(LARGE)
    config = hashing.Config()  # type: ignore[no-untyped-call]  # it has no annotations
    config.use_shard_serialization(shard_size=CHUNK_SIZE)
    theirs = config.set_ignored_paths(paths=[], ignore_git_paths=False).hash(tmp_path)
    ours = json.loads(oms.manifest(NAME, oms.chunk_digests(LARGE), len(LARGE)))
    assert signing.dsse_payload_to_manifest(ours) == theirs
    payload = json.loads(MessageToJson(signing.Payload(theirs).statement.pb))
    assert payload["subject"][0]["digest"] == ours["subject"][0]["digest"]
    assert payload["predicate"] == ours["predicate"]


def test_the_stock_verifier_accepts_a_signed_export(tmp_path: Path) -> None:
    statement = oms.manifest(NAME, oms.chunk_digests(LARGE), len(LARGE))
    key = ec.derive_private_key(7, ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(dsse.pae(intoto.PAYLOAD_TYPE, statement), ec.ECDSA(SHA256()))
    envelope = dsse.Envelope(intoto.PAYLOAD_TYPE, statement, (dsse.Signature("", signature),))
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": {"hint": sha256(public).hex()},
            "tlogEntries": [],
        },
        "dsseEnvelope": json.loads(dsse.encode(envelope)),
    }
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / NAME).write_bytes(LARGE)
    (tmp_path / "model.sig").write_text(json.dumps(bundle), encoding="utf-8")
    (tmp_path / "key.pem").write_bytes(public)
    verifier = verifying.Config()  # type: ignore[no-untyped-call]  # it has no annotations
    verifier.use_elliptic_key_verifier(public_key=tmp_path / "key.pem")
    verifier.verify(tmp_path / "model", tmp_path / "model.sig")
    (tmp_path / "model" / NAME).write_bytes(b"x" + LARGE[1:])
    with pytest.raises(ValueError, match="Signature mismatch"):
        verifier.verify(tmp_path / "model", tmp_path / "model.sig")


@pytest.mark.parametrize(
    ("name", "count", "size", "code"),
    [
        (NAME, 0, 0, "STMT_SHARDS"),
        (NAME, 1, 0, "STMT_SHARDS"),
        (NAME, 1, CHUNK_SIZE + 1, "STMT_SHARDS"),
        (NAME, 2, CHUNK_SIZE, "STMT_SHARDS"),
        ("a:b", 1, 1, "STMT_NAME"),
        ("/a", 1, 1, "STMT_NAME"),
    ],
)
def test_what_readers_refuse_is_never_written(name: str, count: int, size: int, code: str) -> None:
    with pytest.raises(LocalError, match=code):
        oms.manifest(name, [bytes(32)] * count, size)


def predicate_with(**changes: object) -> bytes:
    document: dict[str, Any] = json.loads(GOOD)
    document["predicate"].update(changes)
    return json.dumps(document).encode()


def serialization_with(**changes: object) -> bytes:
    serialization = json.loads(GOOD)["predicate"]["serialization"]
    return predicate_with(serialization={**serialization, **changes})


def shards(*names: object, **changes: object) -> bytes:
    digests = [sha256(str(at).encode()) for at in range(len(names))]
    document: dict[str, Any] = json.loads(GOOD)
    document["subject"][0]["digest"]["sha256"] = oms.root_digest(digests).hex()
    document["predicate"]["resources"] = [
        {"name": name, "algorithm": "sha256-sharded-1048576", "digest": digest.hex(), **changes}
        for name, digest in zip(names, digests, strict=True)
    ]
    return json.dumps(document).encode()


RESOURCES = "predicate.resources"
SERIALIZATION = "predicate.serialization"


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        (predicate_with(extra=1), "STMT_FIELD", "predicate"),
        (predicate_with(resources={}), "STMT_SHARDS", RESOURCES),
        (predicate_with(resources=[]), "STMT_SHARDS", RESOURCES),
        (predicate_with(resources=[1]), "STMT_FIELD", f"{RESOURCES}[0]"),
        (predicate_with(serialization=1), "STMT_FIELD", SERIALIZATION),
        (serialization_with(method="files"), "STMT_SERIALIZATION", f"{SERIALIZATION}.method"),
        (
            serialization_with(hash_type="blake3"),
            "STMT_SERIALIZATION",
            f"{SERIALIZATION}.hash_type",
        ),
        (serialization_with(shard_size=0), "STMT_SERIALIZATION", f"{SERIALIZATION}.shard_size"),
        (serialization_with(shard_size=True), "STMT_SERIALIZATION", f"{SERIALIZATION}.shard_size"),
        (serialization_with(shard_size="1"), "STMT_SERIALIZATION", f"{SERIALIZATION}.shard_size"),
        (serialization_with(shard_size=1048576.0), "JSON_FLOAT", None),
        (
            serialization_with(allow_symlinks=True),
            "STMT_SERIALIZATION",
            f"{SERIALIZATION}.allow_symlinks",
        ),
        (
            serialization_with(allow_symlinks=0),
            "STMT_SERIALIZATION",
            f"{SERIALIZATION}.allow_symlinks",
        ),
        (
            serialization_with(ignore_paths=["a"]),
            "STMT_SERIALIZATION",
            f"{SERIALIZATION}.ignore_paths",
        ),
        (serialization_with(other=1), "STMT_FIELD", SERIALIZATION),
        (shards(f"{NAME}:0:5", algorithm="sha256"), "STMT_DIGEST", f"{RESOURCES}[0].algorithm"),
        (shards(f"{NAME}:0:5", digest="00"), "STMT_DIGEST", f"{RESOURCES}[0].digest"),
        (shards(f"{NAME}:0:5", digest="AB" * 32), "STMT_DIGEST", f"{RESOURCES}[0].digest"),
        (shards(f"{NAME}:0:5", digest="00" * 32), "STMT_ROOT", "subject[0].digest"),
        (shards(f"{NAME}:0:5", size=5), "STMT_FIELD", f"{RESOURCES}[0]"),
        (shards(1), "STMT_FIELD", f"{RESOURCES}[0].name"),
        (shards("other:0:5"), "STMT_NAME", f"{RESOURCES}[0].name"),
        (shards("../x:0:5"), "STMT_NAME", f"{RESOURCES}[0].name"),
        *(
            (shards(f"{NAME}:{numbers}"), "STMT_SHARDS", f"{RESOURCES}[0].name")
            for numbers in (
                "",
                "0",
                "0:5:6",
                "00:5",
                "0:05",
                "0:+5",
                "0:5 ",
                "0:\u0665",
                "0:0",
                "-1:5",
                "1:5",
                "5:0",
                "0:1048577",
                "0:99999999999999999",
            )
        ),
        (shards(f"{NAME}:0:5", f"{NAME}:5:9"), "STMT_SHARDS", f"{RESOURCES}[0].name"),
        (shards(f"{NAME}:0:1048576", f"{NAME}:0:5"), "STMT_SHARDS", f"{RESOURCES}[1].name"),
        (
            shards(f"{NAME}:0:1048576", f"{NAME}:1048577:1048578"),
            "STMT_SHARDS",
            f"{RESOURCES}[1].name",
        ),
        (
            shards(f"{NAME}:0:1048576", f"{NAME}:0:1048576"),
            "STMT_SHARDS",
            f"{RESOURCES}[1].name",
        ),
    ],
)
def test_a_bad_manifest_is_refused(data: bytes, code: str, field: str | None) -> None:
    with pytest.raises(PeerError) as refusal:
        oms.parse_manifest(data, size_max=SIZE_MAX)
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_empty_ignore_paths_are_read() -> None:
    data = serialization_with(ignore_paths=[])
    assert oms.parse_manifest(data, size_max=SIZE_MAX).size == len(DATA)


@settings(max_examples=200)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes_for_the_original(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    original = oms.parse_manifest(GOOD, size_max=SIZE_MAX)
    try:
        read = oms.parse_manifest(bytes(data), size_max=SIZE_MAX)
    except PeerError:
        return
    # White space and the case of a hex escape carry nothing; names and numbers do.
    assert read != original or re.sub(rb"\s", b"", bytes(data)) != GOOD
