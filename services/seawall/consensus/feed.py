"""The way to the ledger: commits and certificates out, roots back, over one stream.

The ledger says first which commit it stored last. From there on, or from the first commit whose
root the replica still waits for, whichever is lower, commits follow in order; repeated ones get
the same answer again. When the stream breaks it is opened again, for ever: a ledger that restarts
goes on where it was.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc
import grpc.aio

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.consensus.commits import CommitLog
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.engine import Rooted
from seawall.consensus.messages import encode_checkpoint, encode_delivery
from seawall.domain.commit import CertifiedCheckpoint, Commit
from seawall.errors import OperationalError, PeerError
from seawall.runtime import status
from seawall.runtime.fragments import pieces
from seawall.runtime.service import CrashPoints
from seawall.telemetry.logs import Log

CERTIFICATES_MAX: Final = 64
"""Certificates that may wait; a newer one makes an older one superfluous."""

FIRST_ANSWER_SECONDS_MAX: Final = 10.0


class LedgerFeed:
    """Hands commits to the own site's ledger and takes its answers."""

    def __init__(
        self,
        channel: Callable[[], grpc.aio.Channel],
        commits: CommitLog,
        rooted: Callable[[Rooted], None],
        settings: ConsensusSettings,
        crash_points: CrashPoints,
        log: Log,
    ) -> None:
        """Start without a stream; `rooted` takes each answer."""
        self._channel = channel
        self._commits = commits
        self._rooted = rooted
        self._settings = settings
        self._crash_points = crash_points
        self._log = log
        self._changed = asyncio.Event()
        self._certificates: deque[CertifiedCheckpoint] = deque(maxlen=CERTIFICATES_MAX)
        self._delivered = 0
        self._answered: int | None = None
        self._fault: OperationalError | None = None
        self.stored = 0
        self.connected = False

    @property
    def lag(self) -> int:
        """Return how many delivered commits the ledger has not answered."""
        return 0 if self._answered is None else self._delivered - self._answered

    def deliver(self, commits: tuple[Commit, ...]) -> None:
        """Take note of commits, which are in the commit log already."""
        if self._answered is None:
            self._answered = commits[0].index - 1
        self._delivered = max(self._delivered, commits[-1].index)
        self._changed.set()

    def certify(self, checkpoint: CertifiedCheckpoint) -> None:
        """Take a certificate along."""
        self._certificates.append(checkpoint)
        self._changed.set()

    async def run(self) -> None:
        """Keep the stream up until cancelled.

        Raises:
            OperationalError: LEDGER_FORK when the ledger holds another chain, LEDGER_GAP when it
                lacks commits that this replica does not have any more.

        """
        pause = self._settings.reconnect_seconds_min
        while True:
            try:
                await self._stream()
            except grpc.RpcError as failure:
                fault = status.error_from(failure)
                self._log.warning("ledger_stream_ended", code=fault.code, hint=fault.hint)
                if isinstance(fault, PeerError) and fault.code == "LOG_FORK":
                    raise OperationalError("LEDGER_FORK", fault.hint) from None
            except TimeoutError:
                self._log.warning("ledger_silent")
            finally:
                self.connected = False
            if self._fault is not None:
                raise self._fault
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.reconnect_seconds_max)

    async def _stream(self) -> None:
        """Open the stream and work on it until it ends."""
        stub = ledger_pb2_grpc.LedgerServiceStub(self._channel())
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        window = asyncio.Semaphore(self._settings.ledger_window_commits)
        call = stub.Append(self._requests(started, window), wait_for_ready=True)
        try:
            async with asyncio.timeout(FIRST_ANSWER_SECONDS_MAX):
                first = await call.read()
            if not isinstance(first, ledger_pb2.AppendResponse):
                return
            self.connected = True
            self.stored = first.index
            self._log.info("ledger_connected", stored=first.index)
            started.set_result(first.index)
            while isinstance(answer := await call.read(), ledger_pb2.AppendResponse):
                window.release()
                self._take(answer)
        finally:
            call.cancel()

    def _take(self, answer: ledger_pb2.AppendResponse) -> None:
        self._crash_points.reach("host.after_rooted")
        self.stored = max(self.stored, answer.index)
        if self._answered is not None and answer.index > self._answered:
            self._answered = answer.index
        self._rooted(Rooted(answer.index, answer.tree_size, answer.root))

    async def _requests(
        self, started: asyncio.Future[int], window: asyncio.Semaphore
    ) -> AsyncIterator[ledger_pb2.AppendRequest]:
        """Yield commits in order, and certificates of what has been sent."""
        stored = await started
        while self._answered is None:
            await self._wait()
        position = min(stored, self._answered)
        while True:
            while position < self._delivered:
                await window.acquire()
                position += 1
                commit = self._commit(position)
                if commit is None:
                    return
                for piece in pieces(ledger_pb2.AppendRequest(commit=encode_delivery(commit))):
                    yield piece
                self._crash_points.reach("host.after_deliver")
            while self._certificates and self._certificates[0].index <= position:
                certificate = encode_checkpoint(self._certificates.popleft())
                yield ledger_pb2.AppendRequest(certificate=certificate)
            if position == self._delivered:
                await self._wait()

    def _commit(self, index: int) -> Commit | None:
        """Return a commit; without it this site cannot go on, and `run` says so."""
        self._crash_points.reach("host.before_deliver")
        commit = self._commits.read(index)
        if commit is None:
            hint = "restore the ledger from another site's: it is too far behind"
            self._fault = OperationalError("LEDGER_GAP", hint, field=f"commits[{index}]")
        return commit

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
