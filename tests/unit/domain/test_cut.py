from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.domain.cut import Candidate, Cut, CutPolicy, Drop, is_stale, select
from seawall.errors import LocalError

POLICY = CutPolicy(interval_ms=1000, k=3, k_min=2, staleness_max=4)
ROOTED = CutPolicy(interval_ms=1000, k=3, k_min=2, staleness_max=4, root_required=True)


def candidate(owner: int, *, base: int = 10, seq: int = 0, tie: int = 0) -> Candidate:
    return Candidate(
        update_id=bytes([tie, owner, base, seq]),
        contributor=bytes([owner]),
        base_version=base,
        seq=seq,
        num_examples=1,
        commit_index=0,
    )


def cut_at(
    clock_ms: int,
    candidates: Sequence[Candidate],
    last_included: Mapping[bytes, int] | None = None,
    *,
    policy: CutPolicy = POLICY,
    root_present: bool = False,
) -> Cut | None:
    return select(
        policy,
        candidates,
        last_included or {},
        head_version=10,
        clock_ms=clock_ms + 50_000,
        last_cut_clock_ms=50_000,
        root_present=root_present,
    )


def owners(cut: Cut | None) -> list[int]:
    assert cut is not None
    return [one.contributor[0] for one in cut.selected]


@pytest.mark.parametrize(
    ("clock_ms", "count", "due"),
    [
        (999, 9, False),
        (1000, 3, True),
        (1000, 2, False),
        (1999, 2, False),
        (2000, 2, True),
        (2000, 1, False),
        (9999, 1, False),
    ],
)
def test_a_cut_is_due_by_clock_and_count(clock_ms: int, count: int, *, due: bool) -> None:
    cut = cut_at(clock_ms, [candidate(owner) for owner in range(count)])
    assert (cut is not None) == due


@pytest.mark.parametrize(
    ("clock_ms", "root_present", "due", "root_used"),
    [
        (999, True, False, False),
        (1000, True, True, True),
        (1000, False, False, False),
        (1999, False, False, False),
        (2000, False, True, False),
        (2000, True, True, True),
    ],
)
def test_a_rooted_task_waits_for_the_root_up_to_the_limit(
    clock_ms: int, *, root_present: bool, due: bool, root_used: bool
) -> None:
    candidates = [candidate(owner) for owner in range(3)]
    cut = cut_at(clock_ms, candidates, policy=ROOTED, root_present=root_present)
    assert (cut is not None) == due
    assert (cut is not None and cut.root_used) == root_used


def test_a_task_without_a_root_ignores_one() -> None:
    cut = cut_at(1000, [candidate(owner) for owner in range(3)], root_present=True)
    assert cut is not None
    assert not cut.root_used


def test_a_cut_states_its_version_and_clock() -> None:
    cut = cut_at(1234, [candidate(owner) for owner in range(3)])
    assert cut is not None
    assert (cut.version, cut.clock_ms, cut.dropped) == (11, 51_234, ())


def test_least_recently_included_come_first_then_the_lower_id() -> None:
    candidates = [candidate(1), candidate(2), candidate(3), candidate(4, tie=1), candidate(5)]
    last_included = {b"\1": 9, b"\2": 0, b"\3": 10}
    # 4 and 5 were never included; version 0 is later than never.
    assert owners(cut_at(1000, candidates, last_included)) == [5, 4, 2]


def test_a_contributor_stands_with_its_newest_update() -> None:
    old, new = candidate(1, base=8, seq=9), candidate(1, base=9, seq=1)
    newest = candidate(1, base=9, seq=2)
    cut = cut_at(1000, [old, newest, new, candidate(2), candidate(3)])
    assert cut is not None
    assert [one for one in cut.selected if one.contributor == b"\1"] == [newest]
    assert cut.dropped == ((old, Drop.SUPERSEDED), (new, Drop.SUPERSEDED))


def test_equal_age_goes_to_the_lower_id() -> None:
    first, second = candidate(1, tie=0), candidate(1, tie=1)
    cut = cut_at(1000, [second, first, candidate(2), candidate(3)])
    assert cut is not None
    assert first in cut.selected
    assert cut.dropped == ((second, Drop.SUPERSEDED),)


def test_too_stale_updates_are_dropped_for_good() -> None:
    stale, last_chance = candidate(1, base=5), candidate(2, base=6)
    assert is_stale(POLICY, stale, 10)
    assert not is_stale(POLICY, last_chance, 10)
    cut = cut_at(1000, [stale, last_chance, candidate(3), candidate(4)])
    assert owners(cut) == [2, 3, 4]
    assert cut is not None
    assert cut.dropped == ((stale, Drop.STALE),)


def test_an_update_ahead_of_the_head_waits() -> None:
    ahead = candidate(1, base=11)
    cut = cut_at(1000, [ahead, candidate(1), candidate(2), candidate(3)])
    assert cut is not None
    assert ahead not in cut.selected
    assert cut.dropped == ()
    assert cut_at(1000, [ahead, candidate(2), candidate(3)]) is None


CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.integers(0, 7),
        base=st.integers(4, 12),
        seq=st.integers(0, 3),
        tie=st.integers(0, 2),
    ),
    max_size=30,
    unique_by=lambda one: one.update_id,
)
INCLUDED = st.dictionaries(st.integers(0, 7).map(lambda owner: bytes([owner])), st.integers(0, 10))


@given(CANDIDATES, INCLUDED, st.integers(0, 3000), st.booleans(), st.randoms())
def test_every_cut_keeps_the_rules_whatever_the_order(
    candidates: list[Candidate],
    included: dict[bytes, int],
    clock_ms: int,
    root_present: bool,  # noqa: FBT001 - Hypothesis passes it by position
    order: st.DataObject,
) -> None:
    shuffled = list(candidates)
    order.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis's Random
    cut = cut_at(clock_ms, candidates, included, policy=ROOTED, root_present=root_present)
    again = cut_at(clock_ms, shuffled, included, policy=ROOTED, root_present=root_present)
    assert cut == again
    if cut is None:
        return
    chosen = [one.contributor for one in cut.selected]
    assert len(set(chosen)) == len(chosen) <= POLICY.k
    assert len(chosen) >= POLICY.k_min
    assert all(6 <= one.base_version <= 10 for one in cut.selected)
    ranks = [included.get(one, -1) for one in chosen]
    assert ranks == sorted(ranks)
    eligible = {one.contributor for one in candidates if 6 <= one.base_version <= 10}
    left_out = [included.get(one, -1) for one in eligible if one not in chosen]
    assert not left_out or min(left_out) >= max(ranks)
    assert not set(cut.selected) & {one for one, _ in cut.dropped}


class Population:
    """Contributors who all have an update at every cut; some flood with many newer ones."""

    def __init__(self, size: int, flooders: int, flood: int) -> None:
        self.size, self.flooders, self.flood = size, flooders, flood
        self.included: dict[bytes, int] = {}
        self.cuts: list[list[int]] = []

    def run(self, policy: CutPolicy, versions: int) -> None:
        """Make a cut per version, each from fresh updates of everybody."""
        for version in range(versions):
            pending = [
                candidate(owner, base=version, seq=seq, tie=0 if owner < self.flooders else 9)
                for owner in range(self.size)
                for seq in range(self.flood if owner < self.flooders else 1)
            ]
            cut = select(
                policy,
                pending,
                self.included,
                head_version=version,
                clock_ms=1000 * (version + 1),
                last_cut_clock_ms=1000 * version,
            )
            assert cut is not None
            self.included.update((one.contributor, version + 1) for one in cut.selected)
            self.cuts.append(owners(cut))


@given(
    size=st.integers(4, 20),
    k=st.integers(1, 20),
    flooders=st.integers(0, 6),
    flood=st.integers(1, 9),
)
def test_flooding_buys_no_place(size: int, k: int, flooders: int, flood: int) -> None:
    """In c successive cuts with c k <= n everybody stands once: at most f of c k are bad."""
    k, flooders = min(k, size), min(flooders, size)
    world = Population(size, flooders, flood)
    world.run(CutPolicy(interval_ms=1000, k=k, k_min=1, staleness_max=4), 12)
    window = size // k
    for start in range(len(world.cuts) - window + 1):
        places = [owner for cut in world.cuts[start : start + window] for owner in cut]
        assert len(places) == len(set(places)) == window * k
        assert sum(owner < flooders for owner in places) <= flooders


def test_everybody_gets_a_turn_within_n_over_k_cuts() -> None:
    world = Population(20, 6, 8)
    world.run(CutPolicy(interval_ms=1000, k=7, k_min=1, staleness_max=4), 30)
    for start in range(len(world.cuts) - 2):
        seen = {owner for cut in world.cuts[start : start + 3] for owner in cut}
        assert seen == set(range(20))


@pytest.mark.parametrize(
    ("field", "value"),
    [("interval_ms", 0), ("k", 0), ("k", 5000), ("k_min", 0), ("k_min", 4), ("staleness_max", -1)],
)
def test_a_policy_outside_its_limits_is_refused(field: str, value: int) -> None:
    change: dict[str, Any] = {field: value}
    with pytest.raises(LocalError) as caught:
        replace(POLICY, **change)
    assert (caught.value.code, caught.value.field) == ("CUT_POLICY", field)
