"""What consensus costs when all is well: latency in message delays, messages, bytes, signatures.

Every link takes the same time δ, disks and ledgers none, and nobody waits on purpose, so that
a latency divided by δ is the number of message delays on the path. Nothing is said of CPU here:
`bench/` measures real processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from seawall.consensus.engine import ALL_PEERS, Blocks, Output, Submitted
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Judgement
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.coin import CoinKind
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US, FixedDelay
from seawall.sim.plan import Passing, Plan
from seawall.sim.workload import RecordSource, certified_batch
from seawall.sim.world import World

if TYPE_CHECKING:
    from seawall.sim.seat import Seat

DELAY_US: Final = 100 * MILLISECOND_US
WARM_UP_ROUNDS: Final = 8
CHECKED_SIZE_MAX: Final = 10
"""Up to this size all checkers are on and block bytes are verified."""

_WAVE_SYNC: Final = 3
_LARGE_ROUNDS: Final = 12

EXPECTED: Final[Mapping[int, tuple[int, int]]] = {3: (3, 4), 4: (4, 5), 5: (5, 6)}
"""Message delays by wave length: of a leader's block, of any other one."""

EXPECTED_FINAL: Final = 3
"""Message delays from a block's proposal to FINAL for its updates, at any wave length."""

PROTOCOLS: Final[Mapping[str, int]] = {"sync": 3, "async4": 4, "async5": 5}
"""Wave lengths by the name of a protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What to measure: `rounds` rounds of `size` sites, each with a batch of `updates` a delay."""

    size: int
    wave_length: int = _WAVE_SYNC
    rounds: int = 30
    updates: int = 4
    seed: int = 1

    @property
    def machinery_name(self) -> str:
        """Return which engine of the simulator's table runs it."""
        return "sync" if self.wave_length == _WAVE_SYNC else "async"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one case showed. Latencies are medians, in message delays.

    `leader` and `other` go from a block's proposal to its commit at any site, `final` from there
    to FINAL for its updates and `accepted` to the commit that delivers their ACCEPT, both at any
    site too; `update` and its 95th percentile from the hand-over of a batch to its site until that
    site's commit. Messages, bytes and signatures are those of all sites together, per committed
    update.
    """

    size: int
    wave_length: int
    leader: float | None
    other: float | None
    final: float | None
    accepted: float | None
    update: float | None
    update_p95: float | None
    rounds_per_delay: float
    updates_per_delay: float
    offered_per_delay: float
    messages: float
    bytes: float
    signatures: float
    commits: int


@dataclass(slots=True)
class _Tally:
    """Latencies in microseconds, and counts, of the measured part of a run."""

    leader: list[int] = field(default_factory=list)
    other: list[int] = field(default_factory=list)
    final: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    update: list[int] = field(default_factory=list)
    committed: int = 0
    messages: int = 0
    bytes: int = 0
    signatures: int = 0


class CostMeter(Checker):
    """Watches proposals, commits and messages from `from_us` on."""

    def __init__(self, from_us: int) -> None:
        """Count nothing before this virtual time."""
        self.tally = _Tally()
        self._from_us = from_us
        self._proposed: dict[Ref, int] = {}
        self._submitted: dict[tuple[int, int], tuple[int, int]] = {}

    def submitted(self, now_us: int, site: int, number: int, updates: int) -> None:
        """Take note of a batch handed to its site."""
        self._submitted[site, number] = (now_us, updates)

    def on_output(self, world: World, seat: "Seat", output: Output) -> None:
        """Take note of what a seat sends, accepts and delivers."""
        now_us, tally = world.now_us, self.tally
        for block in own_blocks(seat.author, output, proposed=True):
            self._proposed.setdefault(block.ref, now_us)
        if now_us < self._from_us:
            return
        for send in output.send:
            copies = len(world.network.peers[seat.index]) if send.peer == ALL_PEERS else 1
            tally.messages += copies
            if isinstance(send.message, Blocks):
                tally.bytes += copies * sum(len(block.raw) for block in send.message.blocks)
        tally.signatures += sum(
            _signatures(block) for block in world.accepted if block.ref.author != seat.author
        )
        for commit in output.deliver:
            for block in commit.blocks:
                self._commit(world, seat, block)
            for verdict in commit.verdicts:
                if verdict.judgement is Judgement.ACCEPT:
                    self._note(tally.accepted, now_us, verdict.block, len(verdict.positions))
        for final in output.final:
            self._note(tally.final, now_us, final.block, len(final.positions))

    def _note(self, into: list[int], now_us: int, ref: Ref, times: int) -> None:
        """Take note of a latency since a block was proposed, if that was in the measured part."""
        proposed_us = self._proposed.get(ref)
        if proposed_us is not None and proposed_us >= self._from_us:
            into.extend([now_us - proposed_us] * times)

    def _commit(self, world: World, seat: "Seat", block: VerifiedBlock) -> None:
        now_us, tally, ref = world.now_us, self.tally, block.ref
        leaders = world.machinery.leaders(world.committee, world.plan, ref.round)
        self._note(tally.leader if ref.author in leaders else tally.other, now_us, ref, 1)
        if ref.author != seat.author:
            return
        for batch in block.block.batches:
            submitted_us, updates = self._submitted[batch.site, batch.number]
            tally.committed += updates
            if submitted_us >= self._from_us:
                tally.update.extend([now_us - submitted_us] * updates)


def _signatures(block: VerifiedBlock) -> int:
    """Return how many signatures a site verifies for a block of another one."""
    content = block.block
    attestations = sum(len(batch.certificate) for batch in content.batches)
    return 1 + attestations + len(content.commit_votes)


class _Source:
    """Hands one batch to each site every message delay, at phases spread over the delay."""

    def __init__(self, world: World, meter: CostMeter, updates: int) -> None:
        self._world = world
        self._meter = meter
        self._updates = updates
        self._numbers = [0] * world.committee.size
        self._records = RecordSource()

    def begin(self) -> None:
        """Schedule the first batch of each site."""
        size = len(self._numbers)
        for site in range(size):
            self._schedule(site, DELAY_US * (2 * site + 1) // (2 * size))

    def _schedule(self, site: int, at_us: int) -> None:
        self._world.at(at_us, lambda: self._hand_over(site))

    def _hand_over(self, site: int) -> None:
        world = self._world
        self._numbers[site] += 1
        number = self._numbers[site]
        records = tuple([self._records.next() for _ in range(self._updates)])
        batch = certified_batch(world.committee, site, number, records)
        self._meter.submitted(world.now_us, site, number, self._updates)
        world.push(world.seats[site], Submitted(batches=(batch,)))
        self._schedule(site, world.now_us + DELAY_US)


def plan_of(case: Case) -> Plan:
    """Return the plan of a case: equal links, instant disks, no waiting on purpose."""
    is_checked = case.size <= CHECKED_SIZE_MAX
    plan = Plan(
        seed=case.seed,
        stakes=(1,) * case.size,
        parameters=ConsensusParameters(round_delay_ms_min=0, round_delay_ms_idle=0),
        delay=FixedDelay(delay_us=DELAY_US),
        sync_us=0,
        ledger_us=0,
        submit_every_us=0,
        limit_us=3_600 * SECOND_US,
        passing=Passing.ONCE if is_checked else Passing.REFERENCE,
    )
    if case.wave_length == _WAVE_SYNC:
        return plan
    return plan.asynchronous(case.wave_length, CoinKind.KEYED_HASH)


def measure(case: Case) -> Figures:
    """Run one case and return its figures.

    Raises:
        InvariantError: a checker found a violation.

    """
    from_us = WARM_UP_ROUNDS * DELAY_US
    until_us = from_us + case.rounds * DELAY_US
    meter = CostMeter(from_us)
    checkers = all_checkers() if case.size <= CHECKED_SIZE_MAX else ()
    machinery = honest_machinery(case.machinery_name)
    world = World(plan_of(case), machinery, checkers=(*checkers, meter))
    _Source(world, meter, case.updates).begin()
    world.advance(from_us)
    first = _highest_round(world)
    world.advance(until_us)
    tally = meter.tally
    committed = max(tally.committed, 1)
    delays = (until_us - from_us) / DELAY_US
    return Figures(
        size=case.size,
        wave_length=case.wave_length,
        leader=_in_delays(tally.leader, 0.5),
        other=_in_delays(tally.other, 0.5),
        final=_in_delays(tally.final, 0.5),
        accepted=_in_delays(tally.accepted, 0.5),
        update=_in_delays(tally.update, 0.5),
        update_p95=_in_delays(tally.update, 0.95),
        rounds_per_delay=(_highest_round(world) - first) / delays,
        updates_per_delay=tally.committed / delays,
        offered_per_delay=float(case.size * case.updates),
        messages=tally.messages / committed,
        bytes=tally.bytes / committed,
        signatures=tally.signatures / committed,
        commits=median_height(world),
    )


def median_height(world: World) -> int:
    """Return how many commits a site in the middle has made."""
    return int(median([seat.ledger.height for seat in world.seats]))


def _highest_round(world: World) -> int:
    return max(seat.engine.status().round for seat in world.seats if seat.engine is not None)


def _in_delays(values: Sequence[int], share: float) -> float | None:
    """Return a quantile in message delays; None without values."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] / DELAY_US


HEADER: Final = (
    *("n", "w", "leader δ", "other δ", "expected", "final δ", "accept δ", "update δ", "p95"),
    *("updates/δ", "offered", "rounds/δ", "messages", "bytes", "signatures"),
)


def row(figures: Figures) -> tuple[str, ...]:
    """Return the cells of a table's row under `HEADER`."""
    leader, other = EXPECTED[figures.wave_length]
    return (
        f"{figures.size}",
        f"{figures.wave_length}",
        _cell(figures.leader),
        _cell(figures.other),
        f"{leader}/{other}",
        _cell(figures.final),
        _cell(figures.accepted),
        _cell(figures.update),
        _cell(figures.update_p95),
        f"{figures.updates_per_delay:.0f}",
        f"{figures.offered_per_delay:.0f}",
        f"{figures.rounds_per_delay:.2f}",
        f"{figures.messages:.1f}",
        f"{figures.bytes:.0f}",
        f"{figures.signatures:.1f}",
    )


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def holds(figures: Figures) -> bool:
    """Return whether a case takes the message delays of the protocol, exactly."""
    found = (figures.leader, figures.other, figures.final)
    return found == (*EXPECTED[figures.wave_length], EXPECTED_FINAL)


def document(cases: Sequence[Figures]) -> dict[str, object]:
    """Return the figures as JSON values."""
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "SimBench",
        "delayMs": DELAY_US // MILLISECOND_US,
        "cases": [
            {
                **asdict(figures),
                "expected": EXPECTED[figures.wave_length],
                "expected_final": EXPECTED_FINAL,
                "holds": holds(figures),
            }
            for figures in cases
        ],
    }


def cases_of(sizes: Sequence[int], waves: Sequence[int], rounds: int, updates: int) -> list[Case]:
    """Return every size with every wave length; large sizes run a few rounds only."""
    found = [
        Case(size=size, wave_length=wave, rounds=rounds, updates=updates)
        for wave in waves
        for size in sizes
    ]
    return [
        case if case.size <= CHECKED_SIZE_MAX else replace(case, rounds=min(rounds, _LARGE_ROUNDS))
        for case in found
    ]
