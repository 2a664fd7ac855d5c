from hypothesis import given
from hypothesis import strategies as st

from seawall.ledger.state_root import TableDigest, combine

rows = st.dictionaries(st.integers(0, 2000), st.binary(max_size=5), max_size=30)


def digest_of(contents: dict[int, bytes]) -> bytes:
    table = TableDigest()
    for key, value in contents.items():
        table.set(key, value)
    return table.digest()


@given(rows, rows, st.randoms(use_true_random=False))
def test_the_digest_depends_on_the_contents_alone(
    first: dict[int, bytes],
    second: dict[int, bytes],
    random: "st.randoms",  # type: ignore[valid-type]  # a strategy's value has no public type
) -> None:
    table = TableDigest()
    for key, value in first.items():
        table.set(key, value)
        if len(value) == 1:
            table.digest()
    for key in first:
        table.remove(key)
    order = list(second)
    random.shuffle(order)  # type: ignore[attr-defined]  # as above
    for key in order:
        table.set(key, b"before")
        table.set(key, second[key])
    assert table.digest() == digest_of(second)


@given(rows, rows)
def test_other_contents_have_another_digest(
    first: dict[int, bytes], second: dict[int, bytes]
) -> None:
    assert (digest_of(first) == digest_of(second)) == (first == second)


def test_tables_do_not_run_into_each_other() -> None:
    a, b = digest_of({1: b"x"}), digest_of({2: b"x"})
    roots = {
        combine((a, b), 1, bytes(32), b""),
        combine((b, a), 1, bytes(32), b""),
        combine((a, b), 2, bytes(32), b""),
        combine((a, b), 1, b"\x01" * 32, b""),
        combine((a, b), 1, bytes(32), bytes(32)),
        combine((a, b), 1, bytes(32), b"\x01" * 32),
    }
    assert len(roots) == 6
