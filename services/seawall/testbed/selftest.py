"""Tries a running network from outside: every service, one update, its receipt."""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any, Final

import grpc.aio
import numpy as np

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.client import Client
from seawall.client.memory import start_state
from seawall.crypto.signing import key_id
from seawall.domain.genesis import Genesis
from seawall.errors import OperationalError, SeawallError
from seawall.formats.entry import UpdateEntry, kind_of, parse
from seawall.runtime.health import is_serving
from seawall.runtime.keys import read_key
from seawall.runtime.service import LEDGER, ROLES
from seawall.runtime.status import error_from
from seawall.testbed.observer import PROBE_SECONDS_MAX, Observer

PERIOD_SECONDS: Final = 1.0
LOG_SECONDS_MAX: Final = 60.0
STEP_MAX: Final = 4
"""Largest change of a parameter, in grid units: far below what a filter would look at."""

SEED_BYTES: Final = 8


async def silent_services(genesis: Genesis, deadline: float) -> list[str]:
    """Return the services that are not serving by the deadline (monotonic), as site/role."""
    names = [(site, role) for site in range(len(genesis.sites)) for role in ROLES]
    async with Observer(genesis) as observer:
        while True:
            answers = await asyncio.gather(
                *(
                    is_serving(observer.channel(site, role), role, seconds=PROBE_SECONDS_MAX)
                    for site, role in names
                )
            )
            silent = [
                f"{genesis.sites[site].name}/{role}"
                for (site, role), serving in zip(names, answers, strict=True)
                if not serving
            ]
            if not silent or time.monotonic() + PERIOD_SECONDS > deadline:
                return silent
            await asyncio.sleep(PERIOD_SECONDS)


async def highest_number(genesis: Genesis, contributor: bytes) -> int:
    """Return the highest sequence number of a contributor in the log, 0 when it has none.

    The first site that answers is believed: one that lies makes the next update be refused.

    Raises:
        OperationalError: RPC_* when no site answers.

    """
    fault: SeawallError = OperationalError("RPC_UNAVAILABLE", "no site answers")
    async with Observer(genesis) as observer:
        for site in range(len(genesis.sites)):
            stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(site, LEDGER))
            try:
                async with asyncio.timeout(LOG_SECONDS_MAX):
                    return await _highest_at(stub, contributor)
            except grpc.aio.AioRpcError as failure:
                fault = error_from(failure)
            except TimeoutError:
                fault = OperationalError("RPC_DEADLINE", "the log is not read in time")
    raise fault


async def _highest_at(stub: Any, contributor: bytes) -> int:  # noqa: ANN401 - a generated stub
    status = await stub.LedgerStatus(ledger_pb2.LedgerStatusRequest())
    highest = 0
    request = ledger_pb2.EntriesRequest(start=0, limit=status.tree_size)
    async for part in stub.Entries(request):
        for data in part.entries:
            if kind_of(data) != "update":
                continue
            entry = parse(data)
            if isinstance(entry, UpdateEntry) and entry.contributor == contributor.hex():
                highest = max(highest, entry.seq)
    return highest


def recover_state(genesis: Genesis, origin: str, key: Path, place: Path) -> None:
    """Write a state file for a key whose own is not here, from what the log says.

    The number is a random one in the first half of the window: an earlier run may have used the
    next ones without being committed, and must not meet them again.

    Raises:
        OperationalError: as `highest_number`, and `runtime.keys.read_key`.

    """
    contributor = key_id(read_key(key).public)
    used = asyncio.run(highest_number(genesis, contributor))
    ahead = random.SystemRandom().randrange(genesis.admission.seq_window // 2)
    start_state(place, origin=origin, contributor=contributor, seq=used + 1 + ahead)


def push_update(
    genesis: Path, key: Path, state: Path, task: str, deadline: float
) -> tuple[bytes, float]:
    """Return the receipt of one new update, and after how many seconds it was committed.

    It is a small random change of the task's model, another one each time: equal bytes would be
    refused as a replay.

    Raises:
        SeawallError: as `seawall.client.Client`.

    """
    with Client(task=task, genesis=genesis, key=key, state=state) as client:
        base = client.pull()
        generator = np.random.default_rng(int.from_bytes(os.urandom(SEED_BYTES), "big"))
        delta = generator.integers(-STEP_MAX, STEP_MAX + 1, base.ints.size, dtype=np.int32)
        started = time.monotonic()
        pending = client.push(delta, base, 1)
        pending.wait("committed", max(deadline - started, 0.0))
        seconds = time.monotonic() - started
        left = max(deadline - time.monotonic(), PERIOD_SECONDS)
        return pending.document(timeout_seconds=left), seconds
