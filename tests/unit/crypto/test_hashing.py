from hashlib import sha256 as reference

from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.hashing import DIGEST_BYTES, sha256, tagged

PARTS = st.lists(st.binary(max_size=6), max_size=4)


def test_sha256_is_that_of_fips_180() -> None:
    assert sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert sha256(memoryview(b"xabcx")[1:4]) == sha256(b"abc")
    assert len(sha256(b"")) == DIGEST_BYTES


def test_tagged_hashes_the_documented_bytes() -> None:
    written_out = b"\x00\x00\x00\x03tag\x00\x00\x00\x02ab\x00\x00\x00\x00"
    assert tagged(b"tag", b"ab", b"") == reference(written_out).digest()
    assert tagged(b"") == reference(b"\x00\x00\x00\x00").digest()


@given(tag=st.binary(max_size=4), parts=PARTS, other_tag=st.binary(max_size=4), others=PARTS)
def test_different_calls_never_share_a_digest(
    tag: bytes, parts: list[bytes], other_tag: bytes, others: list[bytes]
) -> None:
    same_call = (tag, parts) == (other_tag, others)
    assert (tagged(tag, *parts) == tagged(other_tag, *others)) == same_call


@given(data=st.binary(min_size=2, max_size=12), cut=st.integers(min_value=0, max_value=12))
def test_where_the_parts_are_cut_matters(data: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    assert tagged(b"t", data[:cut], data[cut:]) != tagged(b"t", data)
