from collections import Counter

import pytest

from seawall.consensus.byzantine.table import BEHAVIOURS
from seawall.sim.plan import Crash, Passing
from seawall.sim.profiles import PROFILES, SHARES, plan_of


@pytest.mark.parametrize("profile", PROFILES)
def test_faulty_stake_stays_below_one_third(profile: str) -> None:
    for seed in range(300):
        plan = plan_of(profile, seed, engine=("sync", "async")[seed % 2])
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


@pytest.mark.parametrize("engine", ["async", "sync"])
def test_liars_follow_every_script_in_committees_of_four_to_ten(engine: str) -> None:
    plans = [plan_of("byzantine", seed, engine=engine) for seed in range(200)]
    assert sorted({len(plan.stakes) for plan in plans}) == list(range(4, 11))
    scripts = [one for plan in plans for two in plan.hostile.values() for one in two]
    coinless = {"garbage_shares"} if engine == "sync" else set()
    assert {script.behaviour for script in scripts} == set(BEHAVIOURS) - coinless
    assert all(plan.hostile and all(plan.hostile.values()) for plan in plans)
    assert max(len(plan.faulty) for plan in plans) >= 3
    assert any(plan.twins for plan in plans)
    assert all(set(plan.twins).isdisjoint(plan.hostile) for plan in plans)


def test_forgeries_are_verified_where_they_arrive() -> None:
    for seed in range(200):
        plan = plan_of("byzantine", seed)
        names = {one.behaviour for scripts in plan.hostile.values() for one in scripts}
        assert "forge" not in names or plan.passing is Passing.ONCE


def test_a_wave_length_can_be_asked_for() -> None:
    for wave_length in (4, 5):
        plan = plan_of("mix", 3, engine="async", wave_length=wave_length)
        assert plan.parameters.wave_length == wave_length


def test_more_than_half_of_a_sweep_has_a_crash_partition_or_twin() -> None:
    assert sum(SHARES.values()) == 100
    assert sum(SHARES[name] for name in ("crash", "partition", "twins", "mix")) >= 50
