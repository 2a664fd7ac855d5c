import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import LocalError, PeerError
from seawall.formats import jcs
from seawall.formats.jcs import INTEGER_MAX, JsonValue
from seawall.formats.strict_json import scan

SCALARS = st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text()
NAMES = st.text(max_size=6) | st.text('ab\uffff\U00010000é\x7f"\\', max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=16,
)


@given(VALUES)
def test_canonical_equals_the_reference(value: JsonValue) -> None:
    assert jcs.canonical(value) == rfc8785.dumps(value)


def test_members_are_sorted_as_rfc_8785_shows() -> None:
    # RFC 8785, section 3.2.3: by UTF-16 code units, so the emoji comes before U+FB33.
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    expected = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = jcs.canonical(dict.fromkeys(names, 0))
    assert list(json.loads(text)) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # From the JCS test data (arrays, structures without its float, weird).
        ([56, {"d": True, "10": None, "1": []}], b'[56,{"1":[],"10":null,"d":true}]'),
        (
            {"1": {"f": {"f": "hi", "F": 5}, "\n": 56}, "10": {}, "": "empty", "a": {}, "A": {}},
            b'{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"A":{},"a":{}}',
        ),
        ('€$\x0f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()),
        (("a", (1, 2)), b'["a",[1,2]]'),
        ({"é": (1,)}, '{"é":[1]}'.encode()),
    ],
)
def test_canonical_vectors(value: jcs.JsonInput, text: bytes) -> None:
    assert jcs.canonical(value) == text


def nested(depth: int) -> JsonValue:
    value: JsonValue = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        (1.0, "JSON_FLOAT", "$"),
        ({"a": [0, {"b": float("nan")}]}, "JSON_FLOAT", "$.a[1].b"),
        ([INTEGER_MAX + 1], "JSON_INTEGER_RANGE", "$[0]"),
        ({"a": -INTEGER_MAX - 1}, "JSON_INTEGER_RANGE", "$.a"),
        (nested(33), "JSON_DEPTH", "$" + "[0]" * 32),
    ],
)
def test_canonical_refuses_with_a_path(value: jcs.JsonInput, code: str, path: str) -> None:
    with pytest.raises(LocalError) as refusal:
        jcs.canonical(value)
    assert (refusal.value.code, refusal.value.field) == (code, path)


MISTYPED: list[Any] = [b"bytes", {"a": {1, 2}}, {1: "a"}, [{"é": {1: "a"}}]]


@pytest.mark.parametrize("value", MISTYPED)
def test_canonical_refuses_other_types(value: jcs.JsonInput) -> None:
    with pytest.raises(LocalError, match="JSON_TYPE"):
        jcs.canonical(value)


@pytest.mark.parametrize("value", ["\ud800", {"a": "\udfff"}, {"\ud800": 1}, {"é": "\ud800"}])
def test_canonical_refuses_lone_surrogates(value: jcs.JsonInput) -> None:
    with pytest.raises(LocalError, match="JSON_SURROGATE"):
        jcs.canonical(value)


def test_canonical_writes_the_greatest_depth_and_integers() -> None:
    assert jcs.canonical(nested(32)) == b"[" * 32 + b"0" + b"]" * 32
    assert jcs.canonical([-INTEGER_MAX, INTEGER_MAX]) == b"[-9007199254740991,9007199254740991]"


@given(VALUES)
def test_both_readers_take_canonical_text(value: JsonValue) -> None:
    text = jcs.canonical(value)
    assert jcs.parse_canonical(text, size_max=len(text)) == value
    assert jcs.parse_strict(text, size_max=len(text)) == value


def outcome(text: bytes, *, exact: bool) -> object:
    try:
        if exact:
            return scan(text, depth_max=4)
        return jcs.parse_strict(text, size_max=1000, depth_max=4)
    except PeerError as refusal:
        return refusal.code, refusal.offset


WORDS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"a"',
    '"\\u0061"',
    '"b"',
    '"é"',
    "1",
    "-0",
    "1.5",
    " ",
    "\0",
]


@given(st.lists(st.sampled_from(WORDS), max_size=14).map("".join))
def test_the_fast_way_decides_as_the_exact_scanner(text: str) -> None:
    assert outcome(text.encode(), exact=False) == outcome(text.encode(), exact=True)


@given(
    st.dictionaries(st.sampled_from("abé"), VALUES, max_size=3),
    st.integers(0, 10**6),
    st.integers(0, 255),
    st.sampled_from(["set", "insert", "delete", "double"]),
)
def test_a_mutated_text_is_decided_as_by_the_exact_scanner(
    value: dict[str, JsonValue], place: int, byte: int, how: str
) -> None:
    text = bytearray(json.dumps(value, ensure_ascii=False).encode())
    at = place % len(text)
    match how:
        case "set":
            text[at] = byte
        case "insert":
            text.insert(at, byte)
        case "delete":
            del text[at]
        case _:
            text[at:at] = text[at : at + 8]
    assert outcome(bytes(text), exact=False) == outcome(bytes(text), exact=True)


@pytest.mark.parametrize(
    ("text", "code", "offset"),
    [
        (b'{"b":1,"a":2}', "JSON_NOT_CANONICAL", 2),
        (b'{"a": 1}', "JSON_NOT_CANONICAL", 5),
        (b"1 ", "JSON_NOT_CANONICAL", 1),
        (b"-0", "JSON_NOT_CANONICAL", 0),
        (rb'"\u0041"', "JSON_NOT_CANONICAL", 1),
        (rb'"\/"', "JSON_NOT_CANONICAL", 1),
        ('{"\ufb33":1,"\U0001f600":1}'.encode(), "JSON_NOT_CANONICAL", 2),
        (b'{"a":1,"a":1}', "JSON_DUPLICATE_KEY", 7),
        (b"1.5", "JSON_FLOAT", 0),
        (b"[" * 33 + b"]" * 33, "JSON_DEPTH", 32),
        (b"[" * 9999, "JSON_DEPTH", 32),
        (b'"\xff"', "JSON_UTF8", 1),
        (b"1" * 10_001, "JSON_SIZE", 10_000),
    ],
)
def test_text_that_is_not_canonical_is_refused(text: bytes, code: str, offset: int) -> None:
    with pytest.raises(PeerError) as refusal:
        jcs.parse_canonical(text, size_max=10_000)
    assert (refusal.value.code, refusal.value.offset) == (code, offset)


def test_strict_reading_leaves_spelling_free_but_not_names() -> None:
    assert jcs.parse_strict(b'{"b": 1, "a": 2}', size_max=99) == {"a": 2, "b": 1}
    with pytest.raises(PeerError, match="JSON_DUPLICATE_KEY"):
        jcs.parse_strict(b'{"b": 1, "a": {"c": 1, "\\u0063": 2}}', size_max=99)


def test_floats_are_read_on_request() -> None:
    assert jcs.parse_strict(b'{"a":1.5}', size_max=99, floats=True) == {"a": 1.5}
    with pytest.raises(PeerError, match="JSON_FLOAT"):
        jcs.parse_strict(b'{"a":1.5}', size_max=99)


def test_the_limit_counts_bytes() -> None:
    assert jcs.parse_strict(b"[1]", size_max=3) == [1]
    with pytest.raises(PeerError) as refusal:
        jcs.parse_strict(b"[1]", size_max=2)
    assert (refusal.value.code, refusal.value.offset) == ("JSON_SIZE", 2)


def test_what_an_equal_name_hides_may_be_nested_at_any_depth() -> None:
    # Between them the two fast decoders give up at different depths; neither may show.
    for depth in range(900, 1020):
        text = b'{"a":%b%b,"a":1}' % (b"[" * depth, b"]" * depth)
        with pytest.raises(PeerError, match="JSON_DEPTH"):
            jcs.parse_strict(text, size_max=len(text))
