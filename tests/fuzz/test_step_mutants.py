"""The targets of a replica's steps notice a replica that is broken: each mutant, by one seed."""

from collections.abc import Callable

import pytest

from seawall.consensus.dag import core, synchroniser
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.proposer import Proposer
from seawall.consensus.dag.records import block_record, floor_record
from seawall.consensus.dag.synchroniser import Synchroniser
from seawall.consensus.engine import Record
from seawall.domain.block import VerifiedBlock
from seawall.errors import OperationalError
from tests.fuzz.step_seeds import all_programs
from tests.fuzz.step_targets import step_async, step_sync

PROGRAMS = dict(all_programs())


def forgetful(block: VerifiedBlock) -> Record:
    """Return a record that says nothing of blocks of one author."""
    return floor_record(0) if block.ref.author == 2 else block_record(block)


def trusting(self: Synchroniser, refs: tuple[object, ...]) -> bool:
    """Believe that peers answer what was asked, and nothing else."""
    return any(self._wants[ref] for ref in refs)  # type: ignore[index] # a mutant


MUTANTS: list[tuple[str, object, str, object, type[Exception]]] = [
    ("hidden", Core, "_is_near", lambda _self, _ref: True, AssertionError),
    ("one_question_often", synchroniser, "BELOW_GC_PAUSE_US", 0, AssertionError),
    ("old_answers", Synchroniser, "is_wanted", trusting, KeyError),
    ("calm", Proposer, "due_at", lambda _self, _now_us: None, AssertionError),
    ("calm", core, "block_record", forgetful, OperationalError),
]


@pytest.mark.parametrize("run", [step_sync, step_async])
@pytest.mark.parametrize(("seed", "owner", "name", "broken", "fault"), MUTANTS)
def test_a_broken_replica_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[bytes], None],
    seed: str,
    owner: object,
    name: str,
    broken: object,
    fault: type[Exception],
) -> None:
    program = PROGRAMS[seed] if run is step_sync else b"\xff" + PROGRAMS[seed]
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(fault):
        run(program)
