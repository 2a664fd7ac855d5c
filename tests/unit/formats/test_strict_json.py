import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.errors import PeerError
from seawall.formats.strict_json import INTEGER_MAX, JsonValue, scan

REFUSED = [
    # text, code, offset
    (b"", "JSON_TRUNCATED", 0),
    (b"  ", "JSON_TRUNCATED", 2),
    (b"\xef\xbb\xbf{}", "JSON_BOM", 0),
    (b'"\xc0\xaf"', "JSON_UTF8", 1),
    (b'"\xed\xa0\x80"', "JSON_UTF8", 1),
    (b'"\xf5\x80\x80\x80"', "JSON_UTF8", 1),
    (b"{} {}", "JSON_TRAILING", 3),
    (b"1\x00", "JSON_TRAILING", 1),
    (b"01", "JSON_TRAILING", 1),
    (b'{"a":1,"a":1}', "JSON_DUPLICATE_KEY", 7),
    (b'{"a":1,"\\u0061":2}', "JSON_DUPLICATE_KEY", 7),
    (b'{"x":[{"b":1,"c":0,"b":2}]}', "JSON_DUPLICATE_KEY", 19),
    (b"NaN", "JSON_NUMBER", 0),
    (b"[Infinity]", "JSON_NUMBER", 1),
    (b"[-Infinity]", "JSON_NUMBER", 1),
    (b"1e400", "JSON_FLOAT", 0),
    (b"[1.0]", "JSON_FLOAT", 1),
    (b"1E2", "JSON_FLOAT", 0),
    (b"9007199254740992", "JSON_INTEGER_RANGE", 0),
    (b"[-9007199254740992]", "JSON_INTEGER_RANGE", 1),
    (b"1" * 5000, "JSON_INTEGER_RANGE", 0),
    (b'"\\ud800"', "JSON_SURROGATE", 1),
    (b'"\\udc00"', "JSON_SURROGATE", 1),
    (b'"\\ud800\\ud800"', "JSON_SURROGATE", 1),
    (b'"ab\\ud800\\n"', "JSON_SURROGATE", 3),
    (b'{"\\ud800":1}', "JSON_SURROGATE", 2),
    (b'"\\u12g4"', "JSON_SYNTAX", 3),
    (b'"\\u12', "JSON_SYNTAX", 3),
    (b'"\\x41"', "JSON_SYNTAX", 2),
    (b'"\\', "JSON_TRUNCATED", 2),
    (b'"a\nb"', "JSON_SYNTAX", 2),
    (b'"a', "JSON_TRUNCATED", 2),
    (b"{a:1}", "JSON_SYNTAX", 1),
    (b"{'a':1}", "JSON_SYNTAX", 1),
    (b'{"a" 1}', "JSON_SYNTAX", 5),
    (b'{"a":1', "JSON_TRUNCATED", 6),
    (b'{"a":1,}', "JSON_SYNTAX", 7),
    (b'{"a":}', "JSON_SYNTAX", 5),
    (b"[1,]", "JSON_SYNTAX", 3),
    (b"[1 2]", "JSON_SYNTAX", 3),
    (b"[1}", "JSON_SYNTAX", 2),
    (b"[", "JSON_TRUNCATED", 1),
    (b"-", "JSON_SYNTAX", 0),
    (b"+1", "JSON_SYNTAX", 0),
    (b".5", "JSON_SYNTAX", 0),
    (b"True", "JSON_SYNTAX", 0),
    (b"nul", "JSON_SYNTAX", 0),
    (b"/**/1", "JSON_SYNTAX", 0),
    (b"[" * 33 + b"]" * 33, "JSON_DEPTH", 32),
    (b'{"a":' * 33 + b"1" + b"}" * 33, "JSON_DEPTH", 160),
    (b"[" * 100_000, "JSON_DEPTH", 32),
]

ACCEPTED: list[tuple[bytes, JsonValue]] = [
    (b" \t\r\n1 ", 1),
    (b"-0", 0),
    (b"[]", []),
    (b"{ }", {}),
    (b"[ 1 , [ ] , { } ]", [1, [], {}]),
    (b"[true,false,null]", [True, False, None]),
    (b'{"a" : {"a": "a"} , "b":"a"}', {"a": {"a": "a"}, "b": "a"}),
    (rb'"\"\\\/\b\f\n\r\t\u00e9"', '"\\/\b\f\n\r\té'),
    (rb'"\ud83d\ude00!"', "😀!"),
    ('"é😀"'.encode(), "é😀"),
    (str(INTEGER_MAX).encode(), INTEGER_MAX),
    (str(-INTEGER_MAX).encode(), -INTEGER_MAX),
    (b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
]


@pytest.mark.parametrize(("text", "code", "offset"), REFUSED)
def test_a_fault_is_named_with_its_byte(text: bytes, code: str, offset: int) -> None:
    with pytest.raises(PeerError) as refusal:
        scan(text, depth_max=32)
    assert (refusal.value.code, refusal.value.offset) == (code, offset)


@pytest.mark.parametrize(("text", "value"), ACCEPTED)
def test_good_text_is_read(text: bytes, value: JsonValue) -> None:
    assert scan(text, depth_max=32) == value


def test_floats_are_read_where_they_are_allowed() -> None:
    assert scan(b"[1.5, -2e-3, 1E2]", depth_max=2, floats=True) == [1.5, -0.002, 100.0]
    with pytest.raises(PeerError) as refusal:
        scan(b"[1e400]", depth_max=2, floats=True)
    assert (refusal.value.code, refusal.value.offset) == ("JSON_NUMBER", 1)


def test_an_error_never_repeats_the_input() -> None:
    with pytest.raises(PeerError) as refusal:
        scan(b'{"secret":1,"secret":2}', depth_max=32)
    assert "secret" not in str(refusal.value)


FRAGMENTS = [*b'{}[]:,"\\ \n0123456789-+.eEuabfnrt\x00\x7f\x80\xc3\xa9\xed\xef\xf0', *b"dD8c"]
SOUP = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map(bytes)
WORDS = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            '"a"',
            '"\\u0061"',
            '"\\ud800"',
            "1",
            "-0",
            "1.5",
            "true",
            " ",
        ]
    ),
    max_size=12,
).map(lambda words: "".join(words).encode())


@given(st.one_of(SOUP, WORDS))
@example(b'{"a":1,"a":2}')
def test_what_is_accepted_another_reader_accepts_equally(text: bytes) -> None:
    value: JsonValue | PeerError
    try:
        value = scan(text, depth_max=32, floats=True)
    except PeerError as refusal:
        value = refusal
    if isinstance(value, PeerError):
        assert value.code.startswith("JSON_")
        assert value.offset in range(len(text) + 1)
    else:
        assert orjson.loads(text) == value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_what_others_write_is_read_back(
    value: JsonValue,
    indent: int | None,
    ensure_ascii: bool,  # noqa: FBT001  # drawn, not chosen
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii).encode()
    assert scan(text, depth_max=32) == value
