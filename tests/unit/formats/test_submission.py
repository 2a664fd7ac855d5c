import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.hashing import sha256
from seawall.crypto.signing import SigningKey, key_id
from seawall.errors import LocalError, PeerError
from seawall.formats import dsse, submission
from seawall.formats.jcs import INTEGER_MAX
from seawall.formats.submission import (
    PAYLOAD_BYTES_MAX,
    PAYLOAD_TYPE,
    Submission,
    from_payload,
    seal,
    to_payload,
    update_id,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"
KEY = SigningKey.from_seed(bytes(range(32)))
CHUNK_BYTES = 2**20

EXAMPLE = Submission(
    origin="seawall/0123456789abcdef",
    task="digits-v1",
    kind="delta",
    base_version=3,
    base_digest=bytes(range(32)),
    contributor=key_id(KEY.public),
    seq=17,
    expires_height=1200,
    checkpoint_size=990,
    checkpoint_root=bytes(range(32, 64)),
    payload_digest=bytes(range(64, 96)),
    payload_size=2 * CHUNK_BYTES,
    manifest_digest=bytes(range(96, 128)),
    provenance_digest=bytes(range(128, 160)),
    num_examples=412,
    metrics=(("accuracy_micro", 912_000), ("loss_micro", 310_000)),
)

DIGESTS = st.binary(min_size=32, max_size=32)
NATURALS = st.integers(0, INTEGER_MAX)
METRICS = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), NATURALS, max_size=16
)


@st.composite
def submissions(draw: st.DrawFn) -> Submission:
    size = draw(st.integers(1, 3 * CHUNK_BYTES) | st.integers(1, INTEGER_MAX))
    return Submission(
        origin="seawall/" + draw(st.binary(min_size=8, max_size=8)).hex(),
        task=draw(st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)),
        kind=draw(st.sampled_from(submission.KINDS)),
        base_version=draw(NATURALS),
        base_digest=draw(DIGESTS),
        contributor=draw(DIGESTS),
        seq=draw(st.integers(1, INTEGER_MAX)),
        expires_height=draw(NATURALS),
        checkpoint_size=draw(NATURALS),
        checkpoint_root=draw(DIGESTS),
        payload_digest=draw(DIGESTS),
        payload_size=size,
        manifest_digest=draw(DIGESTS) if size > CHUNK_BYTES else None,
        provenance_digest=draw(st.none() | DIGESTS),
        num_examples=draw(NATURALS),
        metrics=tuple(sorted(draw(METRICS).items())),
    )


@given(submissions())
def test_a_submission_comes_back(offered: Submission) -> None:
    payload = to_payload(offered)
    assert from_payload(payload) == offered
    assert len(payload) <= PAYLOAD_BYTES_MAX
    assert rfc8785.dumps(json.loads(payload)) == payload


def test_the_longest_submission_fits() -> None:
    longest = msgspec.structs.replace(
        EXAMPLE,
        task="x" * 64,
        base_version=INTEGER_MAX,
        seq=INTEGER_MAX,
        expires_height=INTEGER_MAX,
        checkpoint_size=INTEGER_MAX,
        payload_size=INTEGER_MAX,
        num_examples=INTEGER_MAX,
        metrics=tuple((f"{chr(97 + at)}" * 32, INTEGER_MAX) for at in range(16)),
    )
    assert from_payload(to_payload(longest)) == longest


def test_the_envelope_has_not_changed() -> None:
    # Bytes on the wire: if this fails, contributors' signatures no longer mean what they meant.
    golden = (GOLDEN / "submission.dsse.json").read_bytes().rstrip(b"\n")
    assert dsse.encode(seal(EXAMPLE, KEY)) == golden
    payload = dsse.verify_one(dsse.decode(golden, size_max=8192), PAYLOAD_TYPE, KEY.public)
    assert from_payload(payload) == EXAMPLE
    assert update_id(payload) == sha256(payload)


@given(submissions(), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_seen(offered: Submission, place: int, change: int) -> None:
    payload = bytearray(to_payload(offered))
    payload[place % len(payload)] ^= change
    try:
        read = from_payload(bytes(payload))
    except PeerError:
        return
    assert read != offered


@given(submissions(), st.integers(0))
def test_a_cut_or_lengthened_payload_is_refused(offered: Submission, place: int) -> None:
    payload = to_payload(offered)
    at = place % len(payload)
    for changed in (payload[:at], payload[:at] + b"\n" + payload[at:], payload + b"\n"):
        with pytest.raises(PeerError):
            from_payload(changed)


def payload_with(**changes: object) -> bytes:
    good: dict[str, Any] = json.loads(to_payload(EXAMPLE))
    members = {name: value for name, value in {**good, **changes}.items() if value is not ...}
    return rfc8785.dumps(members)


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        (b"[]", "SUB_FIELD_TYPE", "$"),
        (b"{}", "SUB_FIELD_MISSING", "baseDigest"),
        (payload_with(extra=1), "SUB_FIELD_UNKNOWN", "$"),
        (payload_with(baseVersion=...), "SUB_FIELD_MISSING", "baseVersion"),
        (payload_with(metrics=...), "SUB_FIELD_MISSING", "metrics"),
        (payload_with(v=...), "SUB_FIELD_MISSING", "v"),
        (payload_with(task=1), "SUB_FIELD_TYPE", "task"),
        (payload_with(seq="1"), "SUB_FIELD_TYPE", "seq"),
        (payload_with(seq=True), "SUB_FIELD_TYPE", "seq"),
        (payload_with(seq=None), "SUB_FIELD_TYPE", "seq"),
        (payload_with(manifestDigest=None), "SUB_FIELD_TYPE", "manifestDigest"),
        (payload_with(provenanceDigest=None), "SUB_FIELD_TYPE", "provenanceDigest"),
        (payload_with(metrics=[]), "SUB_FIELD_TYPE", "metrics"),
        (payload_with(metrics={"a": "1"}), "SUB_FIELD_TYPE", "metrics"),
        (payload_with(v=2), "SUB_VERSION", "v"),
        (payload_with(v=0), "SUB_VERSION", "v"),
        (payload_with(origin="seawall/0123456789ABCDEF"), "SUB_ORIGIN", "origin"),
        (payload_with(origin="seawall/0123456789abcdef0"), "SUB_ORIGIN", "origin"),
        (payload_with(origin="seawall/0123456789abcdef\n"), "SUB_ORIGIN", "origin"),
        (payload_with(task=""), "SUB_TASK", "task"),
        (payload_with(task="x" * 65), "SUB_TASK", "task"),
        (payload_with(task="Digits"), "SUB_TASK", "task"),
        (payload_with(task="é"), "SUB_TASK", "task"),
        (payload_with(kind="weights"), "SUB_KIND", "kind"),
        (payload_with(kind="bogus"), "SUB_KIND", "kind"),
        (payload_with(baseVersion=-1), "SUB_RANGE", "baseVersion"),
        (payload_with(seq=0), "SUB_RANGE", "seq"),
        (payload_with(expiresHeight=-1), "SUB_RANGE", "expiresHeight"),
        (payload_with(checkpointSize=-1), "SUB_RANGE", "checkpointSize"),
        (payload_with(payloadSize=0), "SUB_RANGE", "payloadSize"),
        (payload_with(numExamples=-1), "SUB_RANGE", "numExamples"),
        (payload_with(baseDigest="00"), "SUB_DIGEST", "baseDigest"),
        (payload_with(contributor="AB" * 32), "SUB_DIGEST", "contributor"),
        (payload_with(checkpointRoot=" " + "0" * 63), "SUB_DIGEST", "checkpointRoot"),
        (payload_with(payloadDigest="g" * 64), "SUB_DIGEST", "payloadDigest"),
        (payload_with(manifestDigest=""), "SUB_DIGEST", "manifestDigest"),
        (payload_with(provenanceDigest="0" * 65), "SUB_DIGEST", "provenanceDigest"),
        (payload_with(manifestDigest=...), "SUB_MANIFEST", "manifestDigest"),
        (payload_with(payloadSize=CHUNK_BYTES), "SUB_MANIFEST", "manifestDigest"),
        (payload_with(metrics={f"m{at}": 0 for at in range(17)}), "SUB_METRICS", "metrics"),
        (payload_with(metrics={"": 0}), "SUB_METRICS", "metrics"),
        (payload_with(metrics={"A": 0}), "SUB_METRICS", "metrics"),
        (payload_with(metrics={"é": 0}), "SUB_METRICS", "metrics"),
        (payload_with(metrics={"x" * 33: 0}), "SUB_METRICS", "metrics"),
        (payload_with(metrics={"loss": -1}), "SUB_RANGE", "metrics"),
        (payload_with(task="x" * PAYLOAD_BYTES_MAX), "SUB_SIZE", None),
        (payload_with() + b" ", "JSON_NOT_CANONICAL", None),
        (payload_with(seq=1).replace(b'"seq":1', b'"seq":1.0'), "JSON_FLOAT", None),
        (payload_with().replace(b'"seq":17', b'"seq":17,"seq":17'), "JSON_DUPLICATE_KEY", None),
        (payload_with().replace(b"delta", b"\\u0064elta"), "JSON_NOT_CANONICAL", None),
        (
            payload_with(seq=1).replace(b'"seq":1', b'"seq":9007199254740992'),
            "SUB_RANGE",
            "seq",
        ),
        (
            payload_with().replace(b'"loss_micro":310000', b'"a":1'),
            "JSON_NOT_CANONICAL",
            None,
        ),
        (b"[" * 4000, "JSON_DEPTH", None),
        (b"\xff", "JSON_UTF8", None),
        (b"", "JSON_TRUNCATED", None),
    ],
)
def test_a_bad_payload_is_refused(payload: bytes, code: str, field: str | None) -> None:
    with pytest.raises(PeerError) as refusal:
        from_payload(payload)
    assert (refusal.value.code, refusal.value.field) == (code, field)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"seq": 0}, "SUB_RANGE", "seq"),
        ({"seq": INTEGER_MAX + 1}, "SUB_RANGE", "seq"),
        ({"payload_digest": b""}, "SUB_DIGEST", "payloadDigest"),
        ({"manifest_digest": None}, "SUB_MANIFEST", "manifestDigest"),
        ({"metrics": (("b", 1), ("a", 1))}, "SUB_METRICS", "metrics"),
        ({"metrics": (("a", 1), ("a", 1))}, "SUB_METRICS", "metrics"),
        ({"task": "no spaces"}, "SUB_TASK", "task"),
    ],
)
def test_what_readers_refuse_is_never_signed(
    changes: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(LocalError) as refusal:
        seal(msgspec.structs.replace(EXAMPLE, **changes), KEY)
    assert (refusal.value.code, refusal.value.field) == (code, field)


@given(st.binary(max_size=60))
def test_no_input_raises_anything_else(data: bytes) -> None:
    with pytest.raises(PeerError):
        from_payload(data)
