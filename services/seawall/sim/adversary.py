"""A network adversary that sees every message in flight and decides when, or whether, it arrives.

`Aim` delays, for at most `bound_us` a message, what would let the next leader be decided directly.
It knows who leads where everybody does. With a coin it aims blindly, at one site after the other,
until the coin of a round is in flight; then it holds back certificates of that round's leader.
`ByRound` cuts the network anew in each round, as in *Twins* (Bano et al., arXiv 2004.10617).

A `ContestedWorld` is a world with such an adversary; `world_of` builds what a plan asks for.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from seawall.consensus.engine import (
    LatestQuery,
    LatestReply,
    Message,
    Output,
    Subscribe,
)
from seawall.domain.block import Ref, VerifiedBlock
from seawall.sim.aiming import Bystanders, Strategy
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.coin import CoinKind
from seawall.sim.machinery import Machinery
from seawall.sim.passing import blocks_of
from seawall.sim.plan import Aim, ByRound, Plan
from seawall.sim.union import UnionDag
from seawall.sim.world import World

if TYPE_CHECKING:
    from seawall.sim.seat import Seat

CERTIFICATE_ROUNDS: Final = 2
"""A certificate of a leader just revealed is held back until the target is so much further."""


class ContestedWorld(World):
    """A world in which the adversary of the plan has a say in every arrival."""

    def __init__(
        self,
        plan: Plan,
        machinery: Machinery,
        *,
        checkers: Sequence[Checker] = (),
        transcript: bool = False,
    ) -> None:
        """Build the world, with the adversary as its first onlooker."""
        super().__init__(plan, machinery, transcript=transcript)
        adversary = plan.adversary
        assert adversary is not None, "a contested world has an adversary"
        self._warden = Aimer(self, adversary) if isinstance(adversary, Aim) else Cutter(adversary)
        self.checkers = (self._warden, *checkers)

    def deliver(self, source: int, target: int, generation: int, message: Message) -> None:
        """Let a message arrive now."""
        super()._arrive(source, target, generation, message)

    def _arrive(self, source: int, target: int, generation: int, message: Message) -> None:
        if not self._warden.takes(self, source, target, generation, message):
            self.deliver(source, target, generation, message)


class Warden(Checker):
    """Sees what everybody sends, and may take messages before they arrive."""

    def __init__(self) -> None:
        """Start before the first proposal."""
        self.proposed: dict[int, int] = {}

    def on_output(self, world: World, seat: "Seat", output: Output) -> None:
        """Note for which round the seat has proposed."""
        for block in own_blocks(seat.author, output, proposed=True):
            self.proposed[seat.index] = max(self.proposed.get(seat.index, 0), block.ref.round)
            self.sees(world, seat, block)

    def sees(self, world: World, seat: "Seat", block: VerifiedBlock) -> None:
        """Take note of a new block in flight."""

    def takes(
        self, world: ContestedWorld, source: int, target: int, generation: int, message: Message
    ) -> bool:
        """Return whether a message that would arrive now does not."""
        raise NotImplementedError


class Cutter(Warden):
    """Loses what seats of different groups send in a round.

    The round of a message is the one for which its sender or its target has proposed last,
    whichever is higher. Questions at a start and subscriptions carry no blocks, and pass.
    """

    def __init__(self, plan: ByRound) -> None:
        """Cut as planned."""
        super().__init__()
        self._plan = plan

    def takes(
        self, world: ContestedWorld, source: int, target: int, generation: int, message: Message
    ) -> bool:
        """Return whether the two are in different groups of the round."""
        del generation
        round_ = max(self.proposed.get(source, 0), self.proposed.get(target, 0))
        if not 1 <= round_ <= len(self._plan.rounds) or world.now_us >= self._plan.until_us:
            return False
        if isinstance(message, LatestQuery | LatestReply | Subscribe):
            return False
        return not any(source in one and target in one for one in self._plan.rounds[round_ - 1])


class Aimer(Warden):
    """Holds messages back, in order on each link, for at most the bound of its plan."""

    def __init__(self, world: ContestedWorld, plan: Aim) -> None:
        """Aim at the leaders of this world's machinery, or blindly where a coin names them."""
        super().__init__()
        self._plan = plan
        committee = world.committee
        wave_length = world.plan.parameters.wave_length
        self._has_coin = world.plan.coin is not CoinKind.NONE
        self._random = Random(f"{world.plan.seed}/aim")
        self._named = partial(world.machinery.leaders, committee, world.plan)
        blind = partial(_in_turn, committee.size)
        leaders = blind if self._has_coin else self._named
        self._strategy: Strategy | Bystanders = Strategy(
            committee, wave_length, leaders, self._random
        )
        if plan.bystanders:
            self._strategy = Bystanders(committee, leaders, min(world.plan.hostile))
        self._decide_offset = wave_length - 1
        self._spare = committee.size - committee.quorum
        self._quorum = committee.quorum
        self._union = UnionDag(committee, wave_length)
        self._deciding: dict[int, set[int]] = {}
        self._certificates: dict[Ref, int] = {}
        self._queues: dict[tuple[int, int], deque[tuple[int, int, Message]]] = {}
        world.at(plan.until_us, partial(self._review_all, world))

    def sees(self, world: World, seat: "Seat", block: VerifiedBlock) -> None:
        """Learn from a block, and let go of what waited for its author to go on."""
        self._union.add(block)
        if self._has_coin:
            self._learn_coin(block.ref)
        assert isinstance(world, ContestedWorld), "the adversary's own world"
        for source, target in self._queues:
            if target == seat.index:
                world.at(world.now_us, partial(self._review, world, source, target))

    def takes(
        self, world: ContestedWorld, source: int, target: int, generation: int, message: Message
    ) -> bool:
        """Return whether a message is held back: for its own sake, or behind another."""
        if world.now_us >= self._plan.until_us:
            return False
        queue = self._queues.setdefault((source, target), deque())
        if not queue and not self._is_held(world, target, message):
            return False
        due_us = world.now_us + self._plan.bound_us
        queue.append((due_us, generation, message))
        world.at(due_us, partial(self._review, world, source, target))
        return True

    def _review(self, world: ContestedWorld, source: int, target: int) -> None:
        """Let go of what needs no longer be held, or has been for the whole bound."""
        queue = self._queues[source, target]
        over = world.now_us >= self._plan.until_us
        while queue:
            due_us, generation, message = queue[0]
            if not over and due_us > world.now_us and self._is_held(world, target, message):
                return
            queue.popleft()
            world.deliver(source, target, generation, message)

    def _review_all(self, world: ContestedWorld) -> None:
        for source, target in self._queues:
            self._review(world, source, target)

    def _is_held(self, world: ContestedWorld, target: int, message: Message) -> bool:
        """Return whether a block in this must not be seen yet.

        Nobody sees blocks of a round for which it has not proposed itself: they would tell it
        of others that are held back.
        """
        proposed = self.proposed.get(target, 0)
        author = world.seats[target].author
        for block in blocks_of(message):
            ref = block.ref
            until = max(
                ref.round,
                self._strategy.hidden_until(ref.round, ref.author, author),
                self._certificates.get(ref, 0) if ref.author != author else 0,
            )
            if proposed < until:
                return True
        return False

    def _learn_coin(self, ref: Ref) -> None:
        """Hold certificates of the leaders whom a coin in flight has just named."""
        round_ = ref.round - self._decide_offset
        authors = self._deciding.setdefault(ref.round, set())
        authors.add(ref.author)
        if round_ < 1 or len(authors) != self._quorum:
            return
        for leader_author in self._named(round_):
            for leader in self._union.at_slot((round_, leader_author)):
                deciding = self._union.at_round(ref.round)
                certifying = [one for one in deciding if self._union.certifies(one, leader)]
                for one in certifying[: self._spare]:
                    self._certificates[one] = ref.round + CERTIFICATE_ROUNDS


def _in_turn(size: int, round_: int) -> tuple[int, ...]:
    return (round_ % size,)


def world_of(
    plan: Plan,
    machinery: Machinery,
    *,
    checkers: Sequence[Checker] = (),
    transcript: bool = False,
) -> World:
    """Return the world of a plan, with an adversary when it has one."""
    kind = World if plan.adversary is None else ContestedWorld
    return kind(plan, machinery, checkers=checkers, transcript=transcript)
