"""Twins beside a commit: what is written comes back, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from seawall.codec import decode_twins, encode_twins
from seawall.domain.block import Ref
from seawall.domain.commit import Twins
from seawall.errors import PeerError
from tests.unit.codec.strategies import digests, refs

TWINS_BYTES = 212
signatures = st.binary(min_size=64, max_size=64)


@st.composite
def pairs(draw: st.DrawFn) -> Twins:
    """Draw two blocks of one slot."""
    first = draw(refs)
    digest = draw(digests.filter(lambda one: one != first.digest))
    return Twins(first, draw(signatures), replace(first, digest=digest), draw(signatures))


@given(st.lists(pairs(), max_size=4))
def test_decoding_returns_what_was_encoded(some: list[Twins]) -> None:
    data = encode_twins(some)
    assert len(data) == TWINS_BYTES * len(some)
    assert list(decode_twins(data)) == some
    with pytest.raises(PeerError, match="TWINS_TRUNCATED"):
        decode_twins(data + b"\0")


@pytest.mark.parametrize(
    "second", [Ref(4, 1, b"b" * 32), Ref(3, 2, b"b" * 32), Ref(3, 1, b"a" * 32)]
)
def test_blocks_of_two_slots_or_one_block_are_no_twins(second: Ref) -> None:
    twins = Twins(Ref(3, 1, b"a" * 32), bytes(64), second, bytes(64))
    with pytest.raises(PeerError, match="TWINS_SLOT"):
        decode_twins(encode_twins([twins]))
