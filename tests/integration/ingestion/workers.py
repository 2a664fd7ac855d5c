"""Four sites, the first of which takes updates in by several workers that share a Redis."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from seawall.api.v1 import ledger_pb2, types_pb2
from seawall.config import SiteConfig
from seawall.ingestion.numbers import WORKER_SHIFT
from tests.cases.redis_server import RedisServer
from tests.integration.ingestion.world import World, open_world
from tests.integration.sites import free_ports

WORKERS: Final = 2
FIRST_KEY: Final = 100
"""Workers stand beside the sites of a world under these keys."""

PORTS_WIDTH: Final = 8


def worker_config(
    world: World, server: RedisServer, worker: int, port: int, *, apart: bool = False
) -> SiteConfig:
    """Return the settings of one worker of the first site; workers `apart` share nothing."""
    redis = {
        "url": f"{server.url}?db={worker if apart else 0}",
        "password_file": server.password_file,
        "seconds_max": 30.0,
    }
    return world.sites.config(
        0,
        roles=("ingestion",),
        port=port,
        worker=worker,
        worker_ports=4,
        ingestion={"workers": WORKERS, "redis": redis},
    )


@asynccontextmanager
async def open_workers(
    directory: Path, server: RedisServer, *, same_port: bool = False, apart: bool = False
) -> AsyncIterator[World]:
    """Return a world whose first site has workers, at ports of their own or at the same one."""
    async with open_world(directory, running=(1, 2, 3)) as world:
        await world.launch(0, world.sites.config(0, roles=("ledger", "integrity", "consensus")))
        ports = free_ports(1 if same_port else WORKERS, PORTS_WIDTH)
        started = []
        for worker in range(WORKERS):
            port = ports[worker % len(ports)]
            key = FIRST_KEY + worker
            started.append(
                world.launch(key, worker_config(world, server, worker, port, apart=apart))
            )
            world.dial(key, f"127.0.0.1:{port}")
        for one in started:
            await one
        yield world


async def entries_of(world: World, site: int) -> list[dict[str, Any]]:
    """Return what the update entries of a site's ledger say."""
    found = []
    async for page in world.ledger(site).Entries(ledger_pb2.EntriesRequest(start=0)):
        parsed = map(json.loads, page.entries)
        found += [entry["spec"] for entry in parsed if entry["kind"] == "update"]
    return found


def worker_of(spec: dict[str, Any]) -> int:
    """Return which worker's batch brought an update."""
    return int(spec["batch"]) >> WORKER_SHIFT


def outcome(events: Sequence[types_pb2.UpdateEvent]) -> str:
    """Return what became of an update: COMMITTED, or the code of a refusal."""
    last = events[-1]
    return last.refusal.code or types_pb2.UpdateStage.Name(last.stage).removeprefix("UPDATE_STAGE_")
