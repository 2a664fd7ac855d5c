from collections import Counter

import pytest

from seawall.sim.plan import Crash
from seawall.sim.profiles import PROFILES, SHARES, plan_of


@pytest.mark.parametrize("profile", PROFILES)
def test_faulty_stake_stays_below_one_third(profile: str) -> None:
    for seed in range(300):
        plan = plan_of(profile, seed)
        stake = sum(plan.stakes[author] for author in plan.faulty)
        assert 3 * stake < sum(plan.stakes), (profile, seed)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_fault_ends_by_the_time_the_plan_heals(profile: str) -> None:
    for seed in range(100):
        plan = plan_of(profile, seed)
        for fault in plan.faults:
            assert fault.at_us <= plan.heal_us
            if isinstance(fault, Crash):
                assert fault.restart_after_us is not None
                assert fault.seat < len(plan.authors)


def test_a_profile_and_a_seed_name_one_plan() -> None:
    assert plan_of("mix", 5) == plan_of("mix", 5)
    assert plan_of("mix", 5) != plan_of("mix", 6)


def test_all_committee_sizes_and_unequal_stakes_occur() -> None:
    plans = [plan_of("twins", seed) for seed in range(100)]
    sizes = Counter(len(plan.stakes) for plan in plans)
    assert sorted(sizes) == [4, 5, 6, 7]
    assert sum(len(set(plan.stakes)) > 1 for plan in plans) > 20
    assert any(len(plan.twins) > 1 for plan in plans)


def test_more_than_half_of_a_sweep_has_a_crash_partition_or_twin() -> None:
    assert sum(SHARES.values()) == 100
    assert sum(SHARES[name] for name in ("crash", "partition", "twins", "mix")) >= 50
