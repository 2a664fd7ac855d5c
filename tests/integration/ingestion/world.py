"""Four whole sites in one event loop, and contributors who sign updates for them."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc.aio
import numpy as np

from seawall.api.v1 import ingestion_pb2, ingestion_pb2_grpc, ledger_pb2, ledger_pb2_grpc, types_pb2
from seawall.config import RoleName, SiteConfig
from seawall.domain.genesis import Task
from seawall.errors import SeawallError
from seawall.formats.oms import chunk_count
from seawall.formats.task_payload import Layout
from seawall.runtime.channels import client_channel, peer_channel
from seawall.runtime.keys import TLS_CERTIFICATE, TLS_KEY
from seawall.runtime.serve import Ports, Role, serve
from seawall.runtime.status import error_from
from seawall.telemetry.logs import open_log
from tests.cases.authors import CONTRIBUTORS, OWNERS, TASKS, Author, Signed
from tests.integration.sites import TestSites, make_sites

Request = TypeVar("Request")

ROLES: Final[tuple[RoleName, ...]] = ("ledger", "integrity", "consensus", "ingestion")


class World:
    """Running sites, and stubs to them."""

    def __init__(
        self,
        sites: TestSites,
        group: asyncio.TaskGroup,
        roles: Mapping[RoleName, Role],
        members: Mapping[str, object],
    ) -> None:
        self.sites = sites
        self._roles = roles
        self.authors = [Author(sites.origin, index) for index in range(OWNERS)]
        self._group = group
        self._members = members
        self._stops: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        self._channels: dict[int, grpc.aio.Channel] = {}
        self.addresses: dict[int, str] = {}

    async def start(self, *indices: int, **members: object) -> None:
        """Start sites and wait until their ports are open."""
        started = []
        for index in indices:
            config = self.sites.config(
                index, roles=tuple(self._roles), **{**self._members, **members}
            )
            started.append(self.launch(index, config))
        for ports in started:
            await ports

    def launch(self, key: int, config: SiteConfig) -> "asyncio.Future[Ports]":
        """Begin to serve with these settings; `stop` knows it by its key."""
        stop = asyncio.Event()
        ports: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
        roles: dict[str, Role] = {name: self._roles[name] for name in config.roles}
        work = serve(config, roles, log=open_log("error"), stop=stop, on_started=ports.set_result)
        self._stops[key] = (stop, self._group.create_task(work, name=f"site-{key}"))
        return ports

    async def stop(self, *indices: int) -> None:
        """Stop sites in good order."""
        for index in indices:
            if index in self._channels:
                await self._channels.pop(index).close()
            self._stops[index][0].set()
        for index in indices:
            await self._stops.pop(index)[1]

    async def stop_all(self) -> None:
        """Stop what still runs."""
        await self.stop(*tuple(self._stops))

    def channel(self, site: int) -> grpc.aio.Channel:
        """Return a channel to a site's client port."""
        if site not in self._channels:
            self._channels[site] = client_channel(self.sites.genesis.sites[site])
        return self._channels[site]

    def dial(self, key: int, address: str) -> None:
        """Let a key stand for a process of the first site that listens at this address."""
        self.addresses[key] = address
        self._channels[key] = client_channel(self.sites.genesis.sites[0], address=address)

    def ingestion(self, site: int = 0) -> "ingestion_pb2_grpc.IngestionServiceAsyncStub":
        """Return a site's way in."""
        return ingestion_pb2_grpc.IngestionServiceStub(self.channel(site))

    def ledger(self, site: int = 0) -> "ledger_pb2_grpc.LedgerServiceAsyncStub":
        """Return a site's ledger."""
        return ledger_pb2_grpc.LedgerServiceStub(self.channel(site))

    async def submit(
        self, wholes: Sequence[ingestion_pb2.WholeUpdate], site: int = 0
    ) -> list[types_pb2.UpdateEvent]:
        """Send updates in one message and return all events until the stream ends."""
        request = ingestion_pb2.IngestionServiceSubmitRequest(updates=wholes)
        events: list[types_pb2.UpdateEvent] = []
        async for response in self.ingestion(site).Submit(once(request)):
            events.extend(response.events)
        return events

    async def upload(
        self, update: Signed, site: int = 0, *, skip: Iterable[int] = ()
    ) -> tuple[bytes, list[int]]:
        """Open an upload and send the missing chunks but for some; return its id and those sent."""
        opened = await self.open(update, site)
        sent = [at for at in missing(opened, update) if at not in tuple(skip)]
        await self.send(opened.upload_id, [(at, update.chunks[at]) for at in sent], site)
        return opened.upload_id, sent

    async def open(self, update: Signed, site: int = 0) -> ingestion_pb2.OpenResponse:
        """Open an upload."""
        request = ingestion_pb2.OpenRequest(
            envelope=update.envelope, manifest=update.manifest, provenance=update.provenance
        )
        return await self.ingestion(site).Open(request)

    async def send(
        self, upload_id: bytes, chunks: Iterable[tuple[int, bytes]], site: int = 0
    ) -> list[tuple[int, str]]:
        """Send chunks; return index and code of every answer, in order of the indices."""
        requests = [
            ingestion_pb2.UploadRequest(upload_id=upload_id, index=index, data=data)
            for index, data in chunks
        ]
        answers = self.ingestion(site).Upload(once(*requests))
        return sorted([(answer.index, answer.refusal.code) async for answer in answers])

    async def send_mixed(self, chunks: Iterable[tuple[bytes, int, bytes]], site: int = 0) -> None:
        """Send chunks of several uploads on one stream."""
        requests = [
            ingestion_pb2.UploadRequest(upload_id=upload_id, index=index, data=data)
            for upload_id, index, data in chunks
        ]
        async for _ in self.ingestion(site).Upload(once(*requests)):
            pass

    async def send_silence(self, site: int = 0) -> None:
        """Open a stream of chunks and send none."""

        async def silence() -> AsyncIterator[ingestion_pb2.UploadRequest]:
            await asyncio.Event().wait()
            yield ingestion_pb2.UploadRequest()

        async for _ in self.ingestion(site).Upload(silence()):
            pass

    def watch_call(
        self,
        update_ids: Iterable[bytes],
        site: int,
        until: types_pb2.UpdateStage.ValueType = types_pb2.UPDATE_STAGE_COMMITTED,
    ) -> Any:  # noqa: ANN401 - a call of grpc
        """Begin to watch updates."""
        request = ingestion_pb2.WatchRequest(update_ids=update_ids, until=until)
        return self.ingestion(site).Watch(request)

    async def seed(self, site: int, task: Task) -> None:
        """Store a task's base model at a site, as whoever makes a network does."""
        keys = self.sites.directory / f"site-{site}" / "keys"
        tls = (keys / TLS_KEY).read_bytes(), (keys / TLS_CERTIFICATE).read_bytes()
        layout = Layout.of(task)
        base = layout.encode(np.zeros(layout.size, dtype=np.int32))
        digest = task.base_payload_digest
        chunk = ledger_pb2.Chunk(
            payload_digest=digest, chunk_digest=digest, data=base, payload_size_bytes=len(base)
        )
        async with peer_channel(self.sites.genesis.sites[site], *tls) as channel:
            stub = ledger_pb2_grpc.LedgerServiceStub(channel)
            async for answer in stub.PutPayload(once(ledger_pb2.PutPayloadRequest(chunks=[chunk]))):
                assert not answer.refused

    async def finish(self, upload_id: bytes, site: int = 0) -> types_pb2.UpdateEvent:
        """Finish an upload."""
        request = ingestion_pb2.FinishRequest(upload_id=upload_id)
        return (await self.ingestion(site).Finish(request)).event

    async def accepted(self, site: int = 0) -> int:
        """Return how many updates a site's ledger has accepted."""
        status = await self.ledger(site).LedgerStatus(ledger_pb2.LedgerStatusRequest())
        return status.updates

    async def watch(
        self,
        update_ids: Iterable[bytes],
        site: int = 0,
        until: types_pb2.UpdateStage.ValueType = types_pb2.UPDATE_STAGE_COMMITTED,
    ) -> list[types_pb2.UpdateEvent]:
        """Return all events of updates until the stream ends."""
        request = ingestion_pb2.WatchRequest(update_ids=update_ids, until=until)
        events: list[types_pb2.UpdateEvent] = []
        async for response in self.ingestion(site).Watch(request):
            events.extend(response.events)
        return events


def whole(update: Signed, number: int = 1) -> ingestion_pb2.WholeUpdate:
    """Return an update as a part of a Submit message."""
    return ingestion_pb2.WholeUpdate(
        number=number,
        envelope=update.envelope,
        provenance=update.provenance,
        payload=update.payload,
    )


def missing(opened: ingestion_pb2.OpenResponse, update: Signed) -> list[int]:
    """Return the chunks that an open upload lacks."""
    bits = int.from_bytes(opened.missing, "little")
    return [at for at in range(chunk_count(len(update.payload))) if bits >> at & 1]


async def refusal_of(call: Any) -> SeawallError:  # noqa: ANN401 - whatever can be awaited
    """Return the error that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as failure:
        return error_from(failure)
    raise AssertionError("the call went well")


async def read(call: Any) -> list[types_pb2.UpdateEvent]:  # noqa: ANN401 - a call of grpc
    """Return the next events, none at the end."""
    response = await call.read()
    return [] if response is grpc.aio.EOF else list(response.events)


async def once(*requests: Request) -> AsyncIterator[Request]:
    """Yield requests, then end."""
    for request in requests:
        yield request


def stages(events: Iterable[types_pb2.UpdateEvent], number: int) -> list[str]:
    """Return the stages of one update, and the code of a refusal."""
    return [
        event.refusal.code or types_pb2.UpdateStage.Name(event.stage).removeprefix("UPDATE_STAGE_")
        for event in events
        if event.number == number
    ]


def role(name: str) -> Role:
    """Return a role as it is served."""
    service = importlib.import_module(f"seawall.{name}.service")
    config = importlib.import_module(f"seawall.{name}.config")
    return Role(settings=getattr(config, f"{name.capitalize()}Settings"), build=service.build)


@asynccontextmanager
async def open_world(
    directory: Path,
    *,
    count: int = 4,
    running: Sequence[int] = (0, 1, 2, 3),
    tasks: tuple[Task, ...] = TASKS,
    replaced: Mapping[RoleName, Role] | None = None,
    **members: object,
) -> AsyncIterator[World]:
    """Return a world of `count` sites, those of `running` started.

    Args:
        directory: where everything is kept.
        count: sites in the genesis.
        running: sites to start.
        tasks: tasks of the genesis.
        replaced: roles that are served in place of the usual ones, or besides.
        members: settings of every site.

    """
    sites = make_sites(directory, count, tasks=tasks, contributors=CONTRIBUTORS)
    roles = {name: role(name) for name in ROLES} | dict(replaced or {})
    async with asyncio.TaskGroup() as group:
        world = World(sites, group, roles, members)
        try:
            await world.start(*running)
            yield world
        finally:
            await world.stop_all()
