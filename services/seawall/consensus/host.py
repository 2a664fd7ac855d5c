"""What runs a replica in a process: links to the other sites, its thread, its ledger.

    links ──► inbox of the replica's thread ──► Replica.handle ──► outcome ──► links, ledger

The event loop moves bytes; everything else happens in `CoreThread`. Every queue is bounded: a
peer may have a number of messages outstanding and is not read from beyond that, a link that
cannot be written to ends, the thread waits when the loop is behind, and services of this site are
refused (QUOTA_CONSENSUS) when too much of theirs waits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from seawall.consensus.commits import CommitLog
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.core_thread import Arrival, CoreThread, Outcome
from seawall.consensus.engine import (
    ALL_PEERS,
    Identity,
    PeerDown,
    PeerUp,
    Status,
    Submitted,
)
from seawall.consensus.engines import EngineFactory
from seawall.consensus.feed import LedgerFeed
from seawall.consensus.finality import FinalityFeed
from seawall.consensus.frames import FrameStream, listen
from seawall.consensus.journal import FileJournal
from seawall.consensus.links import Dialler, Link, Stream
from seawall.consensus.messages import BlockVerifier, Inbound, PeerMessage
from seawall.consensus.pending import PendingSubmissions
from seawall.consensus.replica import Replica
from seawall.consensus.reporting import Reporting
from seawall.consensus.shaping import shaped_link
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.runtime.service import CONSENSUS, LEDGER, Context
from seawall.runtime.tls import Callers
from seawall.telemetry.metrics import ConsensusMetrics

ANSWERING_MAX: Final = 256
"""Links over frames that may be answered at once, those before their hello included."""

TICK_SECONDS: Final = 1.0
STOP_SECONDS_MAX: Final = 5.0


class ConsensusHost:
    """One replica at work; implements `seawall.consensus.links.Receiver`."""

    def __init__(
        self, context: Context, settings: ConsensusSettings, factory: EngineFactory
    ) -> None:
        """Recover the replica from its journal.

        Raises:
            OperationalError: JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO.

        """
        self.context = context
        self.settings = settings
        self.links: dict[int, Link] = {}
        self.finality = FinalityFeed()
        self.log = context.log
        parameters = context.genesis.consensus
        metrics = ConsensusMetrics(context.registry, parameters.protocol)
        self.reporting = Reporting(metrics, context.log, context.clock, context.site)
        self.commits = _open_commits(context, settings)
        self.journal = FileJournal(
            context.data_dir / "journal",
            context.crash_points,
            before_base=self.commits.sync,
            synced=metrics.phase("persist").observe,
            segment_size_bytes_max=settings.segment_bytes_max,
            disk=context.disk,
        )
        engine = factory(
            identity=_identity_of(context),
            committee=context.committee,
            parameters=parameters,
            recovered=self.journal.recovered,
            history=self.commits,
        )
        self.log.info("replica_recovered", records=len(self.journal.recovered))
        self.journal.recovered = ()
        self._replica = Replica(engine, self.journal)
        self.status: Status = self._replica.status()
        self.pending = PendingSubmissions(context.committee, context.site, parameters, settings)
        self._verifier = BlockVerifier(context.committee, parameters)
        self._inbounds: dict[Link, Inbound] = {}
        self._room: dict[Link, asyncio.Semaphore] = {}
        self._thread: CoreThread | None = None
        self._feed: LedgerFeed | None = None
        self._callers = Callers(context.genesis, context.site)
        self._answering: set[asyncio.Task[None]] = set()
        self.frame_port = 0
        """Port on which links are taken as frames; 0 while they are not."""
        self._count_links()

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the replica and its links until cancelled.

        Raises:
            SeawallError: the journal or the ledger cannot go on; nothing of the step that failed
                was sent.

        """
        failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        thread = self._make_thread(failure)
        self._feed = LedgerFeed(
            lambda: self.context.channels.to(LEDGER),
            self.commits,
            thread.push,
            self.settings,
            self.context.crash_points,
            self.log,
        )
        self._thread = thread
        thread.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._feed.run(), name="ledger-feed")
                group.create_task(self._tick(), name="links-tick")
                for peer in range(self.context.site):
                    group.create_task(self._dialler(peer).run(), name=f"dial-{peer}")
                async with self._listening(group):
                    await failure
        finally:
            self._thread = None
            thread.stop()
            if await asyncio.to_thread(thread.join, STOP_SECONDS_MAX):
                self.journal.close()
                self.commits.close()

    @asynccontextmanager
    async def _listening(self, group: asyncio.TaskGroup) -> AsyncIterator[None]:
        """Take links as frames until the end of the block, if the settings name an address."""
        settings = self.settings
        if not settings.frame_address:
            yield
            return

        def opened(stream: FrameStream) -> None:
            if not self.frame_port or len(self._answering) >= ANSWERING_MAX:
                stream.close()
                return
            task = group.create_task(self._answer(stream))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        server = await listen(
            settings.frame_address,
            self.context.channels.frame_server_tls(),
            opened,
            handshake_seconds_max=settings.hello_seconds_max,
        )
        self.frame_port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            self.frame_port = 0
            server.close()

    async def _answer(self, stream: FrameStream) -> None:
        """Run one link that another site has dialled as frames."""
        site, own = self._callers.site_with(stream.certificate), self.context.site
        fault: SeawallError = self.wrong_direction()
        try:
            if site is not None and site > own:
                await self.link(stream, site).run()
        except SeawallError as reason:
            fault = reason
        finally:
            stream.close(fault)
        self.log.info("link_ended", peer=site, dialled=False, code=fault.code, hint=fault.hint)

    def wrong_direction(self) -> PeerError:
        """Return what a caller is told that is no site with a higher index."""
        hint = f"site {self.context.site} is dialled by sites with a higher index"
        return PeerError("HELLO_DIRECTION", hint, field="author")

    def _make_thread(self, failure: asyncio.Future[None]) -> CoreThread:
        """Return the replica's thread; whatever goes wrong with its work ends up in `failure`."""
        loop = asyncio.get_running_loop()

        def apply(outcome: Outcome) -> None:
            try:
                self._apply(outcome)
            except Exception as fault:  # noqa: BLE001 - half an outcome applied: the site stops
                _fail(failure, fault)

        def report(outcome: Outcome) -> None:
            loop.call_soon_threadsafe(apply, outcome)

        def failed(fault: BaseException) -> None:
            loop.call_soon_threadsafe(_fail, failure, fault)

        return CoreThread(
            self._replica,
            self.commits,
            self.context.clock,
            report=report,
            failed=failed,
            events_per_step_max=self.settings.events_per_step_max,
            outputs_max=self.settings.outputs_max,
        )

    def ready(self) -> bool:
        """Say whether the replica runs and its ledger keeps up."""
        feed = self._feed
        return (
            self._thread is not None
            and feed is not None
            and feed.connected
            and feed.lag <= self.settings.ledger_lag_commits_max
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for link in tuple(self.links.values()):
                link.tick()

    def _dialler(self, peer: int) -> Dialler:
        return Dialler(
            peer,
            lambda: self.context.channels.to(CONSENSUS, peer),
            lambda: self.context.channels.frame_target(peer),
            self.link,
            self.settings,
            self.log,
        )

    # --- links ----------------------------------------------------------------------------------

    def link(self, stream: Stream, peer: int) -> Link:
        """Return a link over an open stream, ready to run."""
        context = self.context
        make: Callable[..., Link] = Link
        if context.seams is not None and context.seams.links is not None:
            make = shaped_link(context.seams.links)
        return make(stream, self, context.committee, self.settings, own=context.site, peer=peer)

    def up(self, link: Link) -> None:
        """Take note of a new link; it replaces an older one of the same peer."""
        old = self.links.get(link.peer)
        self.links[link.peer] = link
        self._inbounds[link] = Inbound(self._verifier, self.context.committee)
        self._room[link] = asyncio.Semaphore(self.settings.peer_inflight_messages_max)
        if old is not None:
            old.end(OperationalError("LINK_REPLACED", "the peer opened a newer link"))
            self._push(PeerDown(link.peer))
        self.log.info("link_up", peer=link.peer, transport=link.transport)
        self._count_links()
        self._push(PeerUp(link.peer))

    def down(self, link: Link) -> None:
        """Take note of the end of a link."""
        del self._inbounds[link], self._room[link]
        if self.links.get(link.peer) is link:
            del self.links[link.peer]
            self.log.info("link_down", peer=link.peer)
            self._count_links()
            self._push(PeerDown(link.peer))

    def _count_links(self) -> None:
        self.reporting.links(len(self.links), self.context.committee.size - 1)

    async def receive(self, link: Link, message: PeerMessage) -> None:
        """Take a message to the replica; waits while too many of this peer are there."""
        kind = message.WhichOneof("kind") or "other"
        self.reporting.heard[link.peer] += 1
        self.reporting.traffic("received", kind, message.ByteSize())
        await self._room[link].acquire()
        self._push(Arrival(link, self._inbounds[link], message))

    def _push(self, item: Arrival | PeerUp | PeerDown | Submitted) -> None:
        if self._thread is not None:
            self._thread.push(item)

    # --- services of this site ------------------------------------------------------------------

    def submit(self, submitted: Submitted) -> None:
        """Queue checked batches and transactions.

        Raises:
            PeerError: QUOTA_CONSENSUS under back-pressure.

        """
        feed = self._feed
        behind = feed is None or feed.lag > self.settings.ledger_lag_commits_max
        accepts = self._thread is not None and self.status.accepts_payload and not behind
        try:
            self.pending.add(submitted, accepts=accepts)
        except PeerError as fault:
            self.reporting.refused(fault)
            raise
        self.reporting.submitted(submitted.batches)
        self.reporting.waiting(self.pending.updates)
        self._push(submitted)

    # --- what the replica wants -----------------------------------------------------------------

    def _apply(self, outcome: Outcome) -> None:
        """Do what a step asks for; runs in the event loop."""
        thread = self._thread
        if thread is None:
            return
        thread.applied()
        self.status = outcome.status
        for link in outcome.arrivals:
            if link in self._room:
                self._room[link].release()
        for link, fault in outcome.faults:
            self.reporting.peer_fault(link.peer, fault)
            link.end(fault)
        if outcome.sends:
            self._send(outcome)
        if outcome.final:
            self.finality.publish(outcome.final)
            self.reporting.final(outcome.final)
        if outcome.deliver:
            self._deliver(outcome)
        for checkpoint in outcome.certify:
            assert self._feed is not None
            self._feed.certify(checkpoint)
        self.reporting.step(outcome)

    def _send(self, outcome: Outcome) -> None:
        self.context.crash_points.reach("host.before_send")
        for peer, messages, kind in outcome.sends:
            links = self.links.values() if peer == ALL_PEERS else (self.links.get(peer),)
            for message in messages:
                size_bytes = message.ByteSize()
                for link in tuple(links):
                    if link is not None:
                        link.send(message, size_bytes)
                        self.reporting.traffic("sent", kind, size_bytes)
        self.context.crash_points.reach("host.after_send")

    def _deliver(self, outcome: Outcome) -> None:
        assert self._feed is not None
        self._feed.deliver(outcome.deliver)
        self.reporting.delivered(outcome.deliver, self.pending)


def _open_commits(context: Context, settings: ConsensusSettings) -> CommitLog:
    return CommitLog(
        context.data_dir / "commits",
        size_bytes_max=settings.history_bytes_max,
        segment_size_bytes_max=settings.segment_bytes_max,
        disk=context.disk,
    )


def _fail(failure: asyncio.Future[None], fault: BaseException) -> None:
    if not failure.done():
        failure.set_exception(fault)


def _identity_of(context: Context) -> Identity:
    keys = context.keys
    return Identity(
        index=context.site,
        consensus_key=keys.consensus,
        cosigner_key=keys.cosigner,
        coin_secret=keys.coin,
    )
