"""The roles of a process: which package serves each, and what it needs at its first start."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc.aio

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.config import SiteConfig
from seawall.crypto.hashing import sha256
from seawall.domain.genesis import Task
from seawall.errors import LocalError, OperationalError
from seawall.formats.oms import CHUNK_SIZE
from seawall.runtime.serve import Role
from seawall.runtime.service import CHAOS, LEDGER, Context, Service
from seawall.testbed.directory import NetworkDirectory

PUT_SECONDS_MAX: Final = 30.0


def roles_of(config: SiteConfig) -> Mapping[str, Role]:
    """Return how each role of this process is made; packages of other roles stay unimported."""
    found: dict[str, Role] = {name: _role(name) for name in config.roles}
    if LEDGER in found:
        found[LEDGER] = _with_base_models(found[LEDGER], config.genesis.parent)
    if config.chaos.enabled:
        found[CHAOS] = _role(CHAOS)
    return found


def _role(name: str) -> Role:
    """Return a role by its name: `seawall.<name>.service.build` and its settings."""
    service = importlib.import_module(f"seawall.{name}.service")
    settings = importlib.import_module(f"seawall.{name}.config")
    return Role(settings=getattr(settings, f"{name.capitalize()}Settings"), build=service.build)


def _with_base_models(role: Role, directory: Path) -> Role:
    """Return the ledger role, storing the tasks' base models before anything else runs."""

    def build(context: Context, settings: Any) -> Service:  # noqa: ANN401 - the role's own type
        return _SeededLedger(role.build(context, settings), context, NetworkDirectory(directory))

    return Role(settings=role.settings, build=build)


class _SeededLedger:
    """A ledger that takes base models from the directory of the genesis file, once."""

    def __init__(self, ledger: Service, context: Context, directory: NetworkDirectory) -> None:
        self.name = ledger.name
        self._ledger = ledger
        self._context = context
        self._directory = directory
        self._seeded = False

    def register(self, server: grpc.aio.Server) -> None:
        self._ledger.register(server)

    def ready(self) -> bool:
        return self._seeded and self._ledger.ready()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.run(), name=f"{self.name}-role")
            async with asyncio.timeout(PUT_SECONDS_MAX):
                for task in self._context.genesis.tasks:
                    await self._seed(task)
            self._seeded = True

    async def _seed(self, task: Task) -> None:
        """Store one base model unless it is stored; a site without the file asks others later."""
        stub: Any = ledger_pb2_grpc.LedgerServiceStub(self._context.channels.to(LEDGER))
        digest, size = task.base_payload_digest, task.payload_size_bytes
        has = await stub.HasPayload(
            ledger_pb2.HasPayloadRequest(payload_digest=digest, payload_size_bytes=size)
        )
        path = self._directory.payload(digest)
        if has.complete or not path.exists():
            return
        data = await asyncio.to_thread(path.read_bytes)
        if sha256(data) != digest:
            raise LocalError("GENESIS_PAYLOAD", f"{path} is not the base model that genesis names")
        async for answer in stub.PutPayload(_requests(digest, data)):
            if answer.refused:
                raise OperationalError("GENESIS_PAYLOAD", "the ledger did not take a base model")
        self._context.log.info("base_model_stored", task=task.name, payload=digest)


async def _requests(digest: bytes, data: bytes) -> AsyncIterator[ledger_pb2.PutPayloadRequest]:
    for number, chunk in enumerate(_chunks(digest, data)):
        yield ledger_pb2.PutPayloadRequest(chunks=[chunk], number=number)


def _chunks(digest: bytes, data: bytes) -> Iterable[ledger_pb2.Chunk]:
    for index, start in enumerate(range(0, len(data), CHUNK_SIZE)):
        piece = data[start : start + CHUNK_SIZE]
        yield ledger_pb2.Chunk(
            payload_digest=digest,
            index=index,
            chunk_digest=sha256(piece),
            data=piece,
            payload_size_bytes=len(data),
        )
