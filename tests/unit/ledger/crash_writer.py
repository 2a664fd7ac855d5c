"""A ledger role that writes until it is killed, saying on its output what was acknowledged.

Arguments: directory, and optionally a crash point with the number of passes to let by. Each line is
`commit <index> <root>`, `certified <index>` or `payload <digest>`, written after the answer came.
"""

import asyncio
import os
import sys
from hashlib import sha256
from pathlib import Path

from seawall.api.v1 import ledger_pb2 as pb
from seawall.api.v1 import ledger_pb2_grpc
from seawall.ledger.config import LedgerSettings
from seawall.ledger.log import Log
from seawall.ledger.service import build
from seawall.runtime.crash import ArmedCrashPoints
from seawall.runtime.local import LocalServer
from tests.unit.ledger.chain import (
    append,
    block,
    certificate,
    delivery,
    make_genesis,
    origin_of,
    record,
)
from tests.unit.ledger.memory_store import MemoryStore
from tests.unit.ledger.site import at_work, certificate_message, commit_message, context_of, stream

COMMITS = 100


def requests() -> list[list[pb.AppendRequest]]:
    """Return each commit with its certificate, equal in every run."""
    genesis = make_genesis()
    origin = origin_of(genesis)
    log = Log(MemoryStore(), genesis, origin)
    made = []
    for index in range(1, COMMITS + 1):
        commit = delivery(index, block(0, [record(at, index) for at in range(6)]))
        append(log, commit)
        voted = certificate(index, log.head.row, origin)
        made.append([commit_message(commit, origin), certificate_message(voted)])
    return made


def say(line: str) -> None:
    """Write a line at once."""
    os.write(1, f"{line}\n".encode())


async def commits(stub: "ledger_pb2_grpc.LedgerServiceAsyncStub") -> None:
    """Append commits one by one, saying so."""
    for pair in requests():
        answers = [answer async for answer in stub.Append(stream(*pair))]
        say(f"commit {answers[-1].index} {answers[-1].root.hex()}")
        say(f"certified {pair[1].certificate.index}")


async def payloads(stub: "ledger_pb2_grpc.LedgerServiceAsyncStub") -> None:
    """Store payloads one by one, saying so."""
    for number in range(COMMITS):
        data = number.to_bytes(4, "big") * 2000
        name = sha256(data).digest()
        chunk = pb.Chunk(
            payload_digest=name, chunk_digest=name, data=data, payload_size_bytes=len(data)
        )
        async for _ in stub.PutPayload(stream(pb.PutPayloadRequest(chunks=[chunk]))):
            say(f"payload {name.hex()}")


async def work(directory: Path, points: ArmedCrashPoints) -> None:
    """Run the role and write to it."""
    service = build(context_of(make_genesis(), directory, points.reach), LedgerSettings())
    server = LocalServer()
    service.register(server)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run())
        async with server:
            await at_work(service)
            stub = ledger_pb2_grpc.LedgerServiceStub(server.channel())
            async with asyncio.TaskGroup() as writers:
                writers.create_task(commits(stub))
                writers.create_task(payloads(stub))
        task.cancel()


def main() -> None:
    """Write until killed."""
    points = ArmedCrashPoints(os._exit)
    if len(sys.argv) > 2:
        points.arm(sys.argv[2], int(sys.argv[3]))
    asyncio.run(work(Path(sys.argv[1]), points))


if __name__ == "__main__":
    main()
