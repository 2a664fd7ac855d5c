import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.hashing import sha256
from seawall.domain.genesis import TensorSpec
from seawall.errors import LocalError, PeerError
from seawall.formats import safetensors
from seawall.formats.fxp24 import VALUE_MAX
from seawall.formats.task_payload import (
    HEADER_ALIGNMENT_BYTES,
    Layout,
    Scan,
    header_size_for,
    payload_digest,
)
from tests.cases.authors import SMALL, WIDE

LAYOUT = Layout.of(SMALL)
HEADER = len(LAYOUT.header)
VECTORS = st.integers(0, 2**32).map(
    lambda seed: np.random.default_rng(seed).integers(
        -VALUE_MAX, VALUE_MAX, LAYOUT.size, dtype=np.int32, endpoint=True
    )
)


def feed(scan: Scan, payload: bytes, words: int) -> None:
    for at in range(0, len(payload), 4 * words):
        scan.feed(payload[at : at + 4 * words])


@given(VECTORS)
def test_a_vector_comes_back(vector: np.ndarray) -> None:
    payload = LAYOUT.encode(vector)
    assert len(payload) == SMALL.payload_size_bytes
    assert (LAYOUT.decode(payload) == vector).all()
    assert payload_digest(payload) == sha256(payload)


@given(VECTORS)
def test_any_reader_finds_the_tensors(vector: np.ndarray) -> None:
    payload = LAYOUT.encode(vector)
    header = safetensors.parse(payload)
    views = safetensors.tensor_views(payload, header)
    arrays = LAYOUT.arrays(LAYOUT.decode(payload))
    assert sorted(views) == sorted(arrays)
    for name, array in arrays.items():
        assert (views[name] == array).all()
    assert (LAYOUT.flatten(arrays) == vector).all()


@given(VECTORS, st.integers(1, 300))
def test_pieces_are_judged_like_the_whole(vector: np.ndarray, words: int) -> None:
    vector[0] |= 1
    payload = LAYOUT.encode(vector)
    scan = Scan(LAYOUT)
    feed(scan, payload, words)
    scan.finish()


def test_a_bad_value_is_placed_in_the_file_wherever_the_pieces_end() -> None:
    vector = np.ones(LAYOUT.size, dtype=np.int32)
    vector[100] = VALUE_MAX + 1
    payload = LAYOUT.encode(vector)
    for words in (1, 7, 1000):
        with pytest.raises(PeerError) as caught:
            feed(Scan(LAYOUT), payload, words)
        assert (caught.value.code, caught.value.offset) == ("VAL_RANGE", HEADER + 400)
    with pytest.raises(PeerError) as caught:
        LAYOUT.decode(payload)
    assert (caught.value.code, caught.value.offset) == ("VAL_RANGE", HEADER + 400)


def test_a_scan_ends_with_the_file() -> None:
    payload = LAYOUT.encode(np.ones(LAYOUT.size, dtype=np.int32))
    for sent in (b"", payload[:8], payload[:-4], payload + bytes(4)):
        scan = Scan(LAYOUT)
        scan.feed(sent)
        with pytest.raises(PeerError) as caught:
            scan.finish()
        assert (caught.value.code, caught.value.offset) == ("LENGTH", len(sent))
    scan = Scan(LAYOUT)
    scan.feed(payload[:HEADER])
    scan.feed(bytes(len(payload) - HEADER))
    with pytest.raises(PeerError) as caught:
        scan.finish()
    assert caught.value.code == "VAL_ZERO"


def test_a_long_header_is_refused_before_it_is_there() -> None:
    layout = Layout.of(WIDE)
    prefix = memoryview((1 << 20).to_bytes(8, "little") + b"{" * 1000)
    with pytest.raises(PeerError) as caught:
        layout.check_header(prefix, layout.payload_size_bytes)
    assert (caught.value.code, caught.value.offset) == ("VAL_MANIFEST", 0)


def test_a_payload_of_another_length_has_no_vector() -> None:
    payload = LAYOUT.encode(np.ones(LAYOUT.size, dtype=np.int32))
    with pytest.raises(PeerError) as caught:
        LAYOUT.decode(payload + b"\x00")
    assert caught.value.code == "ST_TAIL"


def test_only_vectors_of_the_task_are_written() -> None:
    for vector in (np.ones(3, dtype=np.int32), np.ones(LAYOUT.size, dtype=np.int64)):
        with pytest.raises(LocalError) as caught:
            LAYOUT.encode(vector)  # type: ignore[arg-type]  # that is the fault
        assert caught.value.code == "VAL_SHAPE"


def test_only_arrays_of_the_task_are_flattened() -> None:
    arrays = LAYOUT.arrays(np.ones(LAYOUT.size, dtype=np.int32))
    with pytest.raises(LocalError) as caught:
        LAYOUT.flatten({"bias": arrays["bias"]})
    assert caught.value.code == "VAL_NAMES"
    with pytest.raises(LocalError) as caught:
        LAYOUT.flatten({**arrays, "weight": arrays["weight"].ravel()})
    assert (caught.value.code, caught.value.field) == ("VAL_SHAPE", "weight")


def test_a_header_size_leaves_room() -> None:
    tensors = (TensorSpec(name="a", shape=()), TensorSpec(name="b" * 200, shape=(2, 0)))
    size = header_size_for(tensors)
    assert size % HEADER_ALIGNMENT_BYTES == 0
    assert Layout(tensors, size).size == 1
