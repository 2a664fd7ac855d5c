"""Four whole sites in one event loop, and contributors who sign updates for them."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc.aio
import msgspec
import numpy as np

from seawall.api.v1 import ingestion_pb2, ingestion_pb2_grpc, ledger_pb2_grpc, types_pb2
from seawall.config import RoleName
from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import EMPTY_ROOT
from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import Contributor, RuleSpec, Task, TensorSpec
from seawall.formats import dsse, oms, submission
from seawall.formats.submission import Submission
from seawall.formats.task_payload import Layout, header_size_for
from seawall.runtime.channels import client_channel
from seawall.runtime.serve import Ports, Role, serve
from seawall.telemetry.logs import open_log
from tests.integration.sites import TestSites, make_sites, seed

ROLES: Final[tuple[RoleName, ...]] = ("ledger", "integrity", "consensus", "ingestion")
TENSORS: Final = (TensorSpec(name="bias", shape=(16,)), TensorSpec(name="weight", shape=(16, 14)))
WIDE: Final = (TensorSpec(name="weight", shape=(700_000,)),)
OWNERS: Final = 6


def make_task(name: str, tensors: tuple[TensorSpec, ...]) -> Task:
    """Return a task whose base model is all zero and whose cuts are far apart."""
    header_size = header_size_for(tensors)
    layout = Layout(tensors, header_size)
    base = layout.encode(np.zeros(layout.size, dtype=np.int32))
    return Task(
        name=name,
        rule=RuleSpec(name="fedavg", version=1, parameters=()),
        grid_bits=16,
        tensors=tensors,
        header_size_bytes=header_size,
        payload_size_bytes=layout.payload_size_bytes,
        base_payload_digest=sha256(base),
        cut=CutPolicy(interval_ms=3_600_000, k=100, k_min=100, staleness_max=4),
    )


SMALL_TASK: Final = make_task("small", TENSORS)
WIDE_TASK: Final = make_task("wide", WIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An update ready to send, in all its parts."""

    update_id: bytes
    envelope: bytes
    manifest: bytes
    provenance: bytes
    payload: bytes

    def whole(self, number: int = 1, **changes: bytes) -> ingestion_pb2.WholeUpdate:
        """Return it as one message part, with some parts replaced."""
        return ingestion_pb2.WholeUpdate(
            number=number,
            envelope=changes.get("envelope", self.envelope),
            provenance=changes.get("provenance", self.provenance),
            payload=changes.get("payload", self.payload),
        )

    @property
    def chunks(self) -> list[bytes]:
        """Return the payload in chunks."""
        size = oms.CHUNK_SIZE
        return [self.payload[at : at + size] for at in range(0, len(self.payload), size)]


class Author:
    """A contributor with a key and a counter."""

    def __init__(self, origin: str, index: int) -> None:
        self.key = SigningKey.from_seed(seed(f"owner-{index}"))
        self.origin = origin
        self.seq = 0
        self._random = np.random.default_rng(index)

    def payload(self, task: Task = SMALL_TASK) -> bytes:
        """Return a fresh payload."""
        layout = Layout.of(task)
        return layout.encode(self._random.integers(-9, 9, layout.size, dtype=np.int32))

    def claim(self, payload: bytes, task: Task = SMALL_TASK, **changes: object) -> Submission:
        """Return the next submission for a payload, with some members replaced."""
        self.seq += 1
        manifest = self.manifest(payload)
        claim = Submission(
            origin=self.origin,
            task=task.name,
            kind="delta",
            base_version=0,
            base_digest=task.base_payload_digest,
            contributor=key_id(self.key.public),
            seq=self.seq,
            expires_height=90_000,
            checkpoint_size=0,
            checkpoint_root=EMPTY_ROOT,
            payload_digest=sha256(payload),
            payload_size=len(payload),
            manifest_digest=sha256(manifest) if manifest else None,
            provenance_digest=None,
            num_examples=10,
            metrics=(),
        )
        return msgspec.structs.replace(claim, **changes)

    def sign(
        self,
        payload: bytes,
        claim: Submission,
        *,
        provenance: bytes = b"",
        key: SigningKey | None = None,
    ) -> Signed:
        """Return a claim in its envelope."""
        envelope = submission.seal(claim, key or self.key)
        return Signed(
            update_id=submission.update_id(envelope.payload),
            envelope=dsse.encode(envelope),
            manifest=self.manifest(payload),
            provenance=provenance,
            payload=payload,
        )

    def update(self, task: Task = SMALL_TASK, **changes: object) -> Signed:
        """Return the next update."""
        payload = self.payload(task)
        return self.sign(payload, self.claim(payload, task, **changes))

    @staticmethod
    def manifest(payload: bytes) -> bytes:
        """Return the chunk list of a payload of more than one chunk."""
        if len(payload) <= oms.CHUNK_SIZE:
            return b""
        return oms.manifest("update.safetensors", oms.chunk_digests(payload), len(payload))


class World:
    """Running sites, and stubs to them."""

    def __init__(
        self, sites: TestSites, group: asyncio.TaskGroup, members: Mapping[str, object]
    ) -> None:
        self.sites = sites
        self.authors = [Author(sites.origin, index) for index in range(OWNERS)]
        self._group = group
        self._members = members
        self._stops: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        self._channels: dict[int, grpc.aio.Channel] = {}

    async def start(self, *indices: int, **members: object) -> None:
        """Start sites and wait until their ports are open."""
        started = []
        for index in indices:
            stop = asyncio.Event()
            ports: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
            config = self.sites.config(index, roles=ROLES, **{**self._members, **members})
            roles = {name: _role(name) for name in ROLES}
            work = serve(
                config, roles, log=open_log("error"), stop=stop, on_started=ports.set_result
            )
            self._stops[index] = (stop, self._group.create_task(work, name=f"site-{index}"))
            started.append(ports)
        for ports in started:
            await ports

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

    async def watch(
        self, update_ids: Iterable[bytes], site: int = 0, until: types_pb2.UpdateStage.ValueType = 0
    ) -> list[types_pb2.UpdateEvent]:
        """Return all events of updates until the stream ends."""
        request = ingestion_pb2.WatchRequest(update_ids=update_ids, until=until)
        events: list[types_pb2.UpdateEvent] = []
        async for response in self.ingestion(site).Watch(request):
            events.extend(response.events)
        return events


async def once(*requests: object) -> AsyncIterator[object]:
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


def _role(name: str) -> Role:
    service = importlib.import_module(f"seawall.{name}.service")
    config = importlib.import_module(f"seawall.{name}.config")
    return Role(settings=getattr(config, f"{name.capitalize()}Settings"), build=service.build)


@asynccontextmanager
async def open_world(
    directory: Path, *, running: Sequence[int] = (0, 1, 2, 3), **members: object
) -> AsyncIterator[World]:
    """Return a world of four sites, those of `running` started."""
    contributors = tuple(
        Contributor(
            name=f"owner-{index}",
            public_key=SigningKey.from_seed(seed(f"owner-{index}")).public,
            roles=("root",) if index == OWNERS - 1 else ("contributor",),
        )
        for index in range(OWNERS)
    )
    sites = make_sites(directory, tasks=(SMALL_TASK, WIDE_TASK), contributors=contributors)
    async with asyncio.TaskGroup() as group:
        world = World(sites, group, members)
        try:
            await world.start(*running)
            yield world
        finally:
            await world.stop_all()
