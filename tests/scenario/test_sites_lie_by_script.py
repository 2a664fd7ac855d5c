import pytest

from seawall.consensus.byzantine.table import BEHAVIOURS, Script
from seawall.sim.machinery import FACTORIES
from seawall.sim.plan import Plan
from tests.scenario.staging import play


@pytest.mark.parametrize("name", sorted(FACTORIES))
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_one_liar_of_four_neither_splits_nor_stops_the_others(behaviour: str, name: str) -> None:
    script = Script(behaviour=behaviour, peers=(1,), rounds=3)
    plan = Plan(seed=3, hostile={3: (script,)}, commits=20)
    world = play(plan.asynchronous(5) if name == "async" else plan, name)
    assert min(seat.ledger.height for seat in world.honest()) >= 20
    assert len(world.honest()) == 3


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_three_liars_of_ten_neither_split_nor_stop_the_others(name: str) -> None:
    plan = Plan(
        seed=4,
        stakes=(1,) * 10,
        hostile={
            0: (Script(behaviour="two_chains", peers=(1, 2, 3)), Script(behaviour="delay")),
            4: (Script(behaviour="equivocate", peers=(5, 6, 7, 8)), Script(behaviour="reject_all")),
            9: (Script(behaviour="forge"), Script(behaviour="censor", peers=(1, 2))),
        },
        commits=20,
    )
    world = play(plan.asynchronous(4) if name == "async" else plan, name)
    assert min(seat.ledger.height for seat in world.honest()) >= 20


def test_a_liar_that_forges_is_refused() -> None:
    plan = Plan(seed=5, hostile={3: (Script(behaviour="forge"),)}, commits=10)
    assert play(plan, "sync").passage.refused > 0
