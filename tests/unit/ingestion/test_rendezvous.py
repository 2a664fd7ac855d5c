from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.hashing import sha256
from seawall.ingestion.rendezvous import order

ROOTS = st.binary(min_size=32, max_size=32)


@given(ROOTS, st.sets(st.integers(0, 100), max_size=10))
def test_every_site_has_its_place(root: bytes, sites: set[int]) -> None:
    assert sorted(order(root, sites)) == sorted(sites)


@given(ROOTS, st.integers(0, 9))
def test_a_site_that_leaves_moves_nobody_else(root: bytes, gone: int) -> None:
    whole = order(root, range(10))
    assert order(root, [site for site in range(10) if site != gone]) == [
        site for site in whole if site != gone
    ]


def test_the_work_is_spread() -> None:
    first = Counter(order(sha256(bytes([at // 256, at % 256])), range(5))[0] for at in range(2000))
    # 400 each on average; four standard deviations are 72.
    assert all(abs(count - 400) < 72 for count in first.values()), first
