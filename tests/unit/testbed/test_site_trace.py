"""A real site's trace: concluded block by block, from what its disk has kept."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from seawall.consensus.commits import CommitLog
from seawall.consensus.dag.records import BASE_BEGIN, BLOCK
from seawall.consensus.engine import Record
from seawall.consensus.journal import encode_records
from seawall.consensus.segments import SegmentedLog
from seawall.domain.commit import Commit
from seawall.errors import OperationalError
from seawall.sim.coin import CoinKind
from seawall.sim.machinery import honest_machinery
from seawall.sim.network import MILLISECOND_US
from seawall.sim.plan import Owners, Plan
from seawall.sim.world import World
from seawall.testbed.site_trace import conclude, read_site
from tests.simulation.recompute import Recomputation, to_ref

OWNERS = Owners(equivocating=4, copied=30, spread_us=50 * MILLISECOND_US)


def played(plan: Plan, engine: str) -> World:
    """Return a world whose run has reached its goal."""
    world = World(plan, honest_machinery(engine))
    world.run()
    return world


def write(data: Path, records: Sequence[Record], commits: Sequence[Commit]) -> None:
    """Write a site's journal and commit log."""
    journal = SegmentedLog(data / "journal")
    journal.append(encode_records(records))
    journal.sync()
    journal.close()
    log = CommitLog(data / "commits", size_bytes_max=1 << 30)
    for commit in commits:
        log.append(commit)
    log.close()


def recomputed(world: World, document: bytes) -> int:
    """Recompute a trace, all of it exactly; return how many commits it has."""
    trace = json.loads(document)
    expected, found = trace["expected"], Recomputation(trace)
    assert found.commits == expected["commits"]
    assert found.fast_path.verdicts == expected["verdicts"]
    final = {
        (to_ref(one["block"]), one["index"]): (one["event"], one["round"])
        for one in expected["final"]
    }
    assert found.fast_path.final == final
    assert final
    known = world.seats[1].ledger.commits
    assert [one["leader"][2] for one in expected["commits"]] == [
        commit.leader.digest.hex() for commit in known[: len(expected["commits"])]
    ]
    return len(expected["commits"])


def test_a_trace_from_disk_is_recomputed_exactly(tmp_path: Path) -> None:
    plan = Plan(seed=3, owners=OWNERS)
    world = played(plan, "sync")
    seat = world.seats[1]
    write(tmp_path, seat.disk.durable, seat.ledger.commits)
    traced = read_site(tmp_path, 1, world.committee, plan.parameters)
    assert recomputed(world, traced.json()) > 20


def test_what_a_base_has_replaced_comes_from_the_commit_log(tmp_path: Path) -> None:
    parameters = Plan(seed=0).parameters
    plan = Plan(
        seed=4,
        owners=OWNERS,
        commits=110,
        parameters=type(parameters)(gc_depth=8, round_delay_ms_min=20, round_delay_ms_idle=100),
    )
    world = played(plan, "sync")
    seat = world.seats[1]
    assert seat.disk.durable[0].kind == BASE_BEGIN
    write(tmp_path, seat.disk.durable, seat.ledger.commits)
    traced = read_site(tmp_path, 1, world.committee, plan.parameters)
    assert recomputed(world, traced.json()) > 100
    write(tmp_path / "torn", seat.disk.durable, seat.ledger.commits[1:])
    with pytest.raises(OperationalError) as caught:
        read_site(tmp_path / "torn", 1, world.committee, plan.parameters)
    assert caught.value.code == "TRACE_INCOMPLETE"


def test_coins_stand_where_they_became_known() -> None:
    plan = Plan(seed=5, owners=OWNERS).asynchronous(5, CoinKind.THRESHOLD_BLS)
    world = played(plan, "async")
    records = [record for record in world.seats[1].disk.durable if record.kind == BLOCK]
    blocks = world.passage.accepted(records)
    traced = conclude(blocks, 1, world.committee, plan.parameters)
    assert recomputed(world, traced.json()) > 20
    events = traced.document()["events"]
    assert sum("leaders" in event for event in events) > 10


def test_a_directory_without_journal_is_refused(tmp_path: Path) -> None:
    world = World(Plan(seed=1), honest_machinery("sync"))
    with pytest.raises(OperationalError) as caught:
        read_site(tmp_path, 0, world.committee, world.plan.parameters)
    assert caught.value.code == "TRACE_DATA"
