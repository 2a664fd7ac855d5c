"""The invariants of what stays bounded: memory by the gc window, the lag of decisions when calm.

Numbers are those of docs/protocol.md, section 9.
"""

from typing import TYPE_CHECKING, Final

from seawall.consensus.dag.core import PENDING_MARGIN, Core
from seawall.consensus.dag.proposer import LATE_WAITS
from seawall.consensus.engine import Output
from seawall.domain.commit import Judgement
from seawall.sim.checkers import verdicts
from seawall.sim.checking import Checker
from seawall.sim.finality import FastPathChecker
from seawall.sim.judge import Judge, judged_in
from seawall.sim.network import SECOND_US, FixedDelay, LogNormalDelay, Loss, ZoneDelay
from seawall.sim.onlooker import ballot_rounds, core_of, held_rounds, suspended
from seawall.sim.plan import Crash

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.union_votes import Key
    from seawall.sim.world import World

CALM_US: Final = SECOND_US
"""So long after its last fault a network counts as fair: links and timers have recovered."""

WAVES_MAX: Final = 2
COIN_WAVES_MAX: Final = 16
ROUNDS_MARGIN: Final = 2
"""In fair stretches decisions lag by at most so many waves, and so many rounds more."""


class MemoryBounded(FastPathChecker):
    """I14: what a replica holds is bounded by the gc window.

    No block is held at or below the gc round of the last commit that is certified and in the own
    ledger; none is suspended, no ballot open and no verdict outstanding at or below that of the
    last commit. Suspended are at most gc_depth + 64 blocks an author. Locked are only keys that
    own votes have accepted and no commit has.
    """

    invariant = "I14"

    def __init__(self, judge: Judge) -> None:
        """Start before the first commit."""
        super().__init__(judge)
        self._voted: dict[int, set[Key]] = {}
        self._accepted: dict[int, set[Key]] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Keep the own votes of a step that a crash cut short."""
        super().on_start(world, seat)
        self._note_votes(world, seat)
        self._accepted[seat.index] = set()

    def look(self, world: "World", seat: "Seat", output: Output) -> None:
        """Measure the engine whenever a commit or certificate lets it forget something."""
        self._note_votes(world, seat)
        for commit in output.deliver:
            for ref, index, judgement, _ in judged_in(commit):
                if judgement is Judgement.ACCEPT:
                    self._accepted[seat.index].add(self.votes.update((ref, index))[0])
        core = core_of(seat.engine)
        if core is not None and (output.deliver or output.certify):
            problem = self._problem(world, seat, core)
            if problem is not None:
                raise world.violation(self.invariant, f"{seat.name} holds {problem}")

    def _note_votes(self, world: "World", seat: "Seat") -> None:
        """Keep the keys that own blocks accept, in their order."""
        voted = self._voted.setdefault(seat.index, set())
        for block in world.accepted:
            if block.ref.author == seat.author:
                for carrier, vote in self.votes.votes_of(block.ref):
                    for index, (key, _) in enumerate(carrier.updates):
                        if vote.accepts(index):
                            voted.add(key)

    def _problem(self, world: "World", seat: "Seat", core: Core) -> str | None:
        """Return what is held and should not be."""
        gc_depth, gc_round = world.plan.parameters.gc_depth, core.gc_round
        base = min(core.votes.certified_index, core.rooted_index)
        if 0 < base <= seat.ledger.height:
            floor = seat.ledger.commits[base - 1].leader.round - gc_depth
            oldest = min(held_rounds(core), default=floor + 1)
            if oldest <= floor:
                return f"blocks of round {oldest}, its certified commit needs those above {floor}"
        waiting = suspended(core)
        if any(ref.round <= gc_round for ref in waiting):
            return f"suspended blocks at or below its gc round {gc_round}"
        if len(waiting) > len(world.seats) * (gc_depth + PENDING_MARGIN):
            return f"{len(waiting)} suspended blocks"
        if any(round_ <= gc_round for round_ in ballot_rounds(core)):
            return f"votes on blocks at or below its gc round {gc_round}"
        pending = core.fast_path.finaliser.pending_count
        if pending > self._delivered_above(seat):
            return f"{pending} updates without verdict"
        lockable = self._voted[seat.index] - self._accepted[seat.index]
        if len(core.fast_path.locks) > len(lockable):
            return f"{len(core.fast_path.locks)} locks, {len(lockable)} keys are voted on and open"
        return None

    def _delivered_above(self, seat: "Seat") -> int:
        """Return how many updates were delivered that the last commit's gc round leaves open."""
        index = seat.engine.status().commit_index if seat.engine is not None else 0
        gc_round = self.judge.commits[index - 1].gc_round if index else 0
        count = 0
        for commit in reversed(self.judge.commits[:index]):
            if commit.leader.round <= gc_round:
                break
            for block in commit.blocks:
                carrier = self.votes.carriers.get(block.ref)
                if carrier is not None and block.ref.round > gc_round:
                    count += len(carrier.updates)
        return count


class DecidedLag(Checker):
    """I16: while a network is fair, decisions follow within a bounded number of rounds.

    Fair is a run by its plan alone, a while after the last fault and after the last message
    that was sent again, with every link up and nobody hostile. The bound is two waves and two
    rounds, one wave for a leader that is decided directly, one more for one that a later leader
    decides, and as many rounds as leaders that came late before are not waited for: their slots
    may be left to one another. With a coin nobody waits for leaders: each is decided directly
    with a probability only (4 of 180 honest runs at w = 4 were behind by 11 to 16 rounds), so
    that the bound is far enough up never to be met by chance.
    """

    invariant = "I16"

    def __init__(self) -> None:
        """Start before the first decision."""
        self._decided: dict[int, int] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Begin where the disk says; what it says is decided is delivered again."""
        del world
        self._decided[seat.index] = 0

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Compare the clock of an honest seat with the last round that it has decided in."""
        if seat.author in world.faulty:
            return
        decided = [slot[0] for slot, _, _ in verdicts(output)]
        decided += [commit.leader.round for commit in output.deliver]
        last = self._decided[seat.index] = max([self._decided[seat.index], *decided])
        assert seat.engine is not None, "a seat with an output runs"
        lag = seat.engine.status().round - last
        coin = world.committee.coin is not None
        waves_max, spared = (COIN_WAVES_MAX, 0) if coin else (WAVES_MAX, LATE_WAITS)
        rounds_max = waves_max * world.plan.parameters.wave_length + ROUNDS_MARGIN + spared
        if lag > rounds_max and is_fair(world):
            raise world.violation(
                self.invariant, f"{seat.name} has decided nothing for {lag} rounds"
            )


def is_fair(world: "World") -> bool:
    """Return whether nothing has been wrong with the network for a while."""
    plan, network = world.plan, world.network
    last_us = max(plan.heal_us, network.resent_until_us)
    if plan.adversary is not None:
        last_us = max(last_us, plan.adversary.until_us)
    for fault in plan.faults:
        back_us = fault.restart_after_us if isinstance(fault, Crash) else 0
        last_us = max(last_us, fault.at_us + (back_us or 0))
    if world.moves or plan.hostile or world.now_us < last_us + CALM_US:
        return False
    running = [seat for seat in world.seats if seat.replica is not None]
    return (
        isinstance(plan.delay, FixedDelay | LogNormalDelay | ZoneDelay)
        and network.loss == Loss()
        and len(running) == len(world.seats)
        and all(network.is_up(a, b) for a in range(len(running)) for b in network.peers[a])
    )
