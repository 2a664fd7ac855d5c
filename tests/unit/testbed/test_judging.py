import json

import pytest

from seawall.crypto.merkle import leaf_hash, root_of
from seawall.testbed.judging import Findings, convicted, disagreements, forks, strange_heads


def commit(index: int, digest: str) -> bytes:
    spec = {"index": str(index), "digest": digest}
    return json.dumps({"kind": "commit", "spec": spec}, separators=(",", ":")).encode()


def update(text: str) -> bytes:
    return json.dumps({"kind": "update", "spec": {"note": text}}, separators=(",", ":")).encode()


COMMON = (commit(1, "aa"), update('"kind":"commit"'), commit(2, "bb"))


def test_a_shorter_ledger_is_no_fork() -> None:
    assert forks({"site-0": COMMON, "site-1": COMMON[:2], "site-2": ()}) == ()


def test_a_ledger_with_another_entry_is_a_fork() -> None:
    assert forks({"site-0": COMMON, "site-1": (COMMON[0], update("other"))}) == ("site-1",)


def test_commits_of_two_digests_are_named() -> None:
    other = (commit(1, "aa"), commit(2, "cc"), commit(3, "dd"))
    assert disagreements({"site-0": COMMON, "site-1": other}) == (2,)
    assert disagreements({"site-0": COMMON, "site-1": COMMON[:1]}) == ()


def test_only_evidence_of_twins_convicts() -> None:
    entries = [
        json.dumps({"kind": kind, "spec": spec}, separators=(",", ":")).encode()
        for kind, spec in (
            ("evidence", {"kind": "twins", "subject": "site-3"}),
            ("evidence", {"kind": "vote", "subject": "site-1"}),
            ("note", {"kind": "twins", "subject": "site-2"}),
        )
    ]
    assert convicted(entries) == ("site-3",)
    assert convicted(COMMON) == ()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_heads_of_earlier_states_are_known_and_others_are_not(size: int) -> None:
    root = root_of(map(leaf_hash, COMMON[:size])).hex()
    assert strange_heads(COMMON, [(size, root)]) == ()
    assert strange_heads(COMMON, [(size, root), (size, "00" * 32)]) == ((size, "00" * 32),)


def test_heads_beyond_the_longest_ledger_are_not_judged() -> None:
    assert strange_heads(COMMON, [(4, "00" * 32)]) == ()


@pytest.mark.parametrize(
    "found",
    [
        Findings(lost=(("site-0", "aa", "RECEIPT_UNKNOWN"),)),
        Findings(forks=("site-1",)),
        Findings(digests=(2,)),
        Findings(heads=((1, "00"),)),
    ],
)
def test_anything_found_is_not_clean(found: Findings) -> None:
    assert Findings().clean
    assert not found.clean
