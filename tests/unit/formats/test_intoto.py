import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import LocalError, PeerError
from seawall.formats import intoto, jcs
from seawall.formats.intoto import Statement, Subject

TYPE = "https://example.com/claim/v1"
GOOD = Statement(Subject("update.safetensors", bytes(range(32))), TYPE, {"a": [1, "b"]})
SIZE_MAX = 10_000

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,3}", fullmatch=True),
    st.binary(min_size=32, max_size=32),
    st.dictionaries(st.text(), VALUES, max_size=3),
)
def test_a_statement_comes_back(
    name: str, digest: bytes, predicate: dict[str, jcs.JsonValue]
) -> None:
    statement = Statement(Subject(name, digest), TYPE, predicate)
    data = intoto.encode(statement)
    assert intoto.decode(data, size_max=len(data), predicate_type=TYPE) == statement


def test_the_shape_is_that_of_the_specification() -> None:
    assert json.loads(intoto.encode(GOOD)) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "update.safetensors", "digest": {"sha256": bytes(range(32)).hex()}}],
        "predicateType": TYPE,
        "predicate": {"a": [1, "b"]},
    }


def statement_with(**changes: object) -> bytes:
    good: dict[str, Any] = json.loads(intoto.encode(GOOD))
    members = {name: value for name, value in {**good, **changes}.items() if value is not ...}
    return json.dumps(members).encode()


def subject_with(**changes: object) -> bytes:
    good = {"name": "a", "digest": {"sha256": "00" * 32}}
    members = {name: value for name, value in {**good, **changes}.items() if value is not ...}
    return statement_with(subject=[members])


SHA1 = {"sha1": "00" * 20}
SHA256 = {"sha256": "00" * 32}


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        (b"[]", "STMT_FIELD", "$"),
        (statement_with(_type=...), "STMT_FIELD", "$._type"),
        (statement_with(_type="https://in-toto.io/Statement/v0.1"), "STMT_TYPE", "_type"),
        (statement_with(predicateType="x"), "STMT_PREDICATE_TYPE", "predicateType"),
        (statement_with(predicate=...), "STMT_FIELD", "$.predicate"),
        (statement_with(predicate=[]), "STMT_FIELD", "predicate"),
        (statement_with(extra=1), "STMT_FIELD", "$"),
        (statement_with(subject={}), "STMT_SUBJECT", "subject"),
        (statement_with(subject=[]), "STMT_SUBJECT", "subject"),
        (statement_with(subject=[1, 2]), "STMT_SUBJECT", "subject"),
        (statement_with(subject=["a"]), "STMT_FIELD", "subject[0]"),
        (subject_with(name=...), "STMT_FIELD", "subject[0].name"),
        (subject_with(uri="x"), "STMT_FIELD", "subject[0]"),
        (subject_with(name=1), "STMT_FIELD", "subject[0].name"),
        (subject_with(name=""), "STMT_NAME", "subject[0].name"),
        (subject_with(name="/etc/passwd"), "STMT_NAME", "subject[0].name"),
        (subject_with(name="../a"), "STMT_NAME", "subject[0].name"),
        (subject_with(name="a\x00"), "STMT_NAME", "subject[0].name"),
        (subject_with(name="a\\b"), "STMT_NAME", "subject[0].name"),
        (subject_with(name="a\u202eb"), "STMT_NAME", "subject[0].name"),
        (subject_with(name="e\u0301"), "STMT_NAME", "subject[0].name"),
        (subject_with(digest="00"), "STMT_DIGEST", "subject[0].digest"),
        (subject_with(digest={}), "STMT_DIGEST", "subject[0].digest"),
        (subject_with(digest=SHA1), "STMT_DIGEST", "subject[0].digest"),
        (subject_with(digest={**SHA256, **SHA1}), "STMT_DIGEST", "subject[0].digest"),
        (subject_with(digest={"sha256": "AB" * 32}), "STMT_DIGEST", "subject[0].digest"),
        (subject_with(digest={"sha256": "00" * 31}), "STMT_DIGEST", "subject[0].digest"),
        (subject_with(digest={"sha256": 1}), "STMT_DIGEST", "subject[0].digest"),
        (b'{"_type":1,"_type":2}', "JSON_DUPLICATE_KEY", None),
        (statement_with(predicate={"a": 1.0}), "JSON_FLOAT", None),
        (b" " * (SIZE_MAX + 1), "JSON_SIZE", None),
    ],
)
def test_a_bad_statement_is_refused(data: bytes, code: str, field: str | None) -> None:
    with pytest.raises(PeerError) as refusal:
        intoto.decode(data, size_max=SIZE_MAX, predicate_type=TYPE)
    assert (refusal.value.code, refusal.value.field) == (code, field)


@pytest.mark.parametrize(
    ("subject", "code"),
    [(Subject("/a", bytes(32)), "STMT_NAME"), (Subject("a", bytes(31)), "STMT_DIGEST")],
)
def test_what_readers_refuse_is_never_written(subject: Subject, code: str) -> None:
    with pytest.raises(LocalError, match=code):
        intoto.encode(Statement(subject, TYPE, {}))
