"""Verdicts beside a commit: what is written comes back, and nothing else is read."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.codec import RECORD_BYTES, decode_verdicts, encode_verdicts, record_count
from seawall.domain.block import Batch, Ref
from seawall.domain.commit import Judgement, Verdict
from seawall.errors import PeerError
from tests.unit.codec.strategies import batches, digests, refs

HEAD_BYTES = 33 + 8
VERDICT_BYTES = 56


@st.composite
def verdict_lists(draw: st.DrawFn) -> list[Verdict]:
    """Draw verdicts; some of them are on one batch."""
    site = draw(st.integers(0, 2**16 - 1))
    some: list[Batch] = draw(st.lists(batches(site), min_size=1, max_size=3))
    made = []
    for batch in draw(st.lists(st.sampled_from(some), max_size=4)):
        places = st.sets(st.integers(0, record_count(batch.records_bytes) - 1), min_size=1)
        made.append(
            Verdict(
                block=draw(refs),
                batch=batch,
                first_index=draw(st.integers(0, 2**32 - 1)),
                positions=tuple(sorted(draw(places))),
                judgement=draw(st.sampled_from(Judgement)),
                rule=draw(st.integers(0, 255)),
            )
        )
    return made


@given(verdict_lists(), st.one_of(st.just(b""), digests))
def test_decoding_returns_what_was_encoded(verdicts: list[Verdict], digest: bytes) -> None:
    data = encode_verdicts(verdicts, digest)
    assert decode_verdicts(data) == (tuple(verdicts), digest)
    with pytest.raises(PeerError, match="VERDICT_TRAILING"):
        decode_verdicts(data + b"\0")
    with pytest.raises(PeerError, match="VERDICT_TRUNCATED"):
        decode_verdicts(data[:-1])


@given(verdict_lists(), st.data())
def test_whatever_is_read_is_written_alike(verdicts: list[Verdict], data: st.DataObject) -> None:
    written = bytearray(encode_verdicts(verdicts, bytes(32)))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_verdicts(bytes(written))
    except PeerError:
        return
    assert encode_verdicts(*decoded) == bytes(written)


def example(positions: Sequence[int] = (0, 2), number: int = 1) -> Verdict:
    """Return a verdict on a batch of three records."""
    batch = Batch(1, number, 0, bytes(3 * RECORD_BYTES), ())
    return Verdict(Ref(5, 1, bytes(32)), batch, 7, tuple(positions), Judgement.REJECT, 3)


def test_a_batch_is_written_once_however_often_it_is_judged() -> None:
    one = encode_verdicts([example((0,))], bytes(32))
    many = encode_verdicts([example((0,)), example((1,)), example((2,))], bytes(32))
    assert len(many) - len(one) == 2 * (VERDICT_BYTES + 4)


@pytest.mark.parametrize("positions", [(), (1, 1), (2, 0), (3,)])
def test_positions_ascend_within_their_batch(positions: tuple[int, ...]) -> None:
    with pytest.raises(PeerError, match="VERDICT_POSITIONS"):
        decode_verdicts(encode_verdicts([example(positions)], b""))


def test_an_unknown_judgement_is_refused() -> None:
    data = bytearray(encode_verdicts([example()], bytes(32)))
    data[len(data) - 8 - 6] = 4
    with pytest.raises(PeerError, match="VERDICT_JUDGEMENT"):
        decode_verdicts(bytes(data))


@pytest.mark.parametrize("size", [1, 31, 33, 255])
def test_a_digest_has_32_bytes_or_none(size: int) -> None:
    with pytest.raises(PeerError, match="VERDICT_DIGEST"):
        decode_verdicts(encode_verdicts([], bytes(size)))


def test_batches_stand_once_in_the_order_of_their_use() -> None:
    first, second = example(number=1), example(number=2)
    data = encode_verdicts([first, second], bytes(32))
    batch_bytes = (len(data) - HEAD_BYTES - 2 * (VERDICT_BYTES + 8)) // 2
    head, rest = data[:HEAD_BYTES], data[HEAD_BYTES:]
    one, other = rest[:batch_bytes], rest[batch_bytes : 2 * batch_bytes]
    verdicts = rest[2 * batch_bytes :]
    swapped = verdicts[VERDICT_BYTES + 8 :] + verdicts[: VERDICT_BYTES + 8]
    assert decode_verdicts(head + one + other + verdicts)[0] == (first, second)
    for wrong in (
        head + one + other + swapped,
        head + one + one + verdicts,
        encode_verdicts([first], bytes(32))[:33]
        + b"\0\0\0\2\0\0\0\1"
        + one
        + other
        + verdicts[: VERDICT_BYTES + 8],
        encode_verdicts([first], bytes(32))[:33]
        + b"\0\0\0\0\0\0\0\1"
        + verdicts[: VERDICT_BYTES + 8],
    ):
        with pytest.raises(PeerError, match="VERDICT_BATCH"):
            decode_verdicts(wrong)
