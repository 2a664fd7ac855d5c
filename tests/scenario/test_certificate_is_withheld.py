"""A certificate is withheld from all but one site, which then names a block with a lost parent.

Without the newest blocks in a BELOW_GC answer the others could neither get that parent nor
collect enough to go on without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import pytest

from seawall.codec import genesis_ref
from seawall.consensus.dag import engine as engine_module
from seawall.consensus.dag.synchroniser import Synchroniser
from seawall.consensus.engine import (
    BelowGc,
    CommitHistory,
    Engine,
    Identity,
    Record,
    Woken,
)
from seawall.domain.block import Ref
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery, permutation_leaders
from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import FAST_PARAMETERS, Partition, Plan, Sight
from seawall.sim.world import World
from tests.scenario.puppet import Onlooker, Puppet, Steered
from tests.scenario.staging import heights, stage

SHALLOW = replace(FAST_PARAMETERS, gc_depth=8)
AHEAD, SECOND, DOUBTING, ATTACKER = range(4)
HONEST = (AHEAD, SECOND, DOUBTING)
SLOW_US = 600 * MILLISECOND_US


class Attack:
    """One run in which the attacker lets one site commit a leader that the others cannot.

    Leader L of round r gets the votes of all three honest sites. The doubting site proposes its
    block of round r + 2 before it has seen the second one's vote, so that only two honest blocks
    certify L. The attacker gives the third certificate to the site ahead alone, with a block on
    top whose own parent, just at the new gc round there, does not exist.
    """

    def __init__(self, engine: str) -> None:
        """Set the stage; `play` runs it."""
        self.delay = Steered()
        self.answers = Onlooker(BelowGc)
        self.plan = Plan(
            seed=1, parameters=SHALLOW, hostile={ATTACKER: ()}, delay=self.delay, sync_us=0
        )
        parts = replace(honest_machinery(engine), hostile=self._build)
        self.world = World(self.plan, parts, checkers=(*all_checkers(), self.answers))
        self.zones = [member.zone for member in self.world.committee.members]
        self.certificate = Ref(0, 0, bytes(32))
        for zone in self.zones:
            self.delay.of[self.zones[ATTACKER], zone] = MILLISECOND_US
            self.delay.of[zone, self.zones[ATTACKER]] = MILLISECOND_US

    def _build(
        self,
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Engine:
        del parameters, recovered, history
        self.puppet = Puppet(identity, committee)
        return self.puppet

    def play(self) -> None:
        """Bring the sites to the point where only a BELOW_GC answer helps."""
        self.world.advance(3 * SECOND_US)
        round_ = self._leader_round(self._proposed(AHEAD) + 3)
        self._until(lambda: all((round_, site) in self.puppet.held for site in HONEST))
        self._slow(SECOND, DOUBTING)
        leader = permutation_leaders(self.world.committee, self.plan, round_)[0]
        blame = self._blame(round_, leader)
        self._until(lambda: self._proposed(AHEAD) > round_)
        self._slow(AHEAD, DOUBTING)
        self._until(lambda: self._proposed(DOUBTING) > round_ + 1)
        self.delay.of.clear()
        self._until(lambda: self._proposed(AHEAD) > round_ + 2)
        self._withhold(round_, blame)

    def _leader_round(self, at_least: int) -> int:
        """Return a round whose first leader is honest."""
        leaders = permutation_leaders
        while leaders(self.world.committee, self.plan, at_least)[0] == ATTACKER:
            at_least += 1
        return at_least

    def _proposed(self, site: int) -> int:
        engine = self.world.seats[site].engine
        assert engine is not None, "honest sites run"
        return engine.status().last_proposed_round

    def _until(self, condition: Callable[[], bool]) -> None:
        limit_us = self.world.now_us + 2 * SECOND_US
        while not condition():
            assert self.world.now_us < limit_us, "the attack does not go as it is meant to"
            self.world.advance(self.world.now_us + MILLISECOND_US)

    def _slow(self, source: int, target: int) -> None:
        self.delay.of[self.zones[source], self.zones[target]] = SLOW_US

    def _refs(self, round_: int, sites: Sequence[int] = HONEST) -> tuple[Ref, ...]:
        return tuple(self.puppet.held[round_, site] for site in sites)

    def _blame(self, round_: int, leader: int) -> Ref:
        """Give the doubting site a block that blames the leader, as its third of round r + 1."""
        committee = self.world.committee
        first = genesis_ref(committee.origin, committee.epoch, ATTACKER)
        others = tuple(site for site in HONEST if site != leader)
        below = self.puppet.make(round_, (first, *self._refs(round_ - 1)), 0)
        above = self.puppet.make(round_ + 1, (below.ref, *self._refs(round_, others)), 0)
        self.puppet.say(DOUBTING, below, above)
        self.world.push(self.world.seats[ATTACKER], Woken())
        return above.ref

    def _withhold(self, round_: int, blame: Ref) -> None:
        """Give the site ahead the certificate, and a block on top with a parent that is lost."""
        lost = Ref(round_ - SHALLOW.gc_depth, ATTACKER, bytes(32))
        certificate = self.puppet.make(round_ + 2, (blame, *self._refs(round_ + 1)), 0)
        top = self.puppet.make(round_ + 3, (lost, *self._refs(round_ + 2)), 0)
        self.certificate = certificate.ref
        self.puppet.say(AHEAD, certificate, top)
        self.world.push(self.world.seats[ATTACKER], Woken())


@pytest.mark.parametrize("seed", range(4))
def test_an_old_parent_that_only_a_late_site_holds_halts_nobody(engine: str, seed: int) -> None:
    """Twin blocks reach site 3 alone; cut off with them it names them when they are below gc."""
    alone = Sight(at_us=200 * MILLISECOND_US, blind=((4, 1), (4, 2), (0, 3)))
    world = stage(Plan(seed=seed, parameters=SHALLOW, twins=(0,), faults=(alone,)), engine)
    world.advance(SECOND_US)
    world.apply(Partition(at_us=world.now_us, groups=((3, 4),)))
    world.advance(4 * SECOND_US)
    before = heights(world)
    world.apply(Partition(at_us=world.now_us))
    world.crash(4, restart_after_us=None)
    world.advance(12 * SECOND_US)
    assert min(heights(world)[:4]) > max(before) + 20
    last = world.seats[1].ledger.commits[-20:]
    assert any(block.ref.author == 3 for commit in last for block in commit.blocks)


class Terse(Synchroniser):
    """Says BELOW_GC, and does not send the newest blocks with it."""

    def on_fetch(self, peer: int, refs: tuple[Ref, ...], now_us: int) -> None:
        """Answer, and take the blocks out again."""
        super().on_fetch(peer, refs, now_us)
        sends = self._core.effects.sends
        for place, send in enumerate(sends):
            if isinstance(send.message, BelowGc):
                bare = msgspec.structs.replace(send.message, blocks=())
                sends[place] = msgspec.structs.replace(send, message=bare)


def told(attack: Attack, site: int) -> tuple[BelowGc, tuple[int, ...]]:
    """Return the first answer that the site ahead sent to this one, and all heights then."""
    for sent in attack.answers.sent:
        if (sent.source, sent.peer) == (AHEAD, site) and isinstance(sent.message, BelowGc):
            return sent.message, sent.heights
    raise AssertionError("no BELOW_GC answer")


def test_blocks_in_a_below_gc_answer_set_halted_sites_free(engine: str) -> None:
    attack = Attack(engine)
    attack.play()
    world = attack.world
    world.advance(world.now_us + 3 * SECOND_US)
    for site in (SECOND, DOUBTING):
        answer, then = told(attack, site)
        assert attack.certificate in [block.ref for block in answer.blocks]
        assert then[site] < then[AHEAD], "only the site ahead can commit"
        assert heights(world)[site] > then[AHEAD] + 20


def test_without_those_blocks_they_stay_halted(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "Synchroniser", Terse)
    attack = Attack(engine)
    attack.play()
    with pytest.raises(InvariantError, match="I17"):
        attack.world.advance(attack.world.now_us + 15 * SECOND_US)
    for site in (SECOND, DOUBTING):
        _, then = told(attack, site)
        assert heights(attack.world)[site] == then[site] < then[AHEAD]
