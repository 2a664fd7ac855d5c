from pathlib import Path

import pytest

from seawall.chaos.runner.injection import Breach, Confirmation
from seawall.chaos.runner.journal import FileJournal
from seawall.chaos.runner.records import (
    Applied,
    Began,
    Breached,
    Confirmed,
    Ended,
    Entered,
    Failed,
    Intended,
    Record,
    Reverted,
    Reverting,
    Stuck,
    decode,
    encode,
    outstanding,
)
from seawall.errors import LocalError, OperationalError
from tests.unit.chaos.runner.sites import injection

EVERY: list[Record] = [
    Began(at_us=0, run="r", experiment="e", platform="local", place="/somewhere"),
    Entered(at_us=1, phase="hold"),
    Intended(at_us=2, injection=injection(0, 1), lease_seconds=30),
    Applied(at_us=3, id="run/0/1"),
    Failed(at_us=4, id="run/0/1", code="RPC_DEADLINE", hint="no answer"),
    Confirmed(at_us=5, fault=0, confirmation=Confirmation(is_seen=True, evidence="seen")),
    Breached(at_us=6, breach=Breach(invariant="one order", detail="two roots")),
    Reverting(at_us=7, id="run/0/1"),
    Reverted(at_us=8, id="run/0/1"),
    Stuck(at_us=9, id="run/0/1", code="RPC_DEADLINE"),
    Ended(at_us=10, cause="finished"),
]


async def test_a_journal_gives_back_what_was_written_also_after_a_torn_write(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    for record in EVERY:
        await FileJournal(path).write(record)
    assert list(await FileJournal(path).read()) == EVERY
    with path.open("ab") as file:
        file.write(encode(EVERY[2])[:40])
    assert list(await FileJournal(path).read()) == EVERY


def test_a_line_that_is_no_record_is_refused_with_its_number() -> None:
    lines = encode(EVERY[0]) + b"\n{}\n" + encode(EVERY[1]) + b"\n"
    with pytest.raises(LocalError, match="CHAOS_JOURNAL") as refused:
        decode(lines)
    assert refused.value.line == 2


def test_outstanding_is_what_was_intended_and_not_reverted() -> None:
    for length, expected in ((2, 0), (3, 1), (5, 1), (8, 1), (9, 0)):
        assert len(outstanding(EVERY[:length])) == expected


async def test_a_journal_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "missing" / "journal.jsonl")
    with pytest.raises(OperationalError, match="CHAOS_JOURNAL_WRITE"):
        await journal.write(EVERY[0])
    with pytest.raises(OperationalError, match="CHAOS_JOURNAL_READ"):
        await journal.read()
