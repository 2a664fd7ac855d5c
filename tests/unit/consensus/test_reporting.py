"""What the metrics say of the fast path."""

import pytest

from seawall.consensus import reporting as reporting_module
from seawall.consensus.core_thread import Outcome
from seawall.consensus.engine import Finality, Observation, Status
from seawall.consensus.reporting import Reporting
from seawall.domain.block import Batch, Ref
from seawall.telemetry.logs import open_log
from seawall.telemetry.metrics import ConsensusMetrics, Registry
from tests.unit.consensus.cluster import make_batch, make_committee

COMMITTEE = make_committee()
STANDING = Status(1, 1, 0, bytes(32), 0, 0, 0, 0, 0, accepts_payload=True, recovering=False)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_us = 0

    def elapsed_us(self) -> int:
        """Return what was set."""
        return self.now_us

    def wall_ms(self) -> int:
        """Return 0."""
        return 0


def setup() -> tuple[Reporting, Clock, Registry]:
    registry, clock = Registry(), Clock()
    metrics = ConsensusMetrics(registry, "test")
    return Reporting(metrics, open_log("error"), clock, 0), clock, registry


def final(batch: Batch, *positions: int) -> Finality:
    return Finality(Ref(1, batch.site, bytes(32)), batch, 0, positions, 3)


def value(registry: Registry, name: str, **labels: str) -> float:
    return registry.get_sample_value(f"seawall_consensus_{name}", labels) or 0.0


def test_finality_is_timed_from_the_first_submission_to_the_first_statement() -> None:
    reporting, clock, registry = setup()
    own, foreign = make_batch(COMMITTEE, 0, 7, updates=3), make_batch(COMMITTEE, 1, 7)
    reporting.submitted((own,))
    clock.now_us = 1_000_000
    reporting.submitted((own,))  # handed in again
    clock.now_us = 3_000_000
    reporting.final((final(foreign, 0), final(own, 0, 2)))
    clock.now_us = 9_000_000
    reporting.final((final(own, 1),))
    assert value(registry, "fast_path_total", outcome="final") == 4
    assert value(registry, "finality_seconds_count", protocol="test") == 1
    assert value(registry, "finality_seconds_sum", protocol="test") == 3


def test_batches_that_never_become_final_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting_module, "SUBMITTED_MAX", 2)
    reporting, _, registry = setup()
    batches = [make_batch(COMMITTEE, 0, number) for number in range(3)]
    reporting.submitted(tuple(batches))
    reporting.final(tuple([final(batch, 0) for batch in batches]))
    assert value(registry, "finality_seconds_count", protocol="test") == 2


def test_dead_updates_are_counted() -> None:
    reporting, _, registry = setup()
    reporting.step(Outcome(STANDING, observe=[Observation("updates_dead", {"updates": 5})]))
    assert value(registry, "fast_path_total", outcome="dead") == 5
