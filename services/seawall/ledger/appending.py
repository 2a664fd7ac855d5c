"""The one writer of a log: commits and certificates in order, made durable in groups.

What arrives while the disk is busy is executed and synced together, so a slow disk makes groups
larger, not the queue longer.
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

GROUP_COMMITS_MAX: Final = 64
GROUP_UPDATES_MAX: Final = 1024
"""No commit joins a group of more updates: executing them holds up the event loop, 20 us each."""

QUEUE_ITEMS_MAX: Final = 256


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
        self._failed: SeawallError | None = None

    async def append(self, content: Delivery | CertifiedCheckpoint) -> Position | None:
        """Return what a commit led to, once that is durable; None for a certificate.

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
        if self._failed is not None:
            raise self._failed
        answer: asyncio.Future[Position | None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Item(content, answer))
        return answer

    async def run(self) -> None:
        """Write what is queued, group by group, until cancelled.

        Raises:
            OperationalError: a write failed: nothing more can be promised.
            PeerError: LOG_FORK when a quorum has another tree.

        """
        group: list[_Item] = []
        carried: _Item | None = None
        try:
            while True:
                group = [carried or await self._queue.get()]
                carried = self._gather(group)
                await self._write(group)
        except SeawallError as error:
            self._fail(error, group if carried is None else [*group, carried])
            raise

    def _gather(self, group: list[_Item]) -> _Item | None:
        """Add queued items to a group; return one that has to wait for the next."""
        height = self._log.head.index
        updates = _updates_of(group[0])
        while not self._queue.empty() and len(group) < GROUP_COMMITS_MAX:
            item = self._queue.get_nowait()
            updates += _updates_of(item)
            early = isinstance(item.content, CertifiedCheckpoint) and item.content.index > height
            if early or updates > GROUP_UPDATES_MAX:
                return item
            group.append(item)
        return None

    async def _write(self, group: list[_Item]) -> None:
        """Make one group durable, then answer it and wake those who wait."""
        deliveries: list[Delivery] = []
        certificate: CertifiedCheckpoint | None = None
        for item in group:
            if isinstance(item.content, CertifiedCheckpoint):
                certificate = self._newer(item, certificate)
            elif self._is_next(item, deliveries[-1] if deliveries else None):
                deliveries.append(item.content)
        if deliveries or certificate is not None:
            await self._commit(deliveries, certificate)
        for item in group:
            if not item.answer.done():
                item.answer.set_result(self._answer(item.content))
        if certificate is not None:
            self._landmarks.cover(certificate.index)
            self.certified.fire()

    async def _commit(
        self, deliveries: list[Delivery], certificate: CertifiedCheckpoint | None
    ) -> None:
        """Execute, write and sync one group."""
        log, started_us = self._log, self._elapsed_us()
        self._reach("ledger.before_commit")
        if certificate is not None:
            self._reach("ledger.before_certificate")
        staged = log.stage(deliveries, certificate)
        executed_us = self._elapsed_us()
        self._reach("ledger.before_sync")
        await finish(staged.staged.commit)
        log.settle(staged)
        self._reach("ledger.after_sync")
        if certificate is not None:
            self._reach("ledger.after_certificate")
        sync_us = self._elapsed_us() - executed_us
        self._watch.appended(staged.executed, executed_us - started_us, sync_us)
        for one in staged.executed:
            for code in one.alarms:
                self._watch.alarm(code)
            self._landmarks.reach(one.index, _landmarks_of(one))

    def _is_next(self, item: _Item, after: Delivery | None) -> bool:
        """Return whether a commit is new; answer one that cannot be."""
        assert isinstance(item.content, Delivery), "called for commits"
        try:
            return self._log.check_next(item.content, after)
        except PeerError as error:
            if error.code == "LOG_FORK":
                self._watch.alarm(error.code)
            _refuse(item, error)
            return False

    def _newer(self, item: _Item, before: CertifiedCheckpoint | None) -> CertifiedCheckpoint | None:
        """Return the newest certificate; end everything at one that says we have forked."""
        certificate = item.content
        assert isinstance(certificate, CertifiedCheckpoint), "called for certificates"
        try:
            newer = self._log.check_certificate(certificate)
        except PeerError as error:
            _refuse(item, error)
            if error.code == "LOG_FORK":
                self._watch.alarm(error.code)
                raise
            return before
        if not newer or (before is not None and before.index >= certificate.index):
            return before
        return certificate

    def _answer(self, content: Delivery | CertifiedCheckpoint) -> Position | None:
        """Return what a stored commit led to."""
        if isinstance(content, CertifiedCheckpoint):
            return None
        row = self._log.row(content.index)
        assert row is not None, "what is answered is stored"
        return Position(content.index, row)

    def _fail(self, error: SeawallError, items: list[_Item]) -> None:
        """Tell everybody who waits, and everybody after them."""
        hint = "this ledger has stopped: look at its log"
        self._failed = (
            error
            if isinstance(error, OperationalError)
            else OperationalError("LEDGER_STOPPED", hint)
        )
        while not self._queue.empty():
            items.append(self._queue.get_nowait())
        for item in items:
            _refuse(item, self._failed)


def _updates_of(item: _Item) -> int:
    """Return how many updates a commit decides, 0 for a certificate."""
    if isinstance(item.content, CertifiedCheckpoint):
        return 0
    return sum(len(verdict.positions) for verdict in item.content.verdicts)


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
