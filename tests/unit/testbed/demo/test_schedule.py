import pytest

from seawall.testbed.demo.schedule import Attack, Kind, draw_schedule
from seawall.testbed.demo.settings import DemoSettings, full, short

SEEDS = range(1, 60)


def schedules(settings: DemoSettings) -> tuple[Attack, ...]:
    return draw_schedule(settings)


@pytest.mark.parametrize("form", [full, short])
def test_every_kind_of_attack_is_in_every_schedule(form: object) -> None:
    assert callable(form)
    for seed in SEEDS:
        found = [attack.kind for attack in schedules(form(seed))]
        assert sorted(set(found)) == sorted(Kind)
        assert found.count(Kind.KILL) == 2


def test_one_seed_draws_one_schedule() -> None:
    assert schedules(full(5)) == schedules(full(5))
    assert schedules(full(5)) != schedules(full(6))


@pytest.mark.parametrize("form", [full, short])
def test_attacks_start_in_order_and_before_the_end(form: object) -> None:
    assert callable(form)
    for seed in SEEDS:
        settings = form(seed)
        versions = [attack.version for attack in schedules(settings)]
        assert versions == sorted(versions)
        assert versions[0] >= 1
        assert versions[-1] < settings.versions


def test_nobody_attacks_a_site_that_is_down() -> None:
    for seed in SEEDS:
        plan = schedules(full(seed))
        for kill in (attack for attack in plan if attack.kind is Kind.KILL):
            for other in plan:
                meanwhile = kill.version <= other.version <= kill.until
                if other is not kill and meanwhile and other.number > kill.number:
                    assert kill.site not in (other.site, other.other)


def test_an_attack_on_two_sites_names_two() -> None:
    assert all(attack.site != attack.other for attack in schedules(full(2)))
