"""The one writer of a log: commits are executed and answered at once, and written behind.

An answer says what tree a commit leads to. It may go out before that tree is on the disk, since it
follows from the commits, and those are in the journals: a ledger that loses what it had not
written is sent it again and comes to the same. What clients are told, and read, is durable: a
certificate wakes them only when it and all that it covers are written.

Writes happen where somebody waits for them: for a certificate that covers something of interest,
for a reader (`flush`), when much has gathered, else a moment after the first change. What arrives
while the disk is busy is written together, so a slow disk makes groups larger, not the queue.

Source: docs/decisions/0018-the-ledger-is-written-behind.md.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from seawall.domain.commit import CertifiedCheckpoint
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.ledger.disk import finish
from seawall.ledger.execution import Delivery, Executed
from seawall.ledger.landmarks import Landmarks, Signal
from seawall.ledger.log import Log, Position
from seawall.ledger.receipts import accepted_landmark, decided_landmark, usable_landmark

QUEUE_ITEMS_MAX: Final = 256
TURN_ITEMS_MAX: Final = 64
TURN_UPDATES_MAX: Final = 1024
"""Bounds on what is executed in one turn of the event loop: an update takes 20 us."""

WRITE_COMMITS_MIN: Final = 64
WRITE_UPDATES_MIN: Final = 1024
"""So much is written at once, whoever waits for it."""

UNWRITTEN_COMMITS_MAX: Final = 256
UNWRITTEN_UPDATES_MAX: Final = 4096
"""With as much executed and not durable, at most a turn more, commits wait for the disk."""

LINGER_SECONDS: Final = 0.1
"""Nothing that was executed waits longer for a write, but for one that is under way."""


class Watch(Protocol):
    """Whoever counts and logs what the appender does."""

    def appended(self, executed: tuple[Executed, ...], execute_us: int, sync_us: int) -> None:
        """Note a durable group."""
        ...

    def alarm(self, code: str) -> None:
        """Note something that must never happen."""
        ...


class _Item(msgspec.Struct):
    """A commit or certificate with the promise of an answer."""

    content: Delivery | CertifiedCheckpoint
    answer: "asyncio.Future[Position | None]"


class Appender:
    """The writer of one log."""

    def __init__(
        self,
        log: Log,
        landmarks: Landmarks,
        watch: Watch,
        reach: Callable[[str], None],
        elapsed_us: Callable[[], int],
    ) -> None:
        """Write to `log`; `reach` passes a named crash point."""
        self.certified = Signal()
        self._log = log
        self._landmarks = landmarks
        self._watch = watch
        self._reach = reach
        self._elapsed_us = elapsed_us
        self._queue: asyncio.Queue[_Item] = asyncio.Queue(QUEUE_ITEMS_MAX)
        self._failed: OperationalError | None = None
        self._certificate: CertifiedCheckpoint | None = None
        self._taken = 0
        self._durable = 0
        self._unwritten_commits = 0
        self._unwritten_updates = 0
        self._execute_us = 0
        self._changed = asyncio.Event()
        self._due = asyncio.Event()
        self._written = Signal()

    async def append(self, content: Delivery | CertifiedCheckpoint) -> Position | None:
        """Return what a commit leads to; None for a certificate.

        Raises:
            PeerError: LOG_GAP, LOG_FORK, LOG_QUORUM.
            OperationalError: STORE_FULL, STORE_WRITE.

        """
        return await (await self.enqueue(content))

    async def enqueue(
        self, content: Delivery | CertifiedCheckpoint
    ) -> "asyncio.Future[Position | None]":
        """Queue a commit or certificate; return the promise of what `append` returns.

        Raises:
            OperationalError: STORE_FULL, STORE_WRITE, LEDGER_STOPPED after a failure.

        """
        self._check()
        answer: asyncio.Future[Position | None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Item(content, answer))
        try:
            self._check()
        except OperationalError as error:  # while this waited for room, as others may behind it
            answer.cancel()
            self._refuse_queued(error)
            raise
        return answer

    async def flush(self) -> None:
        """Return once everything that was answered so far is durable.

        Raises:
            OperationalError: STORE_FULL, STORE_WRITE, LEDGER_STOPPED after a failure or the end.

        """
        taken = self._taken
        while self._durable < taken:
            self._check()
            if self._changed.is_set():
                self._due.set()
            await self._written.wait()

    def _check(self) -> None:
        """Raise what has stopped this appender, if anything has."""
        if self._failed is not None:
            raise self._failed

    async def run(self) -> None:
        """Execute and write what is queued until cancelled; then nobody waits here any more.

        Raises:
            OperationalError: a write failed: nothing more can be promised.
            PeerError: LOG_FORK when a quorum has another tree.

        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._execute_all(), name="ledger-execution")
                group.create_task(self._write_all(), name="ledger-writing")
        except ExceptionGroup as failures:
            error = failures.exceptions[0]
            if isinstance(error, SeawallError):
                self._fail(error)
            raise error from None
        finally:
            if self._failed is None:
                self._fail(OperationalError("LEDGER_STOPPED", "this ledger is stopping: try again"))

    # --- executing ------------------------------------------------------------------------------

    async def _execute_all(self) -> None:
        """Take what is queued, turn by turn."""
        while True:
            while (
                self._unwritten_commits >= UNWRITTEN_COMMITS_MAX
                or self._unwritten_updates >= UNWRITTEN_UPDATES_MAX
            ):
                await self._written.wait()
            self._execute_turn(await self._queue.get())
            # Whoever waits for an answer comes before the next turn.
            await asyncio.sleep(0)

    def _execute_turn(self, item: _Item) -> None:
        """Take an item, and more of what is queued, as far as one turn may go."""
        started_us = self._elapsed_us()
        items, updates = 0, 0
        while True:
            try:
                self._take(item)
            except SeawallError as error:
                _refuse(item, error)
                raise
            items += 1
            updates += _updates_of(item)
            if items >= TURN_ITEMS_MAX or updates >= TURN_UPDATES_MAX or self._queue.empty():
                break
            item = self._queue.get_nowait()
        self._execute_us += self._elapsed_us() - started_us
        self._look()

    def _take(self, item: _Item) -> None:
        """Execute a commit or check a certificate, and answer; end everything where it must."""
        content, position = item.content, None
        try:
            if isinstance(content, CertifiedCheckpoint):
                self._take_certificate(content)
            else:
                position = self._take_commit(content)
        except PeerError as error:
            _refuse(item, error)
            if error.code == "LOG_FORK":
                self._watch.alarm(error.code)
                if isinstance(content, CertifiedCheckpoint):
                    raise
        else:
            if not item.answer.done():
                item.answer.set_result(position)

    def _take_commit(self, delivery: Delivery) -> Position:
        """Return what a commit leads to; it is executed if it is new."""
        if self._log.check_next(delivery):
            self._reach("ledger.before_commit")
            executed = self._log.execute(delivery)
            for code in executed.alarms:
                self._watch.alarm(code)
            self._landmarks.reach(executed.index, _landmarks_of(executed))
            self._unwritten_commits += 1
            self._unwritten_updates += _updates_in(delivery)
            self._change()
        row = self._log.executed_row(delivery.index)
        assert row is not None, "what is answered was executed"
        return Position(delivery.index, row)

    def _take_certificate(self, certificate: CertifiedCheckpoint) -> None:
        """Keep a certificate that is newer than all before."""
        newer = self._log.check_certificate(certificate)
        held = self._certificate
        if newer and (held is None or certificate.index > held.index):
            self._reach("ledger.before_certificate")
            self._certificate = certificate
            self._change()

    def _change(self) -> None:
        """Count something that is to be written."""
        self._taken += 1
        self._changed.set()

    def _look(self) -> None:
        """Note whether a write is due."""
        certificate = self._certificate
        if (
            self._unwritten_commits >= WRITE_COMMITS_MIN
            or self._unwritten_updates >= WRITE_UPDATES_MIN
            or (certificate is not None and self._landmarks.has_any(certificate.index))
        ):
            self._due.set()

    # --- writing --------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        """Write what has changed, group by group, when it is due."""
        while True:
            await self._changed.wait()
            try:
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            self._due.clear()
            await self._write()

    async def _write(self) -> None:
        """Make what was executed durable, with the newest certificate, and wake who waits."""
        log, taken = self._log, self._taken
        certificate, execute_us = self._certificate, self._execute_us
        commits, updates = self._unwritten_commits, self._unwritten_updates
        self._certificate = None
        self._execute_us = 0
        staged = log.stage(certificate)
        staged_us = self._elapsed_us()
        self._reach("ledger.before_sync")
        await finish(staged.staged.commit)
        log.settle(staged)
        self._reach("ledger.after_sync")
        if certificate is not None:
            self._reach("ledger.after_certificate")
        self._watch.appended(staged.executed, execute_us, self._elapsed_us() - staged_us)
        self._durable = taken
        self._unwritten_commits -= commits
        self._unwritten_updates -= updates
        self._written.fire()
        if certificate is not None:
            self._landmarks.cover(certificate.index)
            self.certified.fire()

    def _fail(self, error: SeawallError) -> None:
        """Tell everybody who waits, and everybody after them."""
        hint = "this ledger has stopped: look at its log"
        self._failed = (
            error
            if isinstance(error, OperationalError)
            else OperationalError("LEDGER_STOPPED", hint)
        )
        self._refuse_queued(self._failed)
        self._written.fire()

    def _refuse_queued(self, error: OperationalError) -> None:
        """Answer everything in the queue with an error."""
        while not self._queue.empty():
            _refuse(self._queue.get_nowait(), error)


def _updates_of(item: _Item) -> int:
    """Return how many updates a commit decides, 0 for a certificate."""
    return 0 if isinstance(item.content, CertifiedCheckpoint) else _updates_in(item.content)


def _updates_in(delivery: Delivery) -> int:
    """Return how many updates a commit decides."""
    return sum(len(verdict.positions) for verdict in delivery.verdicts)


def _refuse(item: _Item, error: SeawallError) -> None:
    """Answer an item with an error, unless it has its answer."""
    if not item.answer.done():
        item.answer.set_exception(error)


def _landmarks_of(executed: Executed) -> list[bytes]:
    """Return the landmarks of one commit."""
    return [
        *map(accepted_landmark, executed.accepted),
        *[accepted_landmark(update_id) for update_id, _ in executed.refused],
        *map(decided_landmark, executed.decided),
        *[usable_landmark(task, version) for task, version in executed.usable],
    ]
