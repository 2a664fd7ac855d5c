"""Forms the versions of one task: each cut in order, computed, stored, voted for, compared.

A version is finished when stake has voted for it and its payload is here. Computing needs every
selected payload; while nobody has one, this waits, unless stake votes meanwhile: then the voted
bytes are taken from others, and the next cut goes on from them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from seawall.aggregation.computation import Computed, compute
from seawall.aggregation.config import AggregationSettings
from seawall.aggregation.history import Cursor, Finished, History
from seawall.aggregation.host import Consensus, PayloadSource
from seawall.aggregation.versions import LoggedCut, LoggedVersion, TaskLog, version_zero
from seawall.domain.genesis import Task
from seawall.errors import OperationalError, SeawallError
from seawall.formats.jcs import JsonInput, canonical
from seawall.formats.task_payload import Layout
from seawall.runtime.locks import write_durably
from seawall.runtime.service import Context
from seawall.telemetry.metrics import AggregationMetrics

US_PER_SECOND: Final = 1_000_000

T = TypeVar("T")


class Vote(msgspec.Struct, frozen=True):
    """What this site says of a version."""

    version: int
    digest: bytes
    size_bytes: int


class Former:
    """The work on one task."""

    def __init__(
        self,
        context: Context,
        task: Task,
        settings: AggregationSettings,
        parts: "Parts",
        cursor: Cursor,
    ) -> None:
        """Go on after the newest version of the history."""
        self.task = task
        self.layout = Layout.of(task)
        self.history = History(context.data_dir / f"{task.name}.versions", context.disk)
        last = self.history.get(len(self.history))
        self.done = version_zero(task) if last is None else last.logged()
        final, voted = cursor.final.get(task.name, 0), cursor.voted.get(task.name, 0)
        self.log = TaskLog(task, context.site, self.done, final, voted)
        self.changed = asyncio.Event()
        """Set whenever the log said something about this task."""
        self.advanced = asyncio.Event()
        """Set whenever a version is finished."""
        self._context = context
        self._settings = settings
        self._parts = parts
        self._vote: Vote | None = None
        if last is not None and last.computed and not self.log.settled(last.version):
            digest = bytes.fromhex(last.computed)
            self._vote = Vote(last.version, digest, last.size_bytes)
        self._new_vote = asyncio.Event()
        self._head: tuple[bytes, bytes] | None = None

    async def run(self) -> None:
        """Form versions and vote for them until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._form_all(), name=f"form-{self.task.name}")
                group.create_task(self._vote_all(), name=f"vote-{self.task.name}")
        finally:
            self.history.close()

    # --- forming ----------------------------------------------------------------------------

    async def _form_all(self) -> None:
        while True:
            cut = await self._next_cut()
            computed = await self._compute(cut)
            if computed is not None:
                await self._keep(cut, computed)
            version = await self._usable(cut.version)
            await self._finish(cut, version, computed)

    async def _next_cut(self) -> LoggedCut:
        wanted = self.done.version + 1
        return await self._until(lambda: self.log.cuts.get(wanted))

    async def _usable(self, version: int) -> LoggedVersion:
        return await self._until(lambda: self.log.usable.get(version))

    async def _until(self, look: Callable[[], T | None]) -> T:
        """Return what `look` finds, as soon as the log has it."""
        while True:
            self.changed.clear()
            found = look()
            if found is not None:
                return found
            await self.changed.wait()

    async def _compute(self, cut: LoggedCut) -> Computed | None:
        """Return what follows from a cut; None when stake has voted and inputs are missing."""
        pause = self._settings.retry_seconds_min
        while True:
            try:
                inputs = await self._inputs(cut)
            except OperationalError as fault:
                log = self._context.log.bind(task=self.task.name, version=cut.version)
                log.info("cut_waits", code=fault.code, hint=fault.hint)
            else:
                return await asyncio.to_thread(compute, self.task, self.layout, cut.entry, *inputs)
            if cut.version in self.log.usable:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.retry_seconds_max)

    async def _inputs(self, cut: LoggedCut) -> tuple[bytes, dict[str, bytes], bytes | None]:
        """Return the payloads of the base, of every selected update, and of the root update."""
        base = await self._base(bytes.fromhex(cut.entry.base_payload))
        wanted = {
            one.update_id: (bytes.fromhex(one.payload), one.payload_size)
            for one in cut.entry.updates
        }
        if cut.root is not None:
            wanted[""] = (cut.root.payload, cut.root.size_bytes)
        found: dict[str, bytes] = {}
        faults: list[OperationalError] = []

        async def fetch(name: str, digest: bytes, size_bytes: int) -> None:
            try:
                found[name] = await self._parts.payloads.get(digest, size_bytes)
            except OperationalError as fault:
                faults.append(fault)

        async with asyncio.TaskGroup() as group:
            for name, (digest, size_bytes) in wanted.items():
                group.create_task(fetch(name, digest, size_bytes))
        if faults:
            raise faults[0]
        root = found.pop("", None)
        return base, found, root

    async def _base(self, digest: bytes) -> bytes:
        """Return the payload of the version before, which is often still in memory."""
        if self._head is not None and self._head[0] == digest:
            return self._head[1]
        return await self._parts.payloads.get(digest, self.task.payload_size_bytes)

    async def _keep(self, cut: LoggedCut, computed: Computed) -> None:
        """Store what was computed, then vote for it."""
        context, metrics = self._context, self._parts.metrics
        context.crash_points.reach("aggregation.before_version")
        await self._insist(lambda: self._parts.payloads.store(computed.digest, computed.payload))
        context.crash_points.reach("aggregation.after_version")
        self._vote = Vote(cut.version, computed.digest, len(computed.payload))
        self._new_vote.set()
        elapsed_us = context.clock.elapsed_us() - cut.read_us
        metrics.versions.labels(task=self.task.name).inc()
        metrics.cut_duration.observe(elapsed_us / US_PER_SECOND)
        metrics.selected_updates.observe(len(cut.entry.updates))
        for update in cut.entry.updates:
            metrics.staleness_versions.observe(update.staleness)
        context.log.info(
            "version_computed",
            task=self.task.name,
            version=cut.version,
            payload=computed.digest,
            rule=computed.rule_used,
            updates=len(cut.entry.updates),
            filtered=sum(reason is not None for reason in computed.filtered),
            milliseconds=elapsed_us // 1000,
        )

    async def _finish(
        self, cut: LoggedCut, version: LoggedVersion, computed: Computed | None
    ) -> None:
        """Adopt what stake voted for."""
        if computed is not None and computed.digest == version.payload:
            payload = computed.payload
        else:
            if computed is not None:
                self._alarm(cut, version, computed)
            payload = await self._insist(
                lambda: self._parts.payloads.get(version.payload, version.size_bytes)
            )
        row = Finished(
            version=version.version,
            payload=version.payload.hex(),
            size_bytes=version.size_bytes,
            index=version.index,
            commit=version.commit,
            cut=version.cut,
            computed="" if computed is None else computed.digest.hex(),
            rule_used="" if computed is None else computed.rule_used,
            weights=() if computed is None else computed.weights,
            filtered=() if computed is None else computed.filtered,
        )
        await asyncio.to_thread(self.history.append, row)
        self._head = (version.payload, payload)
        self.done = version
        self.log.finish(version.version)
        self.advanced.set()
        self._parts.finished()

    def _alarm(self, cut: LoggedCut, version: LoggedVersion, computed: Computed) -> None:
        """Say loudly that stake has voted for other bytes, and keep what shows it."""
        self._parts.metrics.mismatches.labels(task=self.task.name).inc()
        facts: dict[str, JsonInput] = {
            "task": self.task.name,
            "version": version.version,
            "cut": cut.index,
            "voted": version.payload.hex(),
            "votedEntry": version.index,
            "computed": computed.digest.hex(),
        }
        self._context.log.critical("version_mismatch", code="AGG_MISMATCH", **facts)
        place = evidence_path(self._context.data_dir, self.task.name, version.version)
        place.parent.mkdir(exist_ok=True)
        write_durably(place, canonical(facts))

    async def _insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns, trying again while others or the disk are at fault."""
        pause = self._settings.retry_seconds_min
        while True:
            try:
                return await work()
            except SeawallError as fault:
                self._context.log.warning("version_waits", task=self.task.name, code=fault.code)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.retry_seconds_max)

    # --- voting -----------------------------------------------------------------------------

    async def _vote_all(self) -> None:
        """Hand in the newest vote until it is counted."""
        while True:
            self._new_vote.clear()
            vote = self._vote
            if vote is not None:
                await self._hand_in(vote)
            await self._new_vote.wait()

    async def _hand_in(self, vote: Vote) -> None:
        """Hand in one vote, again while it is not counted and no later one is there."""
        pause = self._settings.vote_seconds
        for _ in range(self._settings.vote_attempts_max):
            if self.log.settled(vote.version) or self._vote is not vote:
                return
            await self._insist(lambda: self._parts.consensus.submit(transaction(self.task, vote)))
            self._context.crash_points.reach("aggregation.after_vote")
            try:
                async with asyncio.timeout(pause):
                    await self._new_vote.wait()
            except TimeoutError:
                pause *= 2


class Parts:
    """What the formers of all tasks share."""

    def __init__(
        self,
        payloads: PayloadSource,
        consensus: Consensus,
        metrics: AggregationMetrics,
        finished: Callable[[], None],
    ) -> None:
        """`finished` is called after each finished version."""
        self.payloads = payloads
        self.consensus = consensus
        self.metrics = metrics
        self.finished = finished


def transaction(task: Task, vote: Vote) -> bytes:
    """Return a vote as an ordered transaction: canonical JSON."""
    return canonical(
        {
            "kind": "version",
            "payload": vote.digest.hex(),
            "payloadSize": vote.size_bytes,
            "task": task.name,
            "version": vote.version,
        }
    )


def evidence_path(directory: Path, task: str, version: int) -> Path:
    """Return where a mismatch of a version is written down."""
    return directory / "evidence" / f"{task}-{version}.json"
