"""Writing behind: answers before the disk, readers after it, and a bound between the two."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import OperationalError, PeerError
from seawall.ledger import appending
from seawall.ledger.appending import Appender
from seawall.ledger.execution import Delivery, Executed
from seawall.ledger.landmarks import Landmarks
from seawall.ledger.log import Log
from seawall.ledger.receipts import accepted_landmark
from seawall.ledger.store import Batch, Staged, Table
from tests.unit.ledger.chain import (
    accepting,
    append,
    block,
    certificate,
    delivery,
    make_genesis,
    origin_of,
    record,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)


GATE_SECONDS_MAX = 20.0
"""A thread that waits at the gate would keep a failing test from its end."""


class GatedStore(MemoryStore):
    """A store whose disk takes nothing until the gate is open; `commits` counts what it took."""

    def __init__(self) -> None:
        """Start with the gate open: genesis is written at once."""
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.fault: OperationalError | None = None
        self.commits = 0

    def stage(self, batch: Batch) -> Staged:
        """Return a batch that waits for the gate."""
        return _Gated(self, super().stage(batch))


class _Gated:
    """A batch that waits for the gate of its store."""

    def __init__(self, store: GatedStore, staged: Staged) -> None:
        """Wait for the store's gate, then commit."""
        self._store = store
        self._staged = staged

    def commit(self) -> None:
        """Wait, then apply, or fail."""
        assert self._store.gate.wait(GATE_SECONDS_MAX), "the test opens the gate"
        if self._store.fault is not None:
            raise self._store.fault
        self._store.commits += 1
        self._staged.commit()


class Seen:
    """What a watch was told."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.groups: list[int] = []
        self.alarms: list[str] = []

    def appended(self, executed: tuple[Executed, ...], execute_us: int, sync_us: int) -> None:
        """Keep the size of a group."""
        assert execute_us >= 0 <= sync_us
        self.groups.append(len(executed))

    def alarm(self, code: str) -> None:
        """Keep a code."""
        self.alarms.append(code)


class Bench:
    """A log with its appender at work, and the chain that it is sent."""

    def __init__(self) -> None:
        """Open an empty log."""
        self.store = GatedStore()
        self.log = Log(self.store, GENESIS, ORIGIN)
        self.model = Log(MemoryStore(), GENESIS, ORIGIN)
        self.landmarks = Landmarks(0)
        self.seen = Seen()
        self.appender = Appender(self.log, self.landmarks, self.seen, lambda _: None, lambda: 0)

    def commit(self, seq: int = 0) -> Delivery:
        """Return the next commit; with a number, it accepts an update with it."""
        blocks = [block(0, [record(0, seq)])] if seq else []
        made = delivery(self.model.tip.index + 1, *blocks, verdicts=accepting(*blocks))
        append(self.model, made)
        return made

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Appender]:
        """Run the appender; the gate opens at the end."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.appender.run())
            try:
                yield self.appender
            finally:
                self.store.gate.set()
                task.cancel()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_answer_does_not_wait_for_the_disk_and_a_reader_does() -> None:
    bench = Bench()
    bench.store.gate.clear()
    async with bench.at_work() as appender:
        made = [bench.commit(seq) for seq in (1, 2, 3)]
        answers = [await appender.append(one) for one in made]
        assert [answer and answer.row for answer in answers] == [
            bench.model.row(index) for index in (1, 2, 3)
        ]
        voted = certificate(3, bench.model.head.row, ORIGIN)
        assert await appender.append(voted) is None
        waiting = asyncio.ensure_future(
            bench.landmarks.wait(accepted_landmark(record(0, 1).update_id), 60)
        )
        flushed = asyncio.ensure_future(appender.flush())
        again = await appender.append(made[1])
        assert again == answers[1]
        await turns()
        assert not waiting.done()
        assert not flushed.done()
        assert (bench.log.tip.index, bench.log.head.index, bench.log.certified_index) == (3, 0, 0)
        bench.store.gate.set()
        await flushed
        assert await waiting
        assert bench.log.head == bench.log.tip == bench.model.head
        assert bench.log.certified_index == 3
        await appender.flush()


async def test_what_nobody_waits_for_is_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "LINGER_SECONDS", 3600.0)
    bench = Bench()
    async with bench.at_work() as appender:
        for _ in range(5):
            await appender.append(bench.commit())
            # Its certificate wakes nobody either.
            head = bench.model.head
            await appender.append(certificate(head.index, head.row, ORIGIN))
        await turns()
        assert bench.seen.groups == []
        await appender.append(bench.commit(1))
        await turns()
        assert bench.seen.groups == []
        signal = asyncio.ensure_future(appender.certified.wait())
        await turns()
        head = bench.model.head
        await appender.append(certificate(head.index, head.row, ORIGIN))
        await signal
        assert bench.seen.groups == [6]
        for _ in range(appending.WRITE_COMMITS_MIN):
            await appender.append(bench.commit())
        await appender.flush()
        assert sum(bench.seen.groups) == 6 + appending.WRITE_COMMITS_MIN


async def test_a_moment_after_a_change_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "LINGER_SECONDS", 0.0)
    bench = Bench()
    async with bench.at_work() as appender:
        signal = asyncio.ensure_future(appender.certified.wait())
        await appender.append(bench.commit())
        head = bench.model.head
        await appender.append(certificate(head.index, head.row, ORIGIN))
        await signal
        assert bench.log.head == bench.model.head


async def test_commits_wait_for_a_slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "UNWRITTEN_COMMITS_MAX", 4)
    monkeypatch.setattr(appending, "TURN_ITEMS_MAX", 1)
    monkeypatch.setattr(appending, "WRITE_COMMITS_MIN", 2)
    bench = Bench()
    bench.store.gate.clear()
    async with bench.at_work() as appender:
        made = [bench.commit() for _ in range(12)]
        waiting = [asyncio.ensure_future(appender.append(one)) for one in made]
        await turns()
        # At the disk or behind it are as many as may be, and the others are not even executed.
        assert bench.log.tip.index == 4
        assert [one.done() for one in waiting] == [True] * 4 + [False] * 8
        bench.store.gate.set()
        await asyncio.gather(*waiting)
        await appender.flush()
        assert bench.log.head == bench.model.head


async def test_a_failed_write_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "LINGER_SECONDS", 0.0)
    bench = Bench()
    bench.store.gate.clear()
    bench.store.fault = OperationalError("STORE_WRITE", "the disk refused")
    running = asyncio.ensure_future(bench.appender.run())
    await bench.appender.append(bench.commit())
    flushed = asyncio.ensure_future(bench.appender.flush())
    bench.store.gate.set()
    with pytest.raises(OperationalError, match="STORE_WRITE"):
        await running
    with pytest.raises(OperationalError, match="STORE_WRITE"):
        await flushed
    with pytest.raises(OperationalError, match="STORE_WRITE"):
        await bench.appender.append(bench.commit())
    with pytest.raises(OperationalError, match="STORE_WRITE"):
        await bench.appender.flush()
    assert bench.log.head.index == 0


async def test_an_older_certificate_never_follows_a_newer_one() -> None:
    bench = Bench()
    async with bench.at_work() as appender:
        for seq in (1, 2):
            await appender.append(bench.commit(seq))
        older, newer = (
            certificate(index, bench.model.row(index) or bench.model.head.row, ORIGIN)
            for index in (1, 2)
        )
        bench.store.gate.clear()
        await appender.append(newer)
        flushed = asyncio.ensure_future(appender.flush())
        await turns()
        # It is at the disk now; consensus, started anew, says again what it had said before.
        await appender.append(older)
        bench.store.gate.set()
        await flushed
        await appender.append(bench.commit())
        await appender.flush()
        assert bench.log.certified_index == 2


async def test_who_waits_for_room_hears_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "UNWRITTEN_COMMITS_MAX", 2)
    monkeypatch.setattr(appending, "TURN_ITEMS_MAX", 1)
    monkeypatch.setattr(appending, "QUEUE_ITEMS_MAX", 2)
    monkeypatch.setattr(appending, "LINGER_SECONDS", 0.0)
    bench = Bench()
    bench.store.gate.clear()
    bench.store.fault = OperationalError("STORE_WRITE", "the disk refused")
    running = asyncio.ensure_future(bench.appender.run())
    waiting = [asyncio.ensure_future(bench.appender.append(bench.commit())) for _ in range(8)]
    await turns()
    assert not all(one.done() for one in waiting)
    bench.store.gate.set()
    with pytest.raises(OperationalError, match="STORE_WRITE"):
        await running
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[-1], OperationalError)


async def test_nobody_waits_for_a_ledger_that_has_stopped() -> None:
    bench = Bench()
    bench.store.gate.clear()
    running = asyncio.ensure_future(bench.appender.run())
    await bench.appender.append(bench.commit())
    flushed = asyncio.ensure_future(bench.appender.flush())
    await turns()
    running.cancel()
    bench.store.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(OperationalError, match="LEDGER_STOPPED"):
        await flushed
    with pytest.raises(OperationalError, match="LEDGER_STOPPED"):
        await bench.appender.append(bench.commit())


async def test_a_quorum_for_another_tree_stops_the_ledger() -> None:
    bench = Bench()
    running = asyncio.ensure_future(bench.appender.run())
    made = bench.commit()
    await bench.appender.append(made)
    forked = msgspec.structs.replace(certificate(1, bench.model.head.row, ORIGIN), root=b"x" * 32)
    with pytest.raises(PeerError, match="LOG_FORK"):
        await bench.appender.append(forked)
    with pytest.raises(PeerError, match="LOG_FORK"):
        await running
    assert bench.seen.alarms == ["LOG_FORK"]
    with pytest.raises(OperationalError, match="LEDGER_STOPPED"):
        await bench.appender.append(bench.commit())


class Steps:
    """A log that is written in an order of its own beside one that writes every commit."""

    def __init__(self) -> None:
        """Open both."""
        self.plain = Log(MemoryStore(), GENESIS, ORIGIN)
        self.behind = Log(MemoryStore(), GENESIS, ORIGIN)
        self.staged: object = None

    def commit(self, numbers: list[int]) -> None:
        """Execute a commit that accepts updates with these numbers, some of them again."""
        made = block(0, [record(number % 3, number) for number in numbers])
        one = delivery(self.plain.tip.index + 1, made, verdicts=accepting(made) if numbers else ())
        append(self.plain, one)
        assert self.behind.execute(one).row == self.plain.head.row

    def turn_disk(self) -> None:
        """Stage what there is, or let what is staged become durable."""
        if self.staged is None:
            self.staged = self.behind.stage()
        else:
            self.staged.staged.commit()  # type: ignore[attr-defined]  # a group
            self.behind.settle(self.staged)  # type: ignore[arg-type]  # a group
            self.staged = None


@given(st.lists(st.one_of(st.none(), st.lists(st.integers(1, 6), max_size=3, unique=True))))
def test_when_it_is_written_does_not_change_a_byte(script: list[list[int] | None]) -> None:
    steps = Steps()
    for numbers in script:
        if numbers is None:
            steps.turn_disk()
        else:
            steps.commit(numbers)
    for _ in range(3):
        steps.turn_disk()
    if steps.staged is not None:
        steps.turn_disk()
    assert steps.behind.head == steps.plain.head
    for table in Table:
        assert steps.behind.store.scan(table, b"", 10_000) == steps.plain.store.scan(
            table, b"", 10_000
        )
