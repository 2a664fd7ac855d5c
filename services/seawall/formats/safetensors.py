"""A strict reader and a deterministic writer of safetensors files.

Two loaders must read one signed file alike, so everything that the format leaves open or that known
loaders let pass is refused: names given twice, holes, overlaps, tails, odd padding, extra members.
What this reader accepts, the reference implementation accepts with equal arrays.

Layout: 8 bytes little-endian length n, then n bytes of JSON header padded with spaces, then the
data, C order, little endian, without gaps.

Source: safetensors format description, README of huggingface/safetensors.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from seawall.errors import LocalError, PeerError
from seawall.formats import jcs
from seawall.formats.dtypes import BITS, BYTE_BITS, Array, first_refused, name_of, view
from seawall.formats.names import name_fault

LENGTH_BYTES: Final = 8
HEADER_BYTES_MAX: Final = 8 * 2**20
"""The longest JSON header; the reference implementation allows 100 MB."""

RANK_MAX: Final = 8
ALIGNMENT_BYTES: Final = 8
METADATA: Final = "__metadata__"
_DEPTH_MAX: Final = 3
_OFFSETS: Final = 2
_MEMBERS: Final = {"data_offsets", "dtype", "shape"}


class Tensor(msgspec.Struct, frozen=True):
    """One entry of a header.

    Attributes:
        name: as stored, Unicode normalisation form C.
        dtype: a key of `BITS`.
        shape: at most 8 dimensions; none means a scalar.
        start: first byte, counted from the beginning of the data.
        end: byte after the last, counted likewise.

    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Header(msgspec.Struct, frozen=True):
    """What a file holds.

    Attributes:
        tensors: in the order of their bytes.
        metadata: free text by name.
        data_offset: where the data begin in the file; offsets of tensors count from here.

    """

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]
    data_offset: int


def parse(data: bytes | memoryview, *, header_bytes_max: int = HEADER_BYTES_MAX) -> Header:
    """Return the header of a whole file.

    Args:
        data: the file.
        header_bytes_max: the longest JSON header to read.

    Raises:
        PeerError: as `parse_header`.

    """
    whole = memoryview(data)
    length = int.from_bytes(whole[:LENGTH_BYTES], "little")
    prefix = bytes(whole[: LENGTH_BYTES + min(length, header_bytes_max)])
    return parse_header(prefix, len(whole), header_bytes_max=header_bytes_max)


def parse_header(
    prefix: bytes, file_size: int, *, header_bytes_max: int = HEADER_BYTES_MAX
) -> Header:
    """Return the header at the beginning of a file.

    Args:
        prefix: the first bytes of the file, at least up to the end of the header.
        file_size: bytes in the whole file.
        header_bytes_max: the longest JSON header to read.

    Raises:
        PeerError: ST_* with the offset in the file.

    """
    text = _header_text(prefix, file_size, header_bytes_max)
    document = _document(text)
    metadata = _metadata(document.pop(METADATA, {}))
    tensors = [_tensor(name, value, text) for name, value in document.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.end, tensor.name.encode()))
    data_offset = LENGTH_BYTES + len(text)
    _check_layout(tensors, data_offset, file_size)
    return Header(tuple(tensors), metadata, data_offset)


def tensor_views(data: bytes | memoryview, header: Header) -> dict[str, Array]:
    """Return a read-only view of each tensor, sharing memory with `data`.

    A dtype that NumPy lacks comes as its bits: BF16 as uint16 and F8 as uint8 in the shape of the
    tensor, F4 and F6 as the packed bytes in one dimension.

    Args:
        data: the whole file that `header` was parsed from.
        header: its header.

    """
    content = memoryview(data)[header.data_offset :].toreadonly()
    return {
        tensor.name: view(content[tensor.start : tensor.end], tensor.dtype, tensor.shape)
        for tensor in header.tensors
    }


def check_values(data: bytes | memoryview, header: Header) -> None:
    """Refuse values that no computation should meet.

    Raises:
        PeerError: VAL_NOT_FINITE for NaN or infinity in any float dtype, ST_BOOL for a truth value
            other than 0 and 1, with the offset of the first such element.

    """
    content = memoryview(data)[header.data_offset :]
    for tensor in header.tensors:
        at = first_refused(content[tensor.start : tensor.end], tensor.dtype)
        if at is None:
            continue
        offset = header.data_offset + tensor.start + at
        if tensor.dtype == "BOOL":
            raise PeerError("ST_BOOL", "store truth values as 0 or 1", offset=offset)
        raise PeerError("VAL_NOT_FINITE", "send no NaN and no infinity", offset=offset)


def encode(
    tensors: Mapping[str, Array],
    *,
    header_size: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the one file for these tensors: data in byte order of the UTF-8 names.

    Args:
        tensors: arrays of bool, integers, float16, float32, float64 or complex64.
        header_size: bytes of JSON header including padding, a multiple of 8; None pads to the next
            multiple of 8. A fixed size puts equal coordinates at equal offsets in every file.
        metadata: free text by name.

    Raises:
        LocalError: ST_DTYPE, ST_HEADER_SIZE, or what a reader of the file would refuse.

    """
    document: dict[str, jcs.JsonInput] = {}
    pieces: list[bytes] = []
    end = 0
    for name in sorted(tensors, key=str.encode):
        array = np.asarray(tensors[name])
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        dtype = name_of(little.dtype)
        if dtype is None:
            raise LocalError("ST_DTYPE", "convert to a dtype of the format", field=name)
        pieces.append(little.tobytes())
        start, end = end, end + len(pieces[-1])
        document[name] = {
            "data_offsets": [start, end],
            "dtype": dtype,
            "shape": list(array.shape),
        }
    if metadata:
        document[METADATA] = dict(metadata)
    text = jcs.canonical(document)
    size = (
        -(-len(text) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES if header_size is None else header_size
    )
    if size < len(text) or size % ALIGNMENT_BYTES:
        hint = f"use a multiple of 8 that holds the header of {len(text)} bytes"
        raise LocalError("ST_HEADER_SIZE", hint, field="header_size")
    prefix = size.to_bytes(LENGTH_BYTES, "little") + text.ljust(size)
    try:
        parse_header(prefix, len(prefix) + end)
    except PeerError as error:
        raise LocalError(error.code, error.hint, field=error.field) from None
    return b"".join((prefix, *pieces))


def _header_text(prefix: bytes, file_size: int, size_max: int) -> bytes:
    """Return the JSON text of the header with its padding."""
    if file_size < LENGTH_BYTES or len(prefix) < LENGTH_BYTES:
        raise PeerError("ST_TRUNCATED", "send the header length, 8 bytes", offset=len(prefix))
    size = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if not 0 < size <= size_max:
        hint = f"send a header of 1 to {size_max} bytes"
        raise PeerError("ST_HEADER_SIZE", hint, offset=0)
    text = prefix[LENGTH_BYTES : LENGTH_BYTES + size]
    if len(text) < size or LENGTH_BYTES + size > file_size:
        raise PeerError("ST_TRUNCATED", "send the whole header", offset=len(prefix))
    if not text.startswith(b"{"):
        raise PeerError("ST_HEADER_START", "begin the header with a brace", offset=LENGTH_BYTES)
    end = len(text.rstrip(b" "))
    if text[end - 1 : end] != b"}":
        hint = "end the header with a brace and pad it with spaces only"
        raise PeerError("ST_PADDING", hint, offset=LENGTH_BYTES + end - 1)
    return text


def _document(text: bytes) -> dict[str, jcs.JsonValue]:
    """Return the JSON object of a header."""
    try:
        document = jcs.parse_strict(text.rstrip(b" "), size_max=len(text), depth_max=_DEPTH_MAX)
    except PeerError as error:
        offset = LENGTH_BYTES + (error.offset or 0)
        if error.code == "JSON_DUPLICATE_KEY":
            raise PeerError("ST_NAME_TWICE", "give each name once", offset=offset) from None
        raise PeerError("ST_HEADER_JSON", error.hint, offset=offset) from None
    assert isinstance(document, dict)  # the text begins with a brace
    return document


def _metadata(value: jcs.JsonValue) -> dict[str, str]:
    """Return the free text of a header."""
    metadata: dict[str, str] = {}
    if not isinstance(value, dict):
        raise PeerError("ST_METADATA", "send an object of strings", field=METADATA)
    for name, member in value.items():
        if not isinstance(member, str):
            raise PeerError("ST_METADATA", "send an object of strings", field=METADATA)
        metadata[name] = member
    return metadata


def _tensor(name: str, value: jcs.JsonValue, text: bytes) -> Tensor:
    """Return one entry of a header; its bytes are checked against its shape, not its place."""
    fault = name_fault(name)
    if fault is not None:
        raise PeerError("ST_NAME", fault, offset=_offset(name, text))
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        hint = "give each tensor data_offsets, dtype and shape, and nothing else"
        raise PeerError("ST_FIELD", hint, offset=_offset(name, text))
    dtype = value["dtype"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise PeerError("ST_DTYPE", "use a dtype of the format", offset=_offset(name, text))
    shape = _naturals(value["shape"])
    if shape is None or len(shape) > RANK_MAX:
        hint = f"send at most {RANK_MAX} dimensions, integers from 0"
        raise PeerError("ST_SHAPE", hint, offset=_offset(name, text))
    offsets = _naturals(value["data_offsets"])
    if offsets is None or len(offsets) != _OFFSETS or offsets[0] > offsets[1]:
        hint = "send two integers from 0, the first not greater"
        raise PeerError("ST_OFFSETS", hint, offset=_offset(name, text))
    if math.prod(max(size, 1) for size in shape) * BITS[dtype] > jcs.INTEGER_MAX:
        hint = "send dimensions whose product, zeros aside, is addressable"
        raise PeerError("ST_SHAPE", hint, offset=_offset(name, text))
    size_bits = math.prod(shape) * BITS[dtype]
    if size_bits % BYTE_BITS:
        hint = "pack sub-byte elements into whole bytes"
        raise PeerError("ST_SUB_BYTE", hint, offset=_offset(name, text))
    start, end = offsets
    if (end - start) * BYTE_BITS != size_bits:
        hint = "give each tensor the bytes of its shape and dtype"
        raise PeerError("ST_LENGTH", hint, offset=_offset(name, text))
    return Tensor(name, dtype, shape, start, end)


def _naturals(value: jcs.JsonValue) -> tuple[int, ...] | None:
    """Return an array of integers from 0, or None when it is not one."""
    if not isinstance(value, list):
        return None
    numbers = tuple(number for number in value if type(number) is int and number >= 0)
    return numbers if len(numbers) == len(value) else None


def _offset(name: str, text: bytes) -> int | None:
    """Return where the entry of a name begins in the file, unless its name is escaped there."""
    match = re.search(re.escape(msgspec.json.encode(name)) + rb"[ \t\r\n]*:", text)
    return None if match is None else LENGTH_BYTES + match.start()


def _check_layout(tensors: list[Tensor], data_offset: int, file_size: int) -> None:
    """Refuse data that the tensors, in order, do not cover exactly once."""
    end = 0
    for tensor in tensors:
        if tensor.start < end:
            hint = "let no two tensors share bytes"
            raise PeerError("ST_OVERLAP", hint, offset=data_offset + tensor.start)
        if tensor.start > end:
            raise PeerError("ST_HOLE", "leave no byte unused", offset=data_offset + end)
        end = tensor.end
    if data_offset + end > file_size:
        raise PeerError("ST_TRUNCATED", "send the bytes of every tensor", offset=file_size)
    if data_offset + end < file_size:
        raise PeerError("ST_TAIL", "send nothing after the last tensor", offset=data_offset + end)
