from dataclasses import replace

from seawall.sim.byzantine import forger
from seawall.sim.machinery import honest_machinery
from seawall.sim.plan import Passing, Plan
from tests.scenario.staging import heights, play


def test_forged_blocks_cost_the_forger_its_links_and_change_nothing(engine: str) -> None:
    honest = honest_machinery(engine)
    plan = Plan(seed=1, hostile={3: ()}, commits=60, passing=Passing.ALWAYS)
    world = play(plan, engine, replace(honest, hostile=forger(honest.engine)))
    assert world.passage.refused > 20
    assert min(heights(world)[:3]) >= 60
    names = {b.ref for seat in world.honest() for c in seat.ledger.commits for b in c.blocks}
    assert len({ref.slot for ref in names}) == len(names)
