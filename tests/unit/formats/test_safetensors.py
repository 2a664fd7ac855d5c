import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seawall.crypto.hashing import sha256
from seawall.errors import LocalError, PeerError
from seawall.formats import safetensors as strict
from seawall.formats.dtypes import BITS, Array
from seawall.formats.safetensors import Header, Tensor

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"
DTYPES = ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "c8", "u8", "i8", "f8"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda code: hnp.arrays(
        np.dtype(code),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
NAMES = st.from_regex(r"[A-Za-z0-9_.é重]{1,12}", fullmatch=True).filter(
    lambda name: name != "__metadata__"
)
TENSORS = st.dictionaries(NAMES, ARRAYS, max_size=5)
METADATA = st.dictionaries(st.text(), st.text(), max_size=3)


def same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Return whether two sets of tensors have equal names, types, shapes and bits."""
    return sorted(one) == sorted(other) and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def file(header: object, data: bytes = b"", *, pad: int = 0) -> bytes:
    """Return a file with this header and these data, whatever they are."""
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    text += b" " * pad
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: object, shape: object, *offsets: object) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


@given(TENSORS, METADATA)
def test_what_we_write_both_readers_read_equally(
    tensors: dict[str, Array], metadata: dict[str, str]
) -> None:
    data = strict.encode(tensors, metadata=metadata)
    header = strict.parse(data)
    assert header.metadata == metadata
    assert same(strict.tensor_views(data, header), tensors)
    assert same(safetensors.numpy.load(data), tensors)


@given(TENSORS, METADATA)
def test_what_the_reference_writes_we_read_equally(
    tensors: dict[str, Array], metadata: dict[str, str]
) -> None:
    # It writes broken JSON for metadata that are there but empty.
    data = safetensors.numpy.save(tensors, metadata=metadata or None)
    header = strict.parse(data)
    assert header.metadata == metadata
    assert same(strict.tensor_views(data, header), tensors)


# Small files that are nearly right, so that a good part of them is accepted.
ENTRIES = st.builds(
    entry,
    st.sampled_from(["U8", "I16", "F4", "F6_E2M3", "BF16", "F8_E8M0", "C64", "BOOL", "X", 1]),
    st.lists(st.sampled_from([0, 1, 2, 4, -1, 1.0, True, 2**62]), max_size=3),
    st.integers(-1, 9),
    st.integers(-1, 9),
)
HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "é", "", "\x00", "__metadata__"]),
    ENTRIES | st.dictionaries(st.text(max_size=2), st.text(max_size=2) | st.none(), max_size=2),
    max_size=3,
)


def deserialize(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return what the reference implementation reads."""
    read: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(data)  # type: ignore[no-untyped-call]  # compiled
    return read


def check_against_reference(data: bytes) -> None:
    """Parse; on acceptance the reference must read the same names, types and bytes."""
    try:
        header = strict.parse(data)
    except PeerError:
        return
    theirs = dict(deserialize(data))
    assert sorted(theirs) == sorted(tensor.name for tensor in header.tensors)
    for tensor in header.tensors:
        start = header.data_offset + tensor.start
        assert theirs[tensor.name]["dtype"] == tensor.dtype
        assert tuple(theirs[tensor.name]["shape"]) == tensor.shape
        assert bytes(theirs[tensor.name]["data"]) == data[start : header.data_offset + tensor.end]


@given(HEADERS, st.integers(0, 10), st.integers(0, 2))
def test_what_we_accept_the_reference_accepts_equally(
    header: dict[str, Any], size: int, pad: int
) -> None:
    check_against_reference(file(header, bytes(size), pad=pad))


@given(TENSORS, st.integers(0), st.integers(0, 255), st.sampled_from(["set", "insert", "delete"]))
def test_a_mutated_file_is_refused_or_read_as_the_reference_does(
    tensors: dict[str, Array], place: int, byte: int, how: str
) -> None:
    data = bytearray(strict.encode(tensors))
    at = place % len(data)
    if how == "set":
        data[at] = byte
    elif how == "insert":
        data.insert(at, byte)
    else:
        del data[at]
    check_against_reference(bytes(data))


@given(st.binary(max_size=64))
def test_no_input_raises_anything_else(data: bytes) -> None:
    check_against_reference(data)
    with pytest.raises(PeerError):
        strict.parse(b"\xff" + data)


@given(st.binary(max_size=48))
def test_no_header_raises_anything_else(text: bytes) -> None:
    check_against_reference(file(b"{" + text + b"}"))


@pytest.mark.parametrize("dtype", sorted(BITS))
def test_every_dtype_of_the_format_is_read(dtype: str) -> None:
    size = BITS[dtype]  # bytes of eight elements
    data = file({"a": entry(dtype, [8], 0, size)}, bytes(size))
    check_against_reference(data)
    header = strict.parse(data)
    assert header.tensors == (Tensor("a", dtype, (8,), 0, size),)
    view = strict.tensor_views(data, header)["a"]
    assert view.nbytes == size
    assert not view.flags.writeable


def test_bits_stand_in_for_types_that_numpy_lacks() -> None:
    header = {
        "bf16": entry("BF16", [2, 2], 0, 8),
        "f8": entry("F8_E4M3", [2, 1], 8, 10),
        "f4": entry("F4", [2, 3], 10, 13),
    }
    data = file(header, bytes(range(13)))
    views = strict.tensor_views(data, strict.parse(data))
    assert views["bf16"].tolist() == [[0x0100, 0x0302], [0x0504, 0x0706]]
    assert views["f8"].tolist() == [[8], [9]]
    assert views["f4"].tolist() == [10, 11, 12]


REFUSED: dict[str, tuple[bytes, str, int | None]] = {
    "nothing": (b"", "ST_TRUNCATED", 0),
    "half a length": (b"\x02\x00\x00", "ST_TRUNCATED", 3),
    "empty header": (file(b""), "ST_HEADER_SIZE", 0),
    "huge header": ((2**63).to_bytes(8, "little") + b"{}", "ST_HEADER_SIZE", 0),
    "long header": ((8 * 2**20 + 1).to_bytes(8, "little") + b"{}", "ST_HEADER_SIZE", 0),
    "header past the end": ((3).to_bytes(8, "little") + b"{}", "ST_TRUNCATED", 10),
    "leading space": (file(b" {}"), "ST_HEADER_START", 8),
    "leading mark": (file(b"\xef\xbb\xbf{}"), "ST_HEADER_START", 8),
    "an array": (file(b"[]"), "ST_HEADER_START", 8),
    "padding of zeros": (file(b"{}\x00\x00"), "ST_PADDING", 11),
    "padding of newlines": (file(b"{}\n"), "ST_PADDING", 10),
    "padding between": (file(b"{}\n "), "ST_PADDING", 10),
    "not JSON": (file(b"{a}"), "ST_HEADER_JSON", 9),
    "two objects": (file(b"{}{}"), "ST_HEADER_JSON", 10),
    "not UTF-8": (file(b'{"\xff":1}'), "ST_HEADER_JSON", 10),
    "too deep": (file(b'{"a":[[[]]]}'), "ST_HEADER_JSON", 15),
    "one name twice": (
        file(
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
            b'"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
            b"\x00",
        ),
        "ST_NAME_TWICE",
        8 + 53,
    ),
    "one name twice, escaped": (file(b'{"a":{},"\\u0061":{}}'), "ST_NAME_TWICE", 16),
    "one member twice": (file(b'{"a":{"shape":[],"shape":[]}}'), "ST_NAME_TWICE", 25),
    "empty name": (file({"": entry("U8", [0], 0, 0)}), "ST_NAME", 9),
    "zero byte in a name": (file({"a\x00": entry("U8", [0], 0, 0)}), "ST_NAME", 9),
    "hidden name": (file({"a\u202e": entry("U8", [0], 0, 0)}), "ST_NAME", 9),
    "decomposed name": (file({"e\u0301": entry("U8", [0], 0, 0)}), "ST_NAME", 9),
    "escaped bad name": (file(b'{"\\u202e":{}}'), "ST_NAME", None),
    "not an object": (file({"x": entry("U8", [0], 0, 0), "a": 1}), "ST_FIELD", None),
    "missing member": (file({"a": {"dtype": "U8", "shape": []}}), "ST_FIELD", 9),
    "extra member": (file({"a": {**entry("U8", [0], 0, 0), "b": 1}}), "ST_FIELD", 9),
    "unknown dtype": (file({"a": entry("F128", [0], 0, 0)}), "ST_DTYPE", 9),
    "lower-case dtype": (file({"a": entry("f32", [0], 0, 0)}), "ST_DTYPE", 9),
    "dtype of another type": (file({"a": entry(["U8"], [0], 0, 0)}), "ST_DTYPE", 9),
    "no shape": (file({"a": entry("U8", None, 0, 0)}), "ST_SHAPE", 9),
    "negative dimension": (file({"a": entry("U8", [-1], 0, 0)}), "ST_SHAPE", 9),
    "true dimension": (file({"a": entry("U8", [True], 0, 1)}, b"0"), "ST_SHAPE", 9),
    "nine dimensions": (file({"a": entry("U8", [1] * 9, 0, 1)}, b"0"), "ST_SHAPE", 9),
    "overflowing shape": (file({"a": entry("U8", [2**32, 2**32], 0, 0)}), "ST_SHAPE", 9),
    "empty but huge": (file({"a": entry("U8", [0, 2**40, 2**40], 0, 0)}), "ST_SHAPE", 9),
    "float dimension": (file({"a": entry("U8", [1.0], 0, 1)}, b"0"), "ST_HEADER_JSON", 40),
    "float offset": (file({"a": entry("U8", [1], 0, 1.0)}, b"0"), "ST_HEADER_JSON", None),
    "integer too large": (file({"a": entry("U8", [2**53], 0, 0)}), "ST_HEADER_JSON", None),
    "negative offset": (file({"a": entry("U8", [1], -1, 0)}, b"0"), "ST_OFFSETS", 9),
    "reversed offsets": (file({"a": entry("U8", [1], 1, 0)}, b"0"), "ST_OFFSETS", 9),
    "one offset": (file({"a": entry("U8", [1], 0)}, b"0"), "ST_OFFSETS", 9),
    "three offsets": (file({"a": entry("U8", [1], 0, 1, 1)}, b"0"), "ST_OFFSETS", 9),
    "half a byte": (file({"a": entry("F4", [3], 0, 2)}, b"00"), "ST_SUB_BYTE", 9),
    "six bits": (file({"a": entry("F6_E2M3", [2], 0, 2)}, b"00"), "ST_SUB_BYTE", 9),
    "bytes for another shape": (file({"a": entry("F32", [2], 0, 4)}, b"0000"), "ST_LENGTH", 9),
    "overlap": (
        file({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"000"),
        "ST_OVERLAP",
        None,
    ),
    "one range twice": (
        file({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 0, 2)}, b"00"),
        "ST_OVERLAP",
        None,
    ),
    "hole": (
        file({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"000"),
        "ST_HOLE",
        None,
    ),
    "hole at the beginning": (file({"a": entry("U8", [1], 1, 2)}, b"00"), "ST_HOLE", None),
    "empty tensor beyond": (file({"a": entry("U8", [0], 9, 9)}), "ST_HOLE", None),
    "data cut short": (file({"a": entry("U8", [4], 0, 4)}, b"000"), "ST_TRUNCATED", None),
    "no data": (file({"a": entry("U8", [4], 0, 4)}), "ST_TRUNCATED", None),
    "tail": (file({"a": entry("U8", [1], 0, 1)}, b"0PK\x03\x04"), "ST_TAIL", None),
    "tail behind nothing": (file({}, b"0"), "ST_TAIL", 10),
    "metadata is no object": (file({"__metadata__": "a"}), "ST_METADATA", None),
    "metadata is null": (file({"__metadata__": None}), "ST_METADATA", None),
    "metadata holds a number": (file({"__metadata__": {"a": 1}}), "ST_METADATA", None),
    "metadata nests": (file({"__metadata__": {"a": {}}}), "ST_METADATA", None),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_hostile_file_is_refused(case: str) -> None:
    data, code, offset = REFUSED[case]
    with pytest.raises(PeerError) as refusal:
        strict.parse(data)
    assert refusal.value.code == code
    assert offset is None or refusal.value.offset == offset


def test_faults_in_the_data_are_placed_in_the_file() -> None:
    text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    with pytest.raises(PeerError) as refusal:
        strict.parse(file(text, b"0 tail"))
    assert (refusal.value.code, refusal.value.offset) == ("ST_TAIL", 8 + len(text) + 1)


def test_the_reference_takes_files_that_we_refuse() -> None:
    # Why this reader exists; when the reference gets stricter, this list gets shorter.
    lax = [
        case
        for case in (
            "padding of newlines",
            "leading space",
            "zero byte in a name",
            "one name twice",
        )
        if deserialize(REFUSED[case][0]) is not None
    ]
    assert lax == ["padding of newlines", "leading space", "zero byte in a name", "one name twice"]


def test_a_header_is_read_without_the_data() -> None:
    data = strict.encode({"a": np.zeros((100, 100), np.float32)})
    header = strict.parse(data)
    assert strict.parse_header(data[: header.data_offset], len(data)) == header
    for cut in (0, 7, 8, header.data_offset - 1):
        with pytest.raises(PeerError, match="ST_TRUNCATED"):
            strict.parse_header(data[:cut], len(data))


def test_the_length_of_a_header_has_the_limit_of_the_caller() -> None:
    data = strict.encode({"a": np.zeros(3, np.float32)}, header_size=128)
    assert strict.parse(data, header_bytes_max=128).data_offset == 136
    with pytest.raises(PeerError, match="ST_HEADER_SIZE"):
        strict.parse(data, header_bytes_max=127)


def test_the_file_has_not_changed() -> None:
    # Bytes on the wire: payload digests depend on every one of them.
    tensors = {
        "layer.1/weight": np.arange(6, dtype=np.int32).reshape(2, 3),
        "layer.1/bias": np.array([-1, 0, 1], np.int32),
        "é": np.array(True),  # noqa: FBT003  # a scalar of type BOOL
    }
    data = strict.encode(tensors, header_size=512, metadata={"format": "seawall"})
    assert data == (GOLDEN / "tensors.safetensors").read_bytes()
    assert data[8:520].rstrip(b" ").endswith(b"}")
    order = [tensor.name for tensor in strict.parse(data).tensors]
    assert order == ["layer.1/bias", "layer.1/weight", "é"]


@given(TENSORS)
def test_the_bytes_do_not_depend_on_the_order_given(tensors: dict[str, Array]) -> None:
    backwards = dict(reversed(tensors.items()))
    assert sha256(strict.encode(tensors)) == sha256(strict.encode(backwards))


def test_layout_in_memory_does_not_matter() -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    expected = strict.encode({"a": array})
    assert strict.encode({"a": np.asfortranarray(array)}) == expected
    assert strict.encode({"a": array.astype(">i4")}) == expected
    assert strict.encode({"a": np.repeat(array, 2, axis=1)[:, ::2]}) == expected


def test_headers_are_padded_to_eight_or_to_a_fixed_size() -> None:
    tensors = {"a": np.zeros(1, np.int32)}
    assert strict.parse(strict.encode(tensors)).data_offset % 8 == 0
    assert strict.parse(strict.encode(tensors, header_size=4096)).data_offset == 4104
    assert strict.encode({}) == b"\x08" + bytes(7) + b"{}      "


@pytest.mark.parametrize(
    ("tensors", "header_size", "code"),
    [
        ({"a": np.zeros(1, np.int32)}, 16, "ST_HEADER_SIZE"),
        ({"a": np.zeros(1, np.int32)}, 100, "ST_HEADER_SIZE"),
        ({"a": np.zeros(1, np.int32)}, 16 * 2**20, "ST_HEADER_SIZE"),
        ({"a": np.zeros(1, np.complex128)}, None, "ST_DTYPE"),
        ({"a": np.array(["x"])}, None, "ST_DTYPE"),
        ({"a": np.array([None])}, None, "ST_DTYPE"),
        ({"": np.zeros(1, np.int32)}, None, "ST_NAME"),
        ({"__metadata__": np.zeros(1, np.int32)}, None, "ST_METADATA"),
        ({"a": np.zeros([1] * 9, np.int32)}, None, "ST_SHAPE"),
    ],
)
def test_what_readers_refuse_is_never_written(
    tensors: dict[str, Array], header_size: int | None, code: str
) -> None:
    with pytest.raises(LocalError, match=code):
        strict.encode(tensors, header_size=header_size)


def test_views_share_memory_and_cannot_be_written() -> None:
    data = bytearray(strict.encode({"a": np.arange(4, dtype=np.int32)}))
    header = strict.parse(memoryview(data))
    view = strict.tensor_views(memoryview(data), header)["a"]
    assert not view.flags.writeable
    data[header.data_offset] = 9
    assert view.tolist() == [9, 1, 2, 3]


def test_check_values_names_the_first_bad_element() -> None:
    good: dict[str, Array] = {"a": np.array([0, 1], np.uint8), "b": np.ones(3, np.float32)}
    data = strict.encode(good)
    header = strict.parse(data)
    strict.check_values(data, header)
    bad = strict.encode({**good, "b": np.array([1, 2, np.inf], np.float32)})
    with pytest.raises(PeerError) as refusal:
        strict.check_values(bad, header)
    assert refusal.value.code == "VAL_NOT_FINITE"
    assert refusal.value.offset == header.data_offset + 2 + 8


def test_check_values_refuses_odd_truth_values() -> None:
    data = file({"a": entry("BOOL", [3], 0, 3)}, b"\x00\x01\x02")
    header = strict.parse(data)
    assert isinstance(header, Header)
    with pytest.raises(PeerError) as refusal:
        strict.check_values(data, header)
    assert (refusal.value.code, refusal.value.offset) == ("ST_BOOL", len(data) - 1)
