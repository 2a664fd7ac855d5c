import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.merkle import EMPTY_ROOT
from seawall.errors import PeerError
from seawall.formats.checkpoint import SIZE_MAX, Checkpoint, parse_body, parse_decimal
from seawall.formats.signed_note import encode_base64, is_key_name

ROOT = encode_base64(bytes(range(32))).encode()
ORIGINS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def test_example_of_the_specification() -> None:
    body = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_body(body)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.body() == body


@given(
    origin=ORIGINS.filter(is_key_name),
    size=st.integers(min_value=1, max_value=SIZE_MAX),
    root=st.binary(min_size=32, max_size=32),
)
def test_round_trip(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_body(checkpoint.body()) == checkpoint


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "LOG_CHECKPOINT_LINES"),
        (b"log\n1\n", "LOG_CHECKPOINT_LINES"),
        (b"log\n1\n" + ROOT, "LOG_CHECKPOINT_LINES"),
        (b"log\n1\n" + ROOT + b"\nextension\n", "LOG_CHECKPOINT_EXTENSION"),
        (b"log\n1\n" + ROOT + b"\n\n", "LOG_CHECKPOINT_EXTENSION"),
        (b"log\n1\n" + ROOT + b"\nx", "LOG_CHECKPOINT_EXTENSION"),
        (b"\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (b"a log\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (b"a+log\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (b"a\x00log\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (b"\xff\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (b"a" * 256 + b"\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (("é" * 128).encode() + b"\n1\n" + ROOT + b"\n", "LOG_CHECKPOINT_ORIGIN"),
        (b"log\n\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n01\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n00\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n+1\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n-1\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n1_0\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n1.0\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n 1\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        ("log\n\u0661\n".encode() + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n9223372036854775808\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n" + b"9" * 5000 + b"\n" + ROOT + b"\n", "LOG_CHECKPOINT_SIZE"),
        (b"log\n1\n\n", "LOG_CHECKPOINT_ROOT"),
        (b"log\n1\n" + ROOT[:-1] + b"\n", "LOG_CHECKPOINT_ROOT"),
        (b"log\n1\n" + encode_base64(bytes(31)).encode() + b"\n", "LOG_CHECKPOINT_ROOT"),
        (b"log\n1\n" + encode_base64(bytes(33)).encode() + b"\n", "LOG_CHECKPOINT_ROOT"),
        (b"log\n0\n" + ROOT + b"\n", "LOG_CHECKPOINT_ROOT"),
    ],
)
def test_malformed_bodies(body: bytes, code: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_body(body)
    assert caught.value.code == code


def test_limits_that_are_still_inside() -> None:
    assert parse_body(b"log\n9223372036854775807\n" + ROOT + b"\n").size == SIZE_MAX
    assert len(parse_body(b"a" * 255 + b"\n1\n" + ROOT + b"\n").origin) == 255
    empty = Checkpoint("log", 0, EMPTY_ROOT)
    assert parse_body(empty.body()) == empty


@given(text=st.text("0123456789 +-_", max_size=21))
def test_decimals_have_one_spelling(text: str) -> None:
    value = parse_decimal(text.encode())
    assert value is None or (str(value) == text and 0 <= value <= SIZE_MAX)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("a b", 1, bytes(32)),
        Checkpoint("log\n5", 1, bytes(32)),
        Checkpoint("log", -1, bytes(32)),
        Checkpoint("log", SIZE_MAX + 1, bytes(32)),
        Checkpoint("log", 1, bytes(31)),
    ],
)
def test_writing_a_malformed_checkpoint_is_our_bug(checkpoint: Checkpoint) -> None:
    with pytest.raises(AssertionError):
        checkpoint.body()
