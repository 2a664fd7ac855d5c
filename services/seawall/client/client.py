"""The blocking face of the client: the same objects, for programs without an event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from seawall.client.aio import AsyncClient, AsyncReceipt
from seawall.client.background import Background
from seawall.client.chain import Chain
from seawall.client.limits import Limits
from seawall.client.links import Dial, dial
from seawall.client.sealing import Delta
from seawall.client.values import Base, Event, Head, Prepared
from seawall.crypto.signing import SigningKey
from seawall.domain.genesis import Task
from seawall.errors import LocalError


class PendingReceipt:
    """An update on its way: what became of it, and the proof."""

    def __init__(self, background: Background, receipt: AsyncReceipt) -> None:
        """Made by `Client.push` and `submit`."""
        self._background = background
        self._receipt = receipt

    @property
    def prepared(self) -> Prepared:
        """Return the signed bytes."""
        return self._receipt.prepared

    @property
    def update_id(self) -> bytes:
        """Return the identity of the update, 32 bytes."""
        return self._receipt.update_id

    @property
    def event(self) -> Event:
        """Return the newest event."""
        return self._receipt.event

    @property
    def chunks_again(self) -> tuple[int, ...]:
        """Return the positions of chunks that a site refused and got again."""
        return self._receipt.chunks_again

    def wait(self, stage: str = "committed", timeout_seconds: float | None = None) -> Event:
        """Return the event with which the update reaches a stage; see `AsyncReceipt.wait`."""
        return self._background.run(self._receipt.wait(stage, timeout_seconds))

    def document(self, *, aggregated: bool = False, timeout_seconds: float | None = 60.0) -> bytes:
        """Return the verified receipt; see `AsyncReceipt.document`."""
        return self._background.run(
            self._receipt.document(aggregated=aggregated, timeout_seconds=timeout_seconds)
        )

    def save(
        self, path: str | Path, *, aggregated: bool = False, timeout_seconds: float = 60.0
    ) -> Path:
        """Write the verified receipt to a file and return its path."""
        place = Path(path)
        place.write_bytes(self.document(aggregated=aggregated, timeout_seconds=timeout_seconds))
        return place


class Client:
    """A blocking client of one task of one chain; a context manager, or `close` it.

    ```python
    with Client("edge-1:7000", task="digits", key="edge-07.key", genesis="genesis.json") as c:
        base = c.pull()
        receipt = c.push(train(base.arrays), base, num_examples=412)
        receipt.wait("aggregated", timeout_seconds=60)
    ```

    Safe to use from several threads.
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
        """Start a client; arguments and errors as for `AsyncClient`."""
        self._client = AsyncClient(
            sites,
            task=task,
            genesis=genesis,
            key=key,
            state=state,
            others=others,
            limits=limits,
            open_channel=open_channel,
        )
        background = Background.acquire()
        try:
            background.run(self._start())
        except BaseException:
            background.release()
            raise
        self._background: Background | None = background

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def chain(self) -> Chain:
        """Return the chain that this client verifies against."""
        return self._client.chain

    @property
    def task(self) -> Task:
        """Return the task as it stands in genesis."""
        return self._client.task

    def head(self, at_least: int = 0) -> Head:
        """Return the newest usable version, proven; see `AsyncClient.head`."""
        return self._open().run(self._client.head(at_least))

    def pull(self, at_least: int = 0) -> Base:
        """Return the newest usable version with its parameters; see `AsyncClient.pull`."""
        return self._open().run(self._client.pull(at_least))

    def prepare(
        self,
        delta: Delta,
        base: Base,
        num_examples: int,
        *,
        metrics: Mapping[str, int] | None = None,
        kind: str = "delta",
        provenance: bytes = b"",
    ) -> Prepared:
        """Return a signed update without sending it; see `AsyncClient.prepare`."""
        work = self._client.prepare(
            delta, base, num_examples, metrics=metrics, kind=kind, provenance=provenance
        )
        return self._open().run(work)

    def push(
        self,
        delta: Delta,
        base: Base,
        num_examples: int,
        *,
        metrics: Mapping[str, int] | None = None,
        kind: str = "delta",
    ) -> PendingReceipt:
        """Sign an update and send it; see `AsyncClient.push`."""
        background = self._open()
        work = self._client.push(delta, base, num_examples, metrics=metrics, kind=kind)
        return PendingReceipt(background, background.run(work))

    def submit(self, prepared: Prepared) -> PendingReceipt:
        """Send signed bytes, now or again; see `AsyncClient.submit`."""
        background = self._open()
        return PendingReceipt(background, background.run(self._client.submit(prepared)))

    def close(self) -> None:
        """End the client; updates that are not received yet stay with the caller."""
        background, self._background = self._background, None
        if background is None:
            return
        try:
            background.run(self._end())
        finally:
            background.release()

    def _open(self) -> Background:
        if self._background is None:
            raise LocalError("CLIENT_CLOSED", "this client was closed: make another")
        return self._background

    async def _start(self) -> None:
        """Enter the client in a task that lives until `_end`."""
        self._done = asyncio.Event()
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.ensure_future(self._live(entered))
        await entered

    async def _live(self, entered: asyncio.Future[None]) -> None:
        # One task must both enter and leave the client, because it owns a task group.
        try:
            async with self._client:
                entered.set_result(None)
                await self._done.wait()
        except BaseException as fault:
            if entered.done():
                raise
            entered.set_exception(fault)

    async def _end(self) -> None:
        self._done.set()
        await self._life
