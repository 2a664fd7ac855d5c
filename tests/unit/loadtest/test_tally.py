import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.outcome import UNANSWERED, Flooding, Outcome
from loadtest.plan import EXPECTED, Item, Kind, Plan, Shape, Transport
from loadtest.tally import Acknowledged, Criteria, Tally, quantiles, table_of, write

PLAN = Plan(
    seed=1,
    seconds=10.0,
    rate=1.0,
    shape=Shape.FIXED,
    tasks=(("small", 1024),),
    sites=4,
    contributors=3,
    malicious_share=0.5,
    http_share=0.0,
)
ALONE = Criteria(alone=True)


def item_of(kind: Kind, serial: int = 0) -> Item:
    """Return an item of a kind."""
    return Item(
        due_seconds=1.0,
        task="small",
        kind=kind,
        transport=Transport.GRPC,
        site=0,
        contributor=0,
        number=serial,
        serial=serial,
    )


def counted(*ends: tuple[Kind, Outcome]) -> Tally:
    """Return the tally of a run with these ends, all of them sent half a second late."""
    items = tuple(item_of(kind, at) for at, (kind, _) in enumerate(ends))
    tally = Tally(PLAN, items, before=[5, 5], after=[5, 5])
    for item, (_, outcome) in zip(items, ends, strict=True):
        entry = Acknowledged(item, item.number, bytes([item.serial] * 32), b"", 0)
        tally.count(entry, outcome, due=100.0, sent=100.5)
    tally.after = [5 + len(tally.acknowledged)] * 2
    tally.verified = len(tally.acknowledged)
    return tally


GOOD = (Kind.HONEST, Outcome("", 3, 101.0, 102.0))
MALICIOUS = tuple((kind, Outcome(code)) for kind, code in EXPECTED.items())


def faults(tally: Tally, criteria: Criteria = ALONE) -> list[str]:
    """Return what speaks against a run."""
    return list(tally.faults(criteria))


def test_a_run_whose_answers_are_all_right_passes() -> None:
    tally = counted(GOOD, *MALICIOUS)
    assert faults(tally) == []
    document = tally.document(ALONE)
    assert (document["verdict"], document["acknowledged"]) == ("PASS", 1)
    (row,) = document["latencyMilliseconds"]
    assert row["fromSent"] == {"p50": 1500, "p95": 1500, "p99": 1500, "max": 1500}
    assert row["fromDue"]["p50"] == 2000
    assert document["lateMillisecondsMax"] == 500
    assert "verdict PASS" in table_of(document)


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("code", ["", "TOO_MANY", UNANSWERED])
def test_a_malicious_update_with_another_answer_fails_the_run(kind: Kind, code: str) -> None:
    (fault,) = faults(counted(GOOD, (kind, Outcome(code))))
    assert fault.startswith(kind)


def test_an_honest_update_that_is_refused_fails_the_run_unless_it_may_come_again() -> None:
    (fault,) = faults(counted(GOOD, (Kind.HONEST, Outcome("REPLAY_BASE"))))
    assert "REPLAY_BASE" in fault
    pushed = counted(GOOD, (Kind.HONEST, Outcome("QUOTA_IN_FLIGHT")), (Kind.HONEST, Outcome()))
    assert pushed.document(ALONE)["unanswered"] == 1
    assert len(faults(pushed)) == 1
    assert faults(pushed, Criteria(alone=True, pushed_back_share_max=0.7)) == []
    assert len(faults(pushed, Criteria(alone=True, pushed_back_share_max=0.6))) == 1


def test_what_is_lost_miscounted_or_never_sent_fails_the_run() -> None:
    assert faults(counted(*MALICIOUS)) == ["no update was acknowledged"]
    lost = counted(GOOD)
    lost.lost["00"] = "RECEIPT_UNKNOWN"
    assert len(faults(lost)) == 1
    miscounted = counted(GOOD)
    miscounted.after = [7, 6]
    assert faults(miscounted) == ["ledgers accepted 2 updates, clients count 1"]
    assert faults(miscounted, Criteria()) == [], "others may write to a network of several"
    miscounted.found = 1
    assert faults(miscounted) == []
    short = counted(GOOD)
    short.items = (*short.items, item_of(Kind.HONEST, 1))
    assert len(faults(short)) == 1
    short.skipped = 1
    assert faults(short) == []


def test_a_flood_has_to_be_held_back_and_nothing_else() -> None:
    quota = EXPECTED[Kind.FLOOD]
    assert Flooding(["", "", quota]).outcome(quota).code == quota
    assert Flooding(["", ""]).outcome(quota).code == "FLOOD_LET_IN"
    assert Flooding(["", quota, "DSSE_SIGNATURE"]).outcome(quota).code == "DSSE_SIGNATURE"


def test_quantiles_are_members_of_the_sample() -> None:
    assert quantiles([0.001 * at for at in range(1, 101)]) == {
        "p50": 50,
        "p95": 95,
        "p99": 99,
        "max": 100,
    }


def test_a_tally_is_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "some" / "tally.json"
    document = counted(GOOD).document(replace(ALONE, alone=False))
    write(document, path)
    assert json.loads(path.read_text()) == document
