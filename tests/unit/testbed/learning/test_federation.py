from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from seawall.testbed.learning.client import make_clients, make_root_owner
from seawall.testbed.learning.digits import federate
from seawall.testbed.learning.federation import Federated, Pace, draw_durations_ms
from seawall.testbed.learning.model import Training, initial_head
from seawall.testbed.learning.study import Settings

SETTINGS = Settings(training=Training(steps=2))


def start(rule: str, pace: Pace | None = None) -> Federated:
    federation = federate(9)
    return Federated(
        rule=SETTINGS.rule(rule),
        policy=SETTINGS.policy(rule),
        clients=make_clients(federation, SETTINGS.training, attackers=6, seed=9),
        root_owner=make_root_owner(federation, SETTINGS.training),
        head=initial_head(9, 20),
        seed=9,
        pace=pace or Pace(),
    )


def test_a_fifth_of_the_clients_is_eight_times_slower() -> None:
    durations = draw_durations_ms(Pace(spread=0.0), 20, 1)
    assert sorted(durations) == [1000] * 16 + [8000] * 4
    spread = draw_durations_ms(Pace(), 20, 1)
    assert spread == draw_durations_ms(Pace(), 20, 1) != draw_durations_ms(Pace(), 20, 2)


@pytest.mark.parametrize("rule", ["root-gate", "clip-nnm-median", "fedavg"])
def test_a_run_repeats_to_the_bit_and_uses_its_rule(rule: str) -> None:
    first, again = start(rule), start(rule)
    for version in range(1, 6):
        outcome = first.advance()
        assert outcome.rule_used == rule
        assert first.version == version
        assert len(outcome.weights) == 10
        again.advance()
    assert first.head.tolist() == again.head.tolist()
    assert first.clock_ms == again.clock_ms


def test_stragglers_arrive_stale_and_are_taken() -> None:
    run = start("fedavg")
    for _ in range(15):
        run.advance()
    assert max(run.staleness) >= 7
    assert run.clock_ms < 15 * 1500


def test_a_root_owner_who_is_late_is_waited_for_up_to_the_limit() -> None:
    late = start("root-gate", Pace(root_ms=1500))
    assert late.advance().rule_used == "root-gate"
    assert late.clock_ms == 1500
    absent = start("root-gate", Pace(root_ms=10**9))
    assert absent.advance().rule_used == "clip-nnm-median"
    assert absent.clock_ms == 2000


def test_a_base_that_is_too_old_never_comes_in() -> None:
    run = start("fedavg", Pace(spread=0.0))
    run.policy = replace(run.policy, staleness_max=3)
    for _ in range(15):
        run.advance()
    assert max(run.staleness) <= 3


def test_different_rules_make_different_models() -> None:
    heads = []
    for rule in ("root-gate", "clip-nnm-median", "fedavg"):
        run = start(rule)
        run.advance()
        heads.append(run.head)
    assert not any(np.array_equal(a, b) for a, b in pairwise(heads))
