"""Asynchronous federated learning in simulated time: clients, ledger clock, cuts, no sockets.

The same `select` and `aggregate` that the sites run decide here; only the ledger is reduced to
a clock that ticks.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from seawall.aggregation.rules import Contribution, Outcome, RuleParameters, aggregate
from seawall.domain.cut import Candidate, Cut, CutPolicy, select
from seawall.formats.fxp24 import Integers
from seawall.testbed.learning.client import Client

TICK_MS = 100
"""The ledger commits this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long clients take from pulling a head to a committed update.

    Attributes:
        median_ms: median duration of the ordinary clients.
        spread: standard deviation of the logarithm of the duration.
        straggler_share: share of clients that are slow.
        straggler_factor: how many times as long these take.
        root_ms: duration of the root owner.

    """

    median_ms: int = 1000
    spread: float = 0.25
    straggler_share: float = 0.2
    straggler_factor: int = 8
    root_ms: int = 500


def draw_durations_ms(pace: Pace, count: int, seed: int) -> list[int]:
    """Return one duration per client, fixed for the run; stragglers are drawn by seed."""
    generator = np.random.default_rng([seed, 4])
    durations = pace.median_ms * np.exp(generator.normal(0.0, pace.spread, count))
    slow = generator.permutation(count)[: round(pace.straggler_share * count)]
    durations[slow] *= pace.straggler_factor
    return [max(1, int(duration)) for duration in durations]


@dataclass(slots=True, kw_only=True)
class Worker:
    """A client at work: which base it trains from and when its update arrives."""

    client: Client
    duration_ms: int
    base_version: int = 0
    arrival_ms: int | None = None


@dataclass(slots=True, kw_only=True)
class Federated:
    """A run: call `advance` until `version` is high enough.

    Attributes:
        rule: the task's aggregation rule.
        policy: the task's cut policy.
        clients: the contributors.
        root_owner: owner of the root set; used when the policy requires a root update.
        head: model of version 0; later the newest.
        seed: of everything drawn in this run.
        pace: durations.

    """

    rule: RuleParameters
    policy: CutPolicy
    clients: tuple[Client, ...]
    root_owner: Client
    head: Integers
    seed: int
    pace: Pace = field(default_factory=Pace)
    clock_ms: int = 0
    version: int = 0
    staleness: list[int] = field(default_factory=list)
    _heads: dict[int, Integers] = field(default_factory=dict)
    _workers: list[Worker] = field(default_factory=list)
    _pending: dict[bytes, Candidate] = field(default_factory=dict)
    _last_included: dict[bytes, int] = field(default_factory=dict)
    _last_cut_ms: int = 0

    def __post_init__(self) -> None:
        """Give the first model to every client."""
        self._heads[0] = self.head
        durations = draw_durations_ms(self.pace, len(self.clients), self.seed)
        for client, duration_ms in zip(self.clients, durations, strict=True):
            worker = Worker(client=client, duration_ms=duration_ms, arrival_ms=duration_ms)
            self._workers.append(worker)

    def advance(self) -> Outcome:
        """Let time pass until the next version exists; return how it came about."""
        while True:
            self.clock_ms += TICK_MS
            self._accept()
            root_arrival_ms = self._last_cut_ms + self.pace.root_ms
            cut = select(
                self.policy,
                self._pending.values(),
                self._last_included,
                head_version=self.version,
                clock_ms=self.clock_ms,
                last_cut_clock_ms=self._last_cut_ms,
                root_present=self.policy.root_required and self.clock_ms >= root_arrival_ms,
            )
            if cut is not None:
                return self._apply(cut)

    def _accept(self) -> None:
        """Take in the updates that have arrived; idle clients start when there is a new head."""
        for index, worker in enumerate(self._workers):
            if worker.arrival_ms is None and worker.base_version < self.version:
                worker.base_version = self.version
                worker.arrival_ms = self.clock_ms + worker.duration_ms
            if worker.arrival_ms is not None and worker.arrival_ms <= self.clock_ms:
                candidate = _candidate(index, worker)
                self._pending[candidate.update_id] = candidate
                worker.arrival_ms = None

    def _apply(self, cut: Cut) -> Outcome:
        root = None
        if cut.root_used:
            root = self.root_owner.update(
                self.head, base_version=self.version, seed=self.seed
            ).delta
        outcome = aggregate(
            self.rule, self.head, [self._contribution(one) for one in cut.selected], root
        )
        for one in (*cut.selected, *(one for one, _ in cut.dropped)):
            del self._pending[one.update_id]
        for one in cut.selected:
            self._last_included[one.contributor] = cut.version
        self._last_cut_ms = cut.clock_ms
        self.version = cut.version
        self.head = outcome.head
        self._heads[cut.version] = outcome.head
        self._heads.pop(cut.version - self.policy.staleness_max - 1, None)
        return outcome

    def _contribution(self, candidate: Candidate) -> Contribution:
        """Train now what was sent then: a delta depends on client, base and seed alone."""
        client = self.clients[int.from_bytes(candidate.contributor, "big")]
        base = candidate.base_version
        update = client.update(self._heads[base], base_version=base, seed=self.seed)
        self.staleness.append(self.version - base)
        return Contribution(
            update_id=candidate.update_id,
            delta=update.delta,
            staleness=self.version - base,
            num_examples=update.num_examples,
        )


def _candidate(index: int, worker: Worker) -> Candidate:
    contributor = index.to_bytes(4, "big")
    name = contributor + worker.base_version.to_bytes(8, "big")
    return Candidate(
        update_id=hashlib.sha256(name).digest(),
        contributor=contributor,
        base_version=worker.base_version,
        seq=worker.base_version,
        num_examples=len(worker.client.samples),
        commit_index=0,
    )
