"""The bookkeeping of a task's cuts and versions, entry by entry."""

from hashlib import sha256

import pytest

from seawall.aggregation.versions import LoggedVersion, RootUpdate, TaskLog, version_zero
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import RuleSpec, Task, TensorSpec
from seawall.formats import entry as entries

TASK = Task(
    name="digits",
    rule=RuleSpec(name="fedavg", version=1, parameters=()),
    grid_bits=10,
    tensors=(TensorSpec(name="w", shape=(2,)),),
    header_size_bytes=256,
    payload_size_bytes=272,
    base_payload_digest=bytes(32),
    cut=CutPolicy(interval_ms=1, k=1, k_min=1, staleness_max=1),
)
SITE = 2


def named(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def update(name: str, base: int = 0, kind: str = "root") -> entries.UpdateEntry:
    return entries.UpdateEntry(
        base_version=base,
        batch=1,
        commit=1,
        contributor=named("ada"),
        expires_height=9,
        kind=kind,
        num_examples=1,
        payload=named(f"payload {name}"),
        payload_size=272,
        seq=1,
        site=0,
        taint=(),
        task="digits",
        update_id=named(name),
    )


def cut(version: int, root: str = "") -> entries.CutEntry:
    return entries.CutEntry(
        base=version - 1,
        base_payload=named(f"version {version - 1}"),
        clock_ms=1,
        commit=1,
        dropped=(),
        root=root and named(root),
        rule=entries.Rule("fedavg", {}, 1),
        task="digits",
        updates=(),
        version=version,
    )


def voted(
    version: int, status: str = "usable", votes: tuple[int, ...] = (0, 1)
) -> entries.VersionEntry:
    return entries.VersionEntry(
        commit=4,
        cut=version * 10,
        payload=named(f"version {version}"),
        payload_size=272,
        status=status,
        task="digits",
        version=version,
        votes=votes,
    )


def logged(version: int, index: int) -> LoggedVersion:
    digest = bytes.fromhex(named(f"version {version}"))
    return LoggedVersion(version, digest, 272, index, 4, version * 10)


@pytest.fixture
def log() -> TaskLog:
    return TaskLog(TASK, SITE, version_zero(TASK), 0, 0)


def test_a_cut_and_its_version_come_and_go(log: TaskLog) -> None:
    assert log.needed_from() is None
    assert log.apply(10, cut(1), now_us=5)
    assert (log.cuts[1].index, log.cuts[1].root, log.cuts[1].read_us) == (10, None, 5)
    assert log.needed_from() == 10
    assert log.apply(12, voted(1), 6)
    assert log.usable == {1: logged(1, 12)}
    assert log.head == logged(1, 12)
    log.finish(1)
    assert (log.cuts, log.usable, log.needed_from()) == ({}, {}, None)


def test_entries_that_were_read_before_change_nothing(log: TaskLog) -> None:
    for _ in range(2):
        log.apply(10, cut(1), 5)
        log.apply(12, voted(1), 6)
    assert (list(log.cuts), list(log.usable)) == ([1], [1])
    log.finish(1)
    assert not log.apply(10, cut(1), 5)
    log.apply(12, voted(1), 6)
    assert log.usable == {}


def test_several_cuts_wait_in_order(log: TaskLog) -> None:
    for version in (1, 2, 3):
        log.apply(version * 10, cut(version), 0)
        log.apply(version * 10 + 2, voted(version), 0)
    assert [one.version for one in log.cuts.values()] == [1, 2, 3]
    assert log.needed_from() == 10
    log.finish(1)
    assert log.needed_from() == 20


def test_the_root_update_of_a_cut_is_found(log: TaskLog) -> None:
    assert log.apply(3, update("first"), 0)
    assert log.apply(4, update("second"), 0)
    assert not log.apply(4, update("second"), 0)
    assert not log.apply(5, update("another base", base=1), 0)
    assert not log.apply(6, update("ordinary", kind="delta"), 0)
    assert log.needed_from() == 3, "a later cut may name it"
    log.apply(10, cut(1, root="second"), 0)
    root = log.cuts[1].root
    assert root == RootUpdate(bytes.fromhex(named("payload second")), 272, 4)
    log.apply(12, voted(1), 0)
    assert log.needed_from() == 4, "the cut is not done"
    assert log.apply(13, update("next", base=1), 0)
    log.finish(1)
    assert log.needed_from() == 13


def test_votes_are_settled_when_counted_or_needed_no_more(log: TaskLog) -> None:
    log.apply(12, voted(1), 0)
    assert not log.settled(1)
    log.apply(13, voted(1, "final", (0, 1, 3)), 0)
    assert log.settled(1)
    assert log.final == 1
    log.apply(22, voted(2, votes=(0, SITE)), 0)
    assert log.settled(2)
    assert log.final == 1
    assert not log.settled(3)


def test_other_entries_are_no_news(log: TaskLog) -> None:
    leader = entries.Leader(0, named("block"), 1)
    commit = entries.CommitEntry(1, named("commit"), 1, leader, named("state"), 0, 0)
    assert not log.apply(1, commit, 0)


def test_a_restart_goes_on_above_what_is_done() -> None:
    log = TaskLog(TASK, SITE, logged(4, 42), final=2, voted=3)
    assert not log.apply(40, cut(4), 0)
    log.apply(42, voted(4), 0)
    assert log.usable == {}
    assert log.apply(43, update("root", base=4), 0)
    assert log.apply(50, cut(5, root="root"), 0)
    assert log.settled(3)
    assert not log.settled(4)
