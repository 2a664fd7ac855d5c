"""The client: pulls proven model versions, pushes signed updates, waits for receipts."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from seawall.client.chain import Chain
from seawall.client.courier import Courier
from seawall.client.limits import Limits
from seawall.client.links import Dial, Links, dial
from seawall.client.many import Many
from seawall.client.memory import Memory
from seawall.client.pending import Pending
from seawall.client.pulling import Puller
from seawall.client.receipts import fetch_receipt
from seawall.client.sealing import Delta, Sealer
from seawall.client.values import Base, Event, Head, Prepared, Stage, stage_of
from seawall.crypto.signing import SigningKey, key_id
from seawall.errors import LocalError, OperationalError
from seawall.runtime.keys import read_key

NO_KEY: Final = bytes(32)


class AsyncReceipt:
    """An update on its way: what became of it, and the proof."""

    def __init__(self, client: "AsyncClient", pending: Pending) -> None:
        """Made by `AsyncClient.push` and `submit`."""
        self._client = client
        self._pending = pending

    @property
    def prepared(self) -> Prepared:
        """Return the signed bytes."""
        return self._pending.prepared

    @property
    def update_id(self) -> bytes:
        """Return the identity of the update, 32 bytes."""
        return self._pending.prepared.update_id

    @property
    def event(self) -> Event:
        """Return the newest event."""
        return self._pending.event

    @property
    def chunks_again(self) -> tuple[int, ...]:
        """Return the positions of chunks that a site refused and got again."""
        return () if self._pending.upload is None else tuple(self._pending.upload.chunks_again)

    async def wait(self, stage: str = "committed", timeout_seconds: float | None = None) -> Event:
        """Return the event with which the update reaches a stage.

        Args:
            stage: `received`, `attested`, `final`, `committed` or `aggregated`. A final update is
                one that sites of validity stake say will be committed, or that has a receipt;
                while somebody waits for that, the client asks every site. A committed one is
                under a checkpoint of quorum stake. An aggregated one is part of a version, or was
                filtered by the task's rule; then the event's `refusal` says why.
            timeout_seconds: how long to wait; forever when None.

        Raises:
            PeerError: the update was refused; the code says why.
            OperationalError: CLIENT_TIMEOUT; the update may still get there: wait again.
            LocalError: CLIENT_STAGE, CLIENT_CLOSED.

        """
        return await self._client.wait(self._pending, stage, timeout_seconds)

    async def document(
        self, *, aggregated: bool = False, timeout_seconds: float | None = 60.0
    ) -> bytes:
        """Return the receipt, verified: a JSON document that proves the update offline.

        Args:
            aggregated: wait for, and include, the proof of the version it went into.
            timeout_seconds: how long to wait for it to exist.

        Raises:
            PeerError: the update was refused, or what every site showed does not hold.
            OperationalError: CLIENT_TIMEOUT.

        """
        return await self._client.receipt_of(
            self.prepared, aggregated=aggregated, timeout_seconds=timeout_seconds
        )


class AsyncClient:
    """A client of one task of one chain; an async context manager.

    One client may be used by many tasks of one event loop. Everything that is fetched is verified
    against genesis; everything that is sent is signed and may be sent again to any site.
    """

    def __init__(
        self,
        sites: str | Sequence[str] | None = None,
        *,
        task: str,
        genesis: str | Path | bytes | Chain,
        key: str | Path | SigningKey | None = None,
        state: str | Path | None = None,
        others: bool = True,
        limits: Limits | None = None,
        open_channel: Dial = dial,
    ) -> None:
        """Read what is needed; nothing is sent before the client is entered.

        Args:
            sites: sites to prefer: name, client address, or NAME=HOST:PORT; all when None.
            task: name of the task.
            genesis: genesis file, its bytes, or a chain that was read before.
            key: key file of the contributor, or the key; None for a client that only pulls, or
                sends what others have prepared.
            state: file of used sequence numbers and the newest checkpoint; beside the key file
                when None. A key without a file has no state file unless one is named.
            others: also use the sites of genesis that `sites` does not name, after these.
            limits: bounds of time and number.
            open_channel: how to reach a site.

        Raises:
            LocalError: TASK_UNKNOWN, KEY_FILE_*; when entered CLIENT_SITE, CLIENT_STATE,
                CLIENT_STATE_LOCKED.
            OperationalError: GENESIS_READ, KEY_FILE_READ; when entered CLIENT_STATE_READ.
            PeerError: GENESIS_*, JSON_* for the genesis file.

        """
        self.chain = Chain.read(genesis)
        self.task = self.chain.task(task)
        self.limits = limits or Limits()
        if isinstance(key, str | Path):
            state = state or f"{key}.state"
            key = read_key(Path(key))
        expires = self.limits.expires_commits
        self._sealer = (
            Sealer(self.chain, task, key, expires_commits=expires) if key is not None else None
        )
        self._contributor = key_id(key.public) if key is not None else NO_KEY
        self._state = Path(state) if state else None
        self._sites = (sites, others, open_channel)
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        assert self._group is None, "a client is entered once"
        sites, others, open_channel = self._sites
        self._links = Links(
            self.chain,
            sites,
            others=others,
            backoff_seconds_max=self.limits.backoff_seconds_max,
            open_channel=open_channel,
        )
        self._memory = Memory(self._state, origin=self.chain.origin, contributor=self._contributor)
        self._puller = Puller(self.chain, self.task, self._links, self._memory, self.limits)
        self._courier = Courier(self._links, self.limits, self.chain)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        started = asyncio.Event()
        self._root = self._group.create_task(self._live(started), name="client")
        await started.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._group is not None, "entered before"
        self._root.cancel()
        if kind is not asyncio.CancelledError:
            # The body's own errors pass by as they are, not inside a group.
            kind = error = trace = None
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            await self._links.close()
            self._memory.close()

    async def _live(self, started: asyncio.Event) -> None:
        """Hold everything that runs in the background, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            self._courier.start(group)
            started.set()

    # --- models -----------------------------------------------------------------------------

    async def head(self, at_least: int = 0) -> Head:
        """Return the newest usable version, proven by a checkpoint of quorum stake.

        Args:
            at_least: a version that is known to be there, for example from an event; sites that
                have not got it are passed by.

        Raises:
            PeerError: no site showed a head that holds: LOG_*, ENTRY_*, CLIENT_HEAD,
                CLIENT_ROLLBACK, CLIENT_BEHIND.
            OperationalError: RPC_*; no site answers.

        """
        self._check_open()
        return await self._puller.head(at_least)

    async def pull(self, at_least: int = 0) -> Base:
        """Return the newest usable version with its parameters; arguments as for `head`.

        Raises:
            PeerError: as `head`; also LENGTH, CHUNK_HASH, VAL_*, ST_* for its payload.
            OperationalError: RPC_*; no site answers.

        """
        self._check_open()
        return await self._puller.pull(at_least)

    # --- updates ----------------------------------------------------------------------------

    async def prepare(
        self,
        delta: Delta,
        base: Base,
        num_examples: int,
        *,
        metrics: Mapping[str, int] | None = None,
        kind: str = "delta",
        provenance: bytes = b"",
    ) -> Prepared:
        """Return a signed update without sending it; it takes a sequence number for good.

        Args:
            delta: what training from `base` changed: a flat vector of shape (d,) or tensors by
                name; real numbers, or int32 in grid units.
            base: the version that was trained from.
            num_examples: training examples, claimed.
            metrics: further claims, integers by name.
            kind: `delta`, or `root` for a reference update by a key with that role.
            provenance: SLSA statement to bind, empty for none.

        Raises:
            LocalError: CLIENT_KEY without a key; FXP_*, VAL_* for the delta; SUB_* for claims.
            OperationalError: the state file could not be written.

        """
        self._check_open()
        sealer = self.sealer
        seq = await asyncio.to_thread(self._memory.next_seq)
        return await asyncio.to_thread(
            sealer.seal,
            delta,
            base=base,
            seq=seq,
            num_examples=num_examples,
            metrics=metrics,
            kind=kind,
            provenance=provenance,
        )

    async def push(
        self,
        delta: Delta,
        base: Base,
        num_examples: int,
        *,
        metrics: Mapping[str, int] | None = None,
        kind: str = "delta",
    ) -> AsyncReceipt:
        """Sign an update and send it; arguments as for `prepare`.

        Returns as soon as the update is on its way. The client keeps its bytes until it is
        committed, and sends them to another site when one goes silent.
        """
        prepared = await self.prepare(delta, base, num_examples, metrics=metrics, kind=kind)
        return await self.submit(prepared)

    async def submit(self, prepared: Prepared) -> AsyncReceipt:
        """Send signed bytes, now or again; they may come from another client."""
        self._check_open()
        return AsyncReceipt(self, await self._courier.send(prepared))

    async def submit_many(
        self,
        updates: Iterable[Prepared] | AsyncIterable[Prepared],
        *,
        until: str = "committed",
        in_flight_max: int = 2048,
    ) -> AsyncIterator[tuple[Event, ...]]:
        """Send many signed updates and yield their events, several at a time, as they happen.

        Ends when all updates have reached `until` (at most `committed`) or were refused. FINAL is
        here the word of the site that took the update; `AsyncReceipt.wait` asks more of them.
        `updates` is read ahead of that by `in_flight_max` updates; an asynchronous iterable may
        pace them, and what it raises is raised here.

        Raises:
            LocalError: CLIENT_STAGE, CLIENT_CLOSED.

        """
        self._check_open()
        assert self._group is not None, "checked above"
        stage = stage_of(until)
        if stage > Stage.COMMITTED:
            raise LocalError("CLIENT_STAGE", "many updates are followed until committed")
        many = Many(self._courier, stage, in_flight_max)
        feeding = self._group.create_task(many.feed(updates), name="client-many")
        try:
            async for events in many.events():
                yield events
        finally:
            feeding.cancel()

    async def wait(self, pending: Pending, stage: str, timeout_seconds: float | None) -> Event:
        """Return the event with which an update reaches a stage; see `AsyncReceipt.wait`."""
        wanted = stage_of(stage)
        self._check_open()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._courier.reached(pending, wanted)
        except TimeoutError:
            last = pending.fault
            hint = f"not {stage} after {timeout_seconds} s, but {pending.event.stage.name.lower()}"
            hint += f"; last fault: {last.code}" if last else ""
            raise OperationalError("CLIENT_TIMEOUT", hint) from last

    async def receipt_of(
        self, prepared: Prepared, *, aggregated: bool = False, timeout_seconds: float | None = 60.0
    ) -> bytes:
        """Return the verified receipt of an update; see `AsyncReceipt.document`."""
        self._check_open()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await fetch_receipt(self.chain, self._links, prepared, aggregated=aggregated)
        except TimeoutError:
            hint = f"no site could prove the update within {timeout_seconds} s: ask again later"
            raise OperationalError("CLIENT_TIMEOUT", hint) from None

    @property
    def sealer(self) -> Sealer:
        """Return what makes this client's updates.

        Raises:
            LocalError: CLIENT_KEY.

        """
        if self._sealer is None:
            raise LocalError("CLIENT_KEY", "give the client a key to sign updates", field="key")
        return self._sealer

    def next_seq(self) -> int:
        """Return a sequence number that this client has never used, for `sealer`."""
        self._check_open()
        return self._memory.next_seq()

    def _check_open(self) -> None:
        if self._group is None or self._root.done():
            raise LocalError("CLIENT_CLOSED", "use the client inside its `async with` block")
