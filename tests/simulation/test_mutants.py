import pytest

from seawall.sim.invariants import all_checkers
from seawall.sim.mutants import MUTANTS, hunt


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_mutant_is_caught_within_its_seeds(mutant: str) -> None:
    found = hunt("sync", mutant)
    assert found.invariant is not None, f"{mutant} slipped through {found.seeds_max} seeds"


CATCHES = [(name, one) for name, mutant in MUTANTS.items() for one in mutant.caught_by]


@pytest.mark.parametrize(("mutant", "invariant"), CATCHES)
def test_every_named_checker_catches_its_mutant_alone(mutant: str, invariant: str) -> None:
    assert hunt("sync", mutant, only=invariant).invariant == invariant


def test_every_checker_catches_some_mutant() -> None:
    catching = {invariant for mutant in MUTANTS.values() for invariant in mutant.caught_by}
    assert {checker.invariant for checker in all_checkers()} <= catching
