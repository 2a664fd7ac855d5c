import pytest

from seawall.sim.hunting import hunt
from seawall.sim.invariants import all_checkers
from seawall.sim.mutants import MUTANTS

HUNTS = [(engine, name) for name, mutant in MUTANTS.items() for engine in mutant.engines]


@pytest.mark.parametrize(("engine", "mutant"), HUNTS)
def test_every_mutant_is_caught_within_its_seeds(engine: str, mutant: str) -> None:
    found = hunt(engine, mutant)
    assert found.invariant is not None, f"{mutant} slipped through {found.seeds_max} seeds"


CATCHES = [
    (mutant.engines[-1], name, one) for name, mutant in MUTANTS.items() for one in mutant.caught_by
]


@pytest.mark.parametrize(("engine", "mutant", "invariant"), CATCHES)
def test_every_named_checker_catches_its_mutant_alone(
    engine: str, mutant: str, invariant: str
) -> None:
    assert hunt(engine, mutant, only=invariant).invariant == invariant


def test_every_checker_catches_some_mutant() -> None:
    catching = {invariant for mutant in MUTANTS.values() for invariant in mutant.caught_by}
    assert {checker.invariant for checker in all_checkers()} <= catching
