"""Bad payloads: safetensors files that must not be read, and values that no sum should meet."""

import json
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from seawall.formats.fxp24 import VALUE_MAX
from seawall.formats.task_payload import Layout
from tests.cases.authors import SMALL, Author, Signed
from tests.cases.case import Case, flip


def tensor_cases() -> Iterator[Case]:
    """Yield every row."""
    yield from _tensors()
    yield from _values()
    yield from _bytes()


_SIZE: Final = SMALL.payload_size_bytes


def _file(header: bytes, length: int | None = None) -> bytes:
    """Return a file of the task's size that begins with this header."""
    declared = len(header) if length is None else length
    return (declared.to_bytes(8, "little") + header).ljust(_SIZE, b"\x01")[:_SIZE]


def _entry(
    dtype: str = "I32", shape: object = (1,), offsets: object = (0, 4), **more: object
) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def _header(**tensors: object) -> bytes:
    return json.dumps(tensors).encode()


def _tensors() -> Iterator[Case]:
    def row(name: str, code: str, file: bytes, offset: int | None = None) -> Case:
        return Case(
            name=f"tensors: {name}",
            make=lambda author: author.signed(file),
            code=code,
            offset=offset,
        )

    long = 10**15
    yield row("header of 0 bytes", "ST_HEADER_SIZE", _file(b"{}", 0), 0)
    yield row("header above 8 MiB", "ST_HEADER_SIZE", _file(b"{}", (8 << 20) + 1), 0)
    yield row("header past the end", "ST_TRUNCATED", _file(b"{}", _SIZE), _SIZE)
    yield row("no brace first", "ST_HEADER_START", _file(b" {}     "), 8)
    yield row("padding other than spaces", "ST_PADDING", _file(b"{}\x00\x00"), 11)
    yield row("no JSON", "ST_HEADER_JSON", _file(b"{a}"), 9)
    yield row("name twice", "ST_NAME_TWICE", _file(b'{"a":1,"a":2}'), 15)
    yield row("odd name", "ST_NAME", _file(_header(**{"a\x00": _entry()})))
    yield row("unknown dtype", "ST_DTYPE", _file(_header(a=_entry("I128"))))
    yield row("extra member", "ST_FIELD", _file(_header(a=_entry(extra=1))))
    yield row("rank 9", "ST_SHAPE", _file(_header(a=_entry(shape=[1] * 9))))
    yield row("negative dimension", "ST_SHAPE", _file(_header(a=_entry(shape=[-1]))))
    yield row("huge beside 0", "ST_SHAPE", _file(_header(a=_entry(shape=[0, long, long]))))
    yield row("shape that overflows", "ST_SHAPE", _file(_header(a=_entry(shape=[long, long]))))
    yield row("reversed offsets", "ST_OFFSETS", _file(_header(a=_entry(offsets=[4, 0]))))
    yield row("negative offset", "ST_OFFSETS", _file(_header(a=_entry(offsets=[-4, 0]))))
    yield row("float offset", "ST_HEADER_JSON", _file(_header(a=_entry(offsets=[0.0, 4]))))
    yield row("bytes unlike the shape", "ST_LENGTH", _file(_header(a=_entry(offsets=[0, 8]))))
    yield row("half a byte", "ST_SUB_BYTE", _file(_header(a=_entry("F4", [1], [0, 1]))))
    yield row(
        "overlap",
        "ST_OVERLAP",
        _file(_header(a=_entry(), b=_entry(offsets=[2, 6]))),
    )
    yield row("hole", "ST_HOLE", _file(_header(a=_entry(offsets=[4, 8]))))
    yield row("tail", "ST_TAIL", _file(_header(a=_entry())))
    yield row(
        "metadata that is no text",
        "ST_METADATA",
        _file(_header(__metadata__={"a": 1}, a=_entry())),
    )


_LAYOUT: Final = Layout.of(SMALL)
_DATA_AT: Final = len(_LAYOUT.header)


def _of(dtype: str, shape: list[int], name: str = "weight") -> bytes:
    """Return a file with another second tensor."""
    tensors = {
        "bias": _entry(shape=[16], offsets=[0, 64]),
        name: _entry(dtype, shape, [64, 64 + 896]),
    }
    return _file(json.dumps(tensors).encode().ljust(_DATA_AT - 8))


def _vector(index: int, value: int) -> bytes:
    """Return a file of ones with one other value."""
    values = np.ones(_LAYOUT.size, dtype=np.int32)
    values[index] = value
    return _LAYOUT.encode(values)


def _values() -> Iterator[Case]:
    def row(name: str, code: str, file: bytes, field: str, offset: int | None = None) -> Case:
        return Case(
            name=f"values: {name}",
            make=lambda author: author.signed(file),
            code=code,
            field=field,
            offset=offset,
        )

    nan = np.full(_LAYOUT.size, np.nan, dtype="<f4").tobytes()
    yield row("float NaN", "VAL_DTYPE", _of("F32", [16, 14])[:_DATA_AT] + nan, "weight")
    yield row("truth values", "VAL_DTYPE", _of("BOOL", [16, 56]), "weight")
    yield row("other shape", "VAL_SHAPE", _of("I32", [14, 16]), "weight")
    yield row("other name", "VAL_NAMES", _of("I32", [16, 14], "weights"), "payload")
    yield row("other header", "VAL_MANIFEST", _of("I32", [16, 14]), "payload")
    for what, index, value in (
        ("above the grid", 3, VALUE_MAX + 1),
        ("below the grid", 0, -VALUE_MAX - 1),
        ("least integer", 5, -(2**31)),
    ):
        yield row(what, "VAL_RANGE", _vector(index, value), "payload", _DATA_AT + 4 * index)
    zero = _LAYOUT.encode(np.zeros(_LAYOUT.size, dtype=np.int32))
    yield row("all zero", "VAL_ZERO", zero, "payload")


def _bytes() -> Iterator[Case]:
    def sent(change: Callable[[bytes], bytes]) -> Callable[[Author], Signed]:
        def make(author: Author) -> Signed:
            update = author.update()
            return Signed(envelope=update.envelope, payload=change(update.payload))

        return make

    for what, code, change, offset in (
        ("one bit", "CHUNK_HASH", lambda data: flip(data, len(data) - 4), 0),
        ("one bit of the header", "CHUNK_HASH", lambda data: flip(data, 10), 0),
        ("cut off", "LENGTH", lambda data: data[:-1], None),
        ("extra byte", "LENGTH", lambda data: data + b"\x00", None),
    ):
        yield Case(
            name=f"payload: {what}", make=sent(change), code=code, field="payload", offset=offset
        )
