"""One load on sites of limited capacity, with or without faults: throughput, latency, timeouts.

Links take 100 ms. Crashes and losses begin with the window that is measured, sites that lie do so
from the start. Clients of a site that fails go to the others: the load stays the same.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Final

from seawall.consensus.byzantine.table import Script, scripted
from seawall.consensus.engine import FetchBlocks, Output, Submitted
from seawall.domain.block import Batch
from seawall.domain.commit import Commit
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.bench import PROTOCOLS
from seawall.sim.capacity import Capacity, CapacityWorld
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.coin import CoinKind
from seawall.sim.machinery import FACTORIES, Machinery, honest_machinery
from seawall.sim.network import MILLISECOND_US, SECOND_US, Delay, FixedDelay, LogNormalDelay, Loss
from seawall.sim.plan import Crash, Fault, LossChange, Passing, Plan
from seawall.sim.seat import Seat
from seawall.sim.workload import RecordSource, certified_batch
from seawall.sim.world import World

DELAY_US: Final = 100 * MILLISECOND_US
JITTER_SIGMA: Final = 0.2
LOSS_SHARE: Final = 0.02

_BATCH_EVERY_US: Final = 50 * MILLISECOND_US
_LOAD_FROM_US: Final = 2 * SECOND_US
"""Sites have found each other by then: what gathers before would take long to go at 90 % load."""

_WARM_UP_US: Final = 6 * SECOND_US
_SYNC_US: Final = MILLISECOND_US


class Trouble(StrEnum):
    """What goes wrong in a run."""

    NONE = "none"
    CRASH = "f crashed"
    EQUIVOCATE = "f equivocate"
    SLOW = "f slow"
    LOSS = "2 % loss"


SCRIPTS: Final[Mapping[Trouble, Script]] = {
    Trouble.EQUIVOCATE: Script(behaviour="two_chains"),
    Trouble.SLOW: Script(behaviour="delay", rounds=1),
}
"""What faulty sites do that go on to talk; `peers` are filled in by the size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a study runs; `window_s` is how long it is measured."""

    size: int
    protocol: str
    jitter: bool = False
    seed: int = 1
    window_s: int = 16

    @property
    def faults(self) -> int:
        """Return f, the most faulty sites that the size tolerates."""
        return (self.size - 1) // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one run showed; times in milliseconds, rates in updates a second.

    `committed` updates were answered by the ledger of the site that they were handed to, on
    average `latency` later; `acknowledged` is the same up to the cosigned checkpoint. `by_timer`
    is the share of proposals of sound sites that waited for something in vain, `timeout_ms` the
    longest timeout that any of them came to. `core` and `ledger` are the busy shares of the
    busiest sound site.
    """

    trouble: Trouble
    offered: float
    throughput: float
    latency_p50_ms: float
    latency_p95_ms: float
    acknowledged_p50_ms: float
    round_ms: float
    timeout_ms: float
    by_timer: float
    fetches: int
    core: float
    ledger: float


@dataclass(slots=True)
class _Site:
    """What a sound site has done with what it was handed."""

    waiting: deque[tuple[int, int, int]] = field(default_factory=deque)
    """(commit index, handed over at, updates) of what no checkpoint covers yet."""


class _Meter(Checker):
    """Watches the sound sites during the window."""

    def __init__(self, sites: Sequence[int], from_us: int) -> None:
        """Watch these sites from this time on."""
        self._sites = {site: _Site() for site in sites}
        self._from_us = from_us
        self._handed: dict[tuple[int, int], int] = {}
        self.committed: list[tuple[int, int, int]] = []
        self.acknowledged: list[tuple[int, int]] = []
        self.timeout_us = 0
        self.proposals = 0
        self.by_timer = 0
        self.fetches = 0

    def handed(self, now_us: int, batch: Batch) -> None:
        """Take note of a batch given to its site."""
        self._handed[batch.site, batch.number] = now_us

    def rooted(self, world: CapacityWorld, at_us: int, seat: Seat, commit: Commit) -> None:
        """Take note of when the ledger of a batch's own site answers."""
        site = self._sites.get(seat.author)
        if site is None:
            return
        for block in commit.blocks:
            if block.ref.author != seat.author:
                continue
            for batch in block.block.batches:
                handed_us = self._handed.pop((batch.site, batch.number))
                updates = world.updates_in((batch,))
                self.committed.append((at_us, at_us - handed_us, updates))
                site.waiting.append((commit.index, handed_us, updates))

    def on_output(self, world: World, seat: Seat, output: Output) -> None:
        """Take note of checkpoints, proposals, timeouts and fetches."""
        site = self._sites.get(seat.author)
        if site is None:
            return
        for checkpoint in output.certify:
            while site.waiting and site.waiting[0][0] <= checkpoint.index:
                _, handed_us, updates = site.waiting.popleft()
                if handed_us >= self._from_us:
                    self.acknowledged.append((world.now_us - handed_us, updates))
        if world.now_us < self._from_us:
            return
        self.proposals += sum(1 for _ in own_blocks(seat.author, output, proposed=True))
        self.fetches += sum(1 for send in output.send if isinstance(send.message, FetchBlocks))
        for observation in output.observe:
            if observation.name == "round_advanced":
                self.timeout_us = max(self.timeout_us, int(observation.fields["timeout_us"]))
            elif observation.name == "proposed_by_timer":
                self.by_timer += 1


class _StressWorld(CapacityWorld):
    """A world that tells its meter when ledgers answer."""

    def __init__(self, plan: Plan, machinery: Machinery, capacity: Capacity, meter: _Meter) -> None:
        super().__init__(plan, machinery, capacity, checkers=(meter,))
        self._meter = meter

    def ledger_us(self, seat: Seat, commit: Commit) -> int:
        wait_us = super().ledger_us(seat, commit)
        self._meter.rooted(self, self.now_us + wait_us, seat, commit)
        return wait_us


class _Load:
    """Hands batches to the sites that take part, evenly, at a rate of updates a second."""

    def __init__(self, world: _StressWorld, meter: _Meter, per_second: float, grain: int) -> None:
        self._world = world
        self._meter = meter
        self._records_each = per_second * _BATCH_EVERY_US / SECOND_US / grain
        size = world.committee.size
        self._numbers = [0] * size
        self._owed = [0.0] * size
        self._source = RecordSource()

    def begin(self) -> None:
        """Schedule every site's first batch, spread over the interval."""
        size = len(self._numbers)
        for site in range(size):
            phase_us = _BATCH_EVERY_US * (2 * site + 1) // (2 * size)
            self._schedule(site, _LOAD_FROM_US + phase_us)

    def _schedule(self, site: int, at_us: int) -> None:
        self._world.at(at_us, lambda: self._hand_over(site))

    def _hand_over(self, site: int) -> None:
        world = self._world
        taking = [seat.author for seat in world.honest() if seat.replica is not None]
        if site not in taking:
            return
        self._owed[site] += self._records_each / len(taking)
        records = int(self._owed[site])
        if records:
            self._owed[site] -= records
            self._numbers[site] += 1
            content = tuple([self._source.next() for _ in range(records)])
            batch = certified_batch(world.committee, site, self._numbers[site], content)
            self._meter.handed(world.now_us, batch)
            world.push(world.seats[site], Submitted(batches=(batch,)))
        self._schedule(site, world.now_us + _BATCH_EVERY_US)


def plan_of(setting: Setting, trouble: Trouble, capacity: Capacity) -> Plan:
    """Return the plan of one run; faulty sites are the last f."""
    last = tuple(range(setting.size - setting.faults, setting.size))
    defaults = ConsensusParameters()
    delay: Delay = FixedDelay(delay_us=DELAY_US)
    if setting.jitter:
        delay = LogNormalDelay(median_us=DELAY_US, sigma=JITTER_SIGMA)
    faults: tuple[Fault, ...] = ()
    if trouble is Trouble.CRASH:
        faults = tuple(
            [Crash(at_us=_WARM_UP_US, seat=site, restart_after_us=None) for site in last]
        )
    elif trouble is Trouble.LOSS:
        faults = (LossChange(at_us=_WARM_UP_US, loss=Loss(retransmit=LOSS_SHARE)),)
    lies = trouble in SCRIPTS
    plan = Plan(
        seed=setting.seed,
        stakes=(1,) * setting.size,
        # The limit of a block counts records, and each stands for many updates.
        parameters=replace(
            defaults, block_updates_max=defaults.block_updates_max // capacity.grain
        ),
        delay=delay,
        hostile=dict.fromkeys(last, ()) if lies else {},
        faults=faults,
        sync_us=_SYNC_US,
        submit_every_us=0,
        limit_us=3_600 * SECOND_US,
        passing=Passing.REFERENCE,
    )
    wave = PROTOCOLS[setting.protocol]
    if setting.protocol == "sync":
        return plan
    return plan.asynchronous(wave, CoinKind.KEYED_HASH)


def machinery_of(setting: Setting, trouble: Trouble) -> Machinery:
    """Return honest parts, and faulty sites that follow the trouble's script.

    Those that equivocate tell every second sound site of another block than the rest.
    """
    engine = "sync" if setting.protocol == "sync" else "async"
    parts = honest_machinery(engine)
    if trouble not in SCRIPTS:
        return parts
    told = tuple(range(0, setting.size - setting.faults, 2))
    script = replace(SCRIPTS[trouble], peers=told)
    return replace(parts, hostile=scripted(FACTORIES[engine], [script]))


def measure(setting: Setting, trouble: Trouble, offered: float, capacity: Capacity) -> Reading:
    """Run one load and return what it showed.

    Raises:
        InvariantError: two sound sites made different commits.

    """
    plan = plan_of(setting, trouble, capacity)
    faulty = setting.faults if trouble not in (Trouble.NONE, Trouble.LOSS) else 0
    sound = range(setting.size - faulty)
    meter = _Meter(sound, _WARM_UP_US)
    world = _StressWorld(plan, machinery_of(setting, trouble), capacity, meter)
    _Load(world, meter, offered, capacity.grain).begin()
    world.advance(_WARM_UP_US)
    before = _Marks.of(world, sound)
    window_us = setting.window_s * SECOND_US
    until_us = _WARM_UP_US + window_us
    world.advance(until_us)
    after = _Marks.of(world, sound)
    _check_agreement(world, sound)
    answered = [one for one in meter.committed if _WARM_UP_US <= one[0] <= until_us]
    latencies = [(took, updates) for at, took, updates in answered if at - took >= _WARM_UP_US]
    rounds = max(after.round - before.round, 1)
    return Reading(
        trouble=trouble,
        offered=offered,
        throughput=sum([updates for _, _, updates in answered]) / setting.window_s,
        latency_p50_ms=_quantile_ms(latencies, 0.5),
        latency_p95_ms=_quantile_ms(latencies, 0.95),
        acknowledged_p50_ms=_quantile_ms(meter.acknowledged, 0.5),
        round_ms=window_us / rounds / 1000,
        timeout_ms=meter.timeout_us / 1000,
        by_timer=meter.by_timer / max(meter.proposals, 1),
        fetches=meter.fetches,
        core=(after.core_us - before.core_us) / window_us,
        ledger=(after.ledger_us - before.ledger_us) / window_us,
    )


@dataclass(frozen=True, slots=True)
class _Marks:
    """Counters at one time."""

    round: int
    core_us: int
    ledger_us: int

    @classmethod
    def of(cls, world: _StressWorld, sound: Sequence[int]) -> "_Marks":
        engines = [world.seats[site].engine for site in sound]
        return cls(
            max([engine.status().round for engine in engines if engine is not None]),
            max([world.core_busy_us[site] for site in sound]),
            max([world.ledger_busy_us[site] for site in sound]),
        )


def _check_agreement(world: World, sound: Sequence[int]) -> None:
    """Compare what sound sites have committed, as far as two of them got."""
    ledgers = [world.seats[site].ledger.commits for site in sound]
    longest = max(ledgers, key=len)
    for commits in ledgers:
        same = zip(commits, longest, strict=False)
        if any(one.digest != other.digest for one, other in same):
            raise world.violation("I7", "two sound sites made different commits")


def _quantile_ms(values: Sequence[tuple[int, int]], share: float) -> float:
    """Return a quantile of (microseconds, weight) in milliseconds; infinite without values."""
    left = share * sum([weight for _, weight in values])
    for value, weight in sorted(values):
        left -= weight
        if left <= 0:
            return value / 1000
    return inf
