from dataclasses import replace

import pytest

from seawall.consensus.engine import Blocks, Message, Output
from seawall.sim.adversary import ContestedWorld, world_of
from seawall.sim.checking import Checker
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import FAST_PARAMETERS, Aim, ByRound, Plan
from seawall.sim.seat import Seat
from seawall.sim.world import World

DELAY_US = 20 * MILLISECOND_US
AIMED = Plan(
    seed=1,
    delay=FixedDelay(delay_us=DELAY_US),
    adversary=Aim(bound_us=SECOND_US, until_us=20 * SECOND_US),
    parameters=replace(FAST_PARAMETERS, leader_timeout_ms_max=4000),
)


class Clocked(ContestedWorld):
    """Keeps when each block left its author, and how long it took to each other seat."""

    def __init__(self, plan: Plan, engine: str) -> None:
        """Start before the first block."""
        self.travel_us: list[int] = []
        self.left_us: dict[bytes, int] = {}
        super().__init__(plan, honest_machinery(engine), checkers=(Departures(self),))

    def deliver(self, source: int, target: int, generation: int, message: Message) -> None:
        """Note how long news were on their way."""
        if isinstance(message, Blocks) and len(message.blocks) == 1:
            ref = message.blocks[0].ref
            if ref.author == source:
                self.travel_us.append(self.now_us - self.left_us[ref.digest])
        super().deliver(source, target, generation, message)


class Departures(Checker):
    """Notes when each block is sent for the first time."""

    def __init__(self, clocked: Clocked) -> None:
        """Note it in this world."""
        self._clocked = clocked

    def on_output(self, world: World, seat: Seat, output: Output) -> None:
        """Look at what leaves."""
        del seat
        for send in output.send:
            if isinstance(send.message, Blocks):
                for block in send.message.blocks:
                    self._clocked.left_us.setdefault(block.ref.digest, world.now_us)


@pytest.mark.parametrize("engine", ["sync", "async"])
def test_no_message_is_held_for_longer_than_the_bound(engine: str) -> None:
    plan = AIMED if engine == "sync" else AIMED.asynchronous(4)
    world = Clocked(plan, engine)
    world.advance(15 * SECOND_US)
    assert len(world.travel_us) > 100
    held = [travel for travel in world.travel_us if travel > DELAY_US]
    assert len(held) > 20
    assert max(held) <= DELAY_US + SECOND_US


def test_after_the_attack_nothing_is_held() -> None:
    world = Clocked(replace(AIMED, adversary=Aim(bound_us=SECOND_US, until_us=SECOND_US)), "sync")
    world.advance(2 * SECOND_US)
    world.travel_us.clear()
    world.advance(4 * SECOND_US)
    assert set(world.travel_us) == {DELAY_US}


def test_an_adversary_is_as_deterministic_as_its_world() -> None:
    plans = [AIMED.asynchronous(5), AIMED.asynchronous(5), replace(AIMED, seed=2).asynchronous(5)]
    ends = []
    for plan in plans:
        world = world_of(plan, honest_machinery("async"))
        world.advance(10 * SECOND_US)
        ends.append([[one.digest for one in seat.ledger.commits] for seat in world.seats])
    assert ends[0] == ends[1] != ends[2]


def test_a_cut_round_lasts_until_the_network_is_whole() -> None:
    apart = ByRound(rounds=(((0, 1), (2, 3)),), until_us=SECOND_US)
    world = world_of(Plan(seed=1, adversary=apart, delay=FixedDelay()), honest_machinery("sync"))
    world.advance(900 * MILLISECOND_US)
    engines = [seat.engine for seat in world.seats]
    assert [engine.status().round for engine in engines if engine] == [1, 1, 1, 1]
    world.advance(8 * SECOND_US)
    assert min(world.outcome().commits) > 10


def test_a_plan_without_an_adversary_has_an_ordinary_world() -> None:
    assert type(world_of(Plan(seed=1), honest_machinery("sync"))) is World
