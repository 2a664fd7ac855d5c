"""Getting the newest model version, believing nothing that the log does not prove."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from seawall.api.v1 import aggregation_pb2
from seawall.client.chain import Chain
from seawall.client.limits import Limits
from seawall.client.links import Link, Links, is_passing
from seawall.client.memory import Memory
from seawall.client.values import Base, Head, SeenCheckpoint
from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import EMPTY_ROOT, leaf_hash, verify_inclusion
from seawall.domain.genesis import Task
from seawall.errors import PeerError, SeawallError
from seawall.formats import entry as entries
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.fxp24 import Integers, dequantise

ROUNDS_MAX: Final = 5
"""Times that all sites are asked while none has what this client has seen before."""

PAUSE_SECONDS: Final = 0.3

LATE: Final = ("CLIENT_BEHIND", "CLIENT_ROLLBACK")
"""Faults of sites that have read less of the log than others."""

T = TypeVar("T")


class Puller:
    """Heads and model versions of one task."""

    def __init__(
        self, chain: Chain, task: Task, links: Links, memory: Memory, limits: Limits
    ) -> None:
        """Keep what is needed."""
        self._chain = chain
        self._task = task
        self._layout = chain.layouts[task.name]
        self._links = links
        self._memory = memory
        self._limits = limits

    async def head(self, at_least: int) -> Head:
        """Return the newest usable version that a site can prove; see `AsyncClient.head`."""
        seconds = self._limits.rpc_seconds
        return await self._ask(lambda link: self._head_of(link, at_least), seconds)

    async def pull(self, at_least: int) -> Base:
        """Return that version with its parameters; see `AsyncClient.pull`."""
        seconds = self._limits.pull_seconds
        return await self._ask(lambda link: self._pull_from(link, at_least), seconds)

    async def _ask(self, question: Callable[[Link], Awaitable[T]], seconds: float) -> T:
        """Ask all sites in turn, and all again while they are only late."""
        for _ in range(ROUNDS_MAX - 1):
            try:
                return await self._links.ask(question, seconds=seconds, every_fault=True)
            except SeawallError as fault:
                if not is_passing(fault) and fault.code not in LATE:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
        return await self._links.ask(question, seconds=seconds, every_fault=True)

    async def _head_of(self, link: Link, at_least: int) -> Head:
        """Return a site's head, verified."""
        request = aggregation_pb2.GetHeadRequest(task=self._task.name)
        answer = await link.aggregation.GetHead(request)
        checkpoint = self._checkpoint_of(answer)
        digest, commit, final = self._task.base_payload_digest, 0, True
        if answer.version:
            version = self._proven(answer, checkpoint)
            digest, commit = bytes.fromhex(version.payload), version.commit
            final = answer.final or version.status == "final"
        self._memory.accept(checkpoint)
        if answer.version < at_least:
            hint = f"version {at_least} is not there yet, the newest is {answer.version}: ask again"
            raise PeerError("CLIENT_BEHIND", hint, field="version")
        return Head(
            task=self._task.name,
            version=answer.version,
            digest=digest,
            size_bytes=self._task.payload_size_bytes,
            commit_index=commit,
            final=final,
            checkpoint=SeenCheckpoint(
                checkpoint.size, checkpoint.root, answer.checkpoint_note, answer.height
            ),
        )

    def _checkpoint_of(self, answer: aggregation_pb2.GetHeadResponse) -> Checkpoint:
        """Return the checkpoint that quorum stake signed; the empty log before the first."""
        if answer.checkpoint_note:
            return self._chain.verify_note(answer.checkpoint_note)
        if answer.version:
            hint = "show the checkpoint under which the version is usable"
            raise PeerError("LOG_NOTE_UNSIGNED", hint, field="checkpoint")
        return Checkpoint(self._chain.origin, 0, EMPTY_ROOT)

    def _proven(
        self, answer: aggregation_pb2.GetHeadResponse, checkpoint: Checkpoint
    ) -> entries.VersionEntry:
        """Return the entry that makes the version usable, after finding it in the log."""
        hashes = tuple(answer.entry_proof)
        leaf = leaf_hash(answer.entry)
        verify_inclusion(leaf, answer.entry_index, checkpoint.size, hashes, checkpoint.root)
        entry = entries.parse(answer.entry)
        if (
            not isinstance(entry, entries.VersionEntry)
            or (entry.task, entry.version) != (self._task.name, answer.version)
            or entry.payload_size != self._task.payload_size_bytes
        ):
            hint = "show the entry that makes this version usable"
            raise PeerError("CLIENT_HEAD", hint, field="entry")
        return entry

    async def _pull_from(self, link: Link, at_least: int) -> Base:
        """Return a site's newest version; its payload has the digest that the log names."""
        async with asyncio.timeout(self._limits.rpc_seconds):
            head = await self._head_of(link, at_least)
        payload = await self._payload(link, head)
        ints = await asyncio.to_thread(self._decode, payload, head.digest)
        arrays = {
            name: dequantise(part, self._task.grid_bits)
            for name, part in self._layout.arrays(ints).items()
        }
        return Base(head, ints, arrays)

    async def _payload(self, link: Link, head: Head) -> bytearray:
        """Return the bytes of a version, not verified yet, of the right length."""
        request = aggregation_pb2.GetVersionRequest(task=head.task, version=head.version)
        payload = bytearray()
        call = link.aggregation.GetVersion(request)
        try:
            async for part in call:
                payload += part.data
                if len(payload) > head.size_bytes:
                    break
        finally:
            call.cancel()
        if len(payload) != head.size_bytes:
            hint = f"send exactly {head.size_bytes} bytes"
            raise PeerError("LENGTH", hint, field="payload")
        return payload

    def _decode(self, payload: bytearray, digest: bytes) -> Integers:
        """Return the vector of a payload."""
        if sha256(memoryview(payload)) != digest:
            hint = "send the payload that the version's entry names"
            raise PeerError("CHUNK_HASH", hint, field="payload")
        return self._layout.decode(memoryview(payload).toreadonly())
