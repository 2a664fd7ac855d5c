"""The study: how accurate a model gets under attack, per aggregation rule, in simulated time.

All rows train with the same settings from the same first model on the same data; they differ
in rule and attack alone. The settings were chosen on the seeds 101 to 105, for all rows at once;
the study's own seeds were not used for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from seawall.aggregation.rules import RuleParameters
from seawall.domain.cut import CutPolicy
from seawall.testbed.learning.client import Client, make_clients, make_root_owner
from seawall.testbed.learning.digits import Federation, Samples, federate
from seawall.testbed.learning.federation import Federated, Pace
from seawall.testbed.learning.model import Training, accuracy, initial_head

SEEDS = (1, 2, 3, 4, 5)

ROOT_GATE = "root gate"
FEDAVG = "FedAvg (FedBuff mean)"
CLIP_NNM_MEDIAN = "clip + NNM + median"
CLEAN = "FedAvg, nobody cheats"
ROOT_ONLY = "root samples alone"
LOCAL_ONLY = "each client alone (mean)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a study depends on besides its seeds.

    Attributes:
        versions: model versions per run.
        clients: contributors.
        attackers: contributors that flip the sign of what they learnt.
        root_count: trusted samples.
        concentration: of the Dirichlet split; small means that clients see few classes.
        k: updates per cut.
        k_min: updates that suffice after twice the interval.
        interval_ms: simulated time between cuts.
        staleness_max: versions.
        f: bad updates per cut that clip + NNM + median is set to withstand.
        training: of every client, of the root owner and of the rows without a federation.
        pace: how long clients take.

    """

    versions: int = 60
    clients: int = 20
    attackers: int = 6
    root_count: int = 25
    concentration: float = 0.3
    k: int = 10
    k_min: int = 9
    interval_ms: int = 1000
    staleness_max: int = 20
    f: int = 4
    training: Training = field(default_factory=Training)
    pace: Pace = field(default_factory=Pace)

    def rule(self, name: str) -> RuleParameters:
        """Return the parameters of a rule in this study; eta is 1."""
        return RuleParameters(name=name, f=self.f, grid_bits=self.training.grid_bits)

    def policy(self, rule: str) -> CutPolicy:
        """Return the cut policy of a rule in this study."""
        return CutPolicy(
            interval_ms=self.interval_ms,
            k=self.k,
            k_min=self.k_min,
            staleness_max=self.staleness_max,
            root_required=rule == "root-gate",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        name: what is measured.
        attackers: contributors that cheat.
        accuracies: test accuracy of the last version, 0..1, one per seed.
        curves: test accuracy after each version, one list per seed.

    """

    name: str
    attackers: int
    accuracies: tuple[float, ...]
    curves: tuple[tuple[float, ...], ...]

    @property
    def median(self) -> float:
        """Median accuracy over the seeds, 0..1."""
        return median(self.accuracies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A statement about the table, and what was observed; margins are in points."""

    statement: str
    observed: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A finished study."""

    settings: Settings
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """Return the row of this name."""
        return next(row for row in self.rows if row.name == name)

    def expectations(self) -> tuple[Expectation, ...]:
        """Return what the default rule is expected to achieve, and whether it did."""
        gate = 100 * self.row(ROOT_GATE).median
        over_root = gate - 100 * self.row(ROOT_ONLY).median
        over_mean = gate - 100 * self.row(FEDAVG).median
        return (
            _at_least("root gate, median accuracy in %", gate, 80),
            _at_least("root gate over root samples alone, points", over_root, 10),
            _at_least("root gate over FedAvg, points", over_mean, 20),
        )

    @property
    def holds(self) -> bool:
        """Whether every expectation was met."""
        return all(expectation.holds for expectation in self.expectations())


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a study is: runs done of all, and what was just finished."""

    done: int
    total: int
    row: str
    seed: int


Curve = tuple[float, ...]
Measure = Callable[[Settings, Federation, int], Curve]


def run_study(
    seeds: Sequence[int] = SEEDS,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Run every row for every seed and return the table's data.

    Takes about 5 s of one core per seed with the default settings, besides the first import of
    scikit-learn. Equal arguments give equal results on one machine.

    Args:
        seeds: one run of each row per seed; at least one.
        settings: the default settings when absent.
        progress: called after each run.

    """
    chosen = settings or Settings()
    curves: dict[str, list[Curve]] = {name: [] for name, _, _ in _ROWS}
    total = len(_ROWS) * len(seeds)
    for seed in seeds:
        federation = federate(
            seed,
            clients=chosen.clients,
            concentration=chosen.concentration,
            root_count=chosen.root_count,
        )
        for name, _, measure in _ROWS:
            curves[name].append(measure(chosen, federation, seed))
            if progress is not None:
                done = sum(len(found) for found in curves.values())
                progress(Progress(done=done, total=total, row=name, seed=seed))
    rows = tuple(
        Row(
            name=name,
            attackers=chosen.attackers if attacked else 0,
            accuracies=tuple(curve[-1] for curve in curves[name]),
            curves=tuple(curves[name]),
        )
        for name, attacked, _ in _ROWS
    )
    return Study(settings=chosen, seeds=tuple(seeds), rows=rows)


def _federated(rule: str, *, attacked: bool) -> Measure:
    """Return a measurement of asynchronous federated learning under a rule."""

    def measure(settings: Settings, federation: Federation, seed: int) -> Curve:
        training = settings.training
        attackers = settings.attackers if attacked else 0
        run = Federated(
            rule=settings.rule(rule),
            policy=settings.policy(rule),
            clients=make_clients(federation, training, attackers=attackers, seed=seed),
            root_owner=make_root_owner(federation, training),
            head=initial_head(seed, training.grid_bits),
            seed=seed,
            pace=settings.pace,
        )
        curve = []
        while run.version < settings.versions:
            run.advance()
            curve.append(accuracy(run.head, federation.test, training.grid_bits))
        return tuple(curve)

    return measure


def _alone(client: Client, settings: Settings, test: Samples, seed: int) -> Curve:
    """Train one client without the others, for as many versions as a federation gets."""
    grid_bits = settings.training.grid_bits
    head = initial_head(seed, grid_bits)
    curve = []
    for version in range(settings.versions):
        head = head + client.update(head, base_version=version, seed=seed).delta
        curve.append(accuracy(head, test, grid_bits))
    return tuple(curve)


def _root_only(settings: Settings, federation: Federation, seed: int) -> Curve:
    return _alone(make_root_owner(federation, settings.training), settings, federation.test, seed)


def _local_only(settings: Settings, federation: Federation, seed: int) -> Curve:
    clients = make_clients(federation, settings.training, attackers=0, seed=seed)
    curves = [_alone(client, settings, federation.test, seed) for client in clients]
    return tuple(np.mean(curves, axis=0).tolist())


_ROWS: tuple[tuple[str, bool, Measure], ...] = (
    (ROOT_GATE, True, _federated("root-gate", attacked=True)),
    (CLIP_NNM_MEDIAN, True, _federated("clip-nnm-median", attacked=True)),
    (FEDAVG, True, _federated("fedavg", attacked=True)),
    (CLEAN, False, _federated("fedavg", attacked=False)),
    (ROOT_ONLY, False, _root_only),
    (LOCAL_ONLY, False, _local_only),
)
"""Name, whether the study's attackers take part, and how it is measured."""


def _at_least(statement: str, observed: float, bound: float) -> Expectation:
    return Expectation(
        statement=f"{statement}: at least {bound:g}",
        observed=f"{observed:.1f}",
        holds=observed >= bound,
    )
