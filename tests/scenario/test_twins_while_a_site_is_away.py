"""A site that was away while twins were delivered names them when it takes over the commits."""

from dataclasses import replace

import pytest
from msgspec import structs

from seawall.consensus.dag import engine as engine_module
from seawall.consensus.dag.core import Core
from seawall.consensus.engine import Commits
from seawall.domain.commit import Commit
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import FAST_PARAMETERS, Partition, Plan, Sight
from seawall.sim.world import World
from tests.scenario.puppet import Onlooker

SIZE = 7
AWAY, TWIN = SIZE - 1, SIZE
SHALLOW = replace(FAST_PARAMETERS, gc_depth=12)


class Careless(Core):
    """Takes over commits without what they say of twins."""

    def _adopt_one(self, commit: Commit) -> None:
        """Forget the twins of the commit just delivered."""
        super()._adopt_one(commit)
        self.effects.deliver[-1] = structs.replace(self.effects.deliver[-1], twins=())


def leave(engine: str) -> tuple[World, Onlooker]:
    """Return a world in which one site has been away while twins were delivered."""
    apart = Sight(
        at_us=150 * MILLISECOND_US,
        blind=tuple((TWIN, seat) for seat in (1, 2, 3)) + tuple((0, seat) for seat in (4, 5)),
    )
    plan = Plan(seed=1, stakes=(1,) * SIZE, twins=(0,), parameters=SHALLOW, faults=(apart,))
    onlooker = Onlooker(Commits)
    world = World(plan, honest_machinery(engine), checkers=(*all_checkers(), onlooker))
    world.advance(100 * MILLISECOND_US)
    world.apply(Partition(at_us=world.now_us, groups=((AWAY,),)))
    left_at = world.seats[AWAY].ledger.height
    world.advance(5 * SECOND_US)
    told = told_by(world, 1)
    assert told, "the scenario must deliver twins"
    assert all(commit.index > left_at for commit in told)
    return world, onlooker


def told_by(world: World, seat: int) -> list[Commit]:
    """Return the commits of a seat that name twins."""
    return [commit for commit in world.seats[seat].ledger.commits if commit.twins]


def come_back(world: World) -> None:
    """End the partition and let the site catch up."""
    world.apply(Partition(at_us=world.now_us))
    world.advance(9 * SECOND_US)


def test_a_site_far_behind_has_the_evidence_of_all_others(engine: str) -> None:
    world, onlooker = leave(engine)
    others = told_by(world, 1)
    come_back(world)
    assert (AWAY, "caught_up") in onlooker.observed
    assert told_by(world, AWAY)[: len(others)] == others


def test_commits_taken_over_without_their_twins_are_noticed(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "Core", Careless)
    world, _ = leave(engine)
    with pytest.raises(InvariantError, match="TWINS"):
        come_back(world)
