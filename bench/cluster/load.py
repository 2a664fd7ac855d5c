"""Runs inside a pod of the image: pushes updates until told to stop, then looks each of them up.

Several contributors push small random updates at a fixed rate together, each over a client of its
own, and wait until they are committed. Once the file STOP exists nothing new is sent, what is on
its way is awaited, and every acknowledged update is looked up: in the log of every site that
answers, at the place that was acknowledged, and by a receipt that is verified offline.

Prints one JSON document a line: progress, and at the end the result. It needs nothing but the
package, since it is carried into the pod as it stands.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from seawall.api.v1 import ledger_pb2, ledger_pb2_grpc
from seawall.client import AsyncClient, Base, Limits
from seawall.client.aio import AsyncReceipt
from seawall.domain.genesis import Genesis
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats import genesis as genesis_format
from seawall.formats.entry import UpdateEntry, kind_of, parse
from seawall.runtime.service import LEDGER
from seawall.testbed.observer import Observer

STEP_MAX = 4
"""Largest change of a parameter, in grid units: far below what a filter would look at."""

BASE_SECONDS = 5.0
"""How long one version is trained from."""

COMMITTED_SECONDS_MAX = 180.0
LOOKUP_SECONDS_MAX = 120.0
REPORT_SECONDS = 5.0
IN_FLIGHT_MAX = 256
RECEIPTS_AT_ONCE = 8
PERCENTILES = (50, 95, 99)


@dataclass(slots=True)
class Tally:
    """What became of the updates; `places` has the acknowledged ones and their entries."""

    sent: int = 0
    places: dict[bytes, int | None] = field(default_factory=dict)
    receipts: list[AsyncReceipt] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    held_back: int = 0
    longest_gap_seconds: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def acknowledge(self, receipt: AsyncReceipt, place: int | None, seconds: float) -> None:
        """Count an update that sites of quorum stake have committed."""
        now = time.monotonic()
        self.longest_gap_seconds = max(self.longest_gap_seconds, now - self.last)
        self.last = now
        self.places[receipt.update_id] = place
        self.receipts.append(receipt)
        self.seconds.append(seconds)

    def document(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        quantiles = np.percentile(self.seconds or [0.0], PERCENTILES)
        return {
            "sent": self.sent,
            "acknowledged": len(self.places),
            "refused": dict(self.refused),
            "unanswered": dict(self.unanswered),
            "heldBack": self.held_back,
            "longestGapSeconds": round(self.longest_gap_seconds, 2),
            "commitSeconds": [round(float(one), 3) for one in quantiles],
        }


class Contributor:
    """One client that pushes updates."""

    def __init__(self, client: AsyncClient, seed: int, tally: Tally) -> None:
        """Push with an entered client."""
        self._client = client
        self._generator = np.random.default_rng(seed)
        self._tally = tally
        self._base: Base | None = None
        self._pulled = 0.0

    async def push(self) -> None:
        """Push one update and follow it until it is committed or refused."""
        began = time.monotonic()
        try:
            receipt = await self._send()
            self._tally.sent += 1
            event = await receipt.wait("committed", COMMITTED_SECONDS_MAX)
        except PeerError as fault:
            self._tally.refused[fault.code] += 1
        except OperationalError as fault:
            self._tally.unanswered[fault.code] += 1
        else:
            spent = time.monotonic() - began
            self._tally.acknowledge(receipt, event.entry_index, spent)

    async def _send(self) -> AsyncReceipt:
        base = await self._newest()
        delta = self._generator.integers(-STEP_MAX, STEP_MAX + 1, base.ints.size, dtype=np.int32)
        return await self._client.push(delta, base, 1)

    async def _newest(self) -> Base:
        """Return a version that is not old; the last one while no site answers."""
        now = time.monotonic()
        if self._base is None or now - self._pulled > BASE_SECONDS:
            self._pulled = now
            try:
                self._base = await self._client.pull()
            except SeawallError:
                if self._base is None:
                    raise
        return self._base


async def log_of(observer: Observer, site: int) -> dict[bytes, int]:
    """Return the update ids in a site's log with their entries."""
    stub: Any = ledger_pb2_grpc.LedgerServiceStub(observer.channel(site, LEDGER))
    size = (await stub.LedgerStatus(ledger_pb2.LedgerStatusRequest())).tree_size
    found: dict[bytes, int] = {}
    index = 0
    async for part in stub.Entries(ledger_pb2.EntriesRequest(start=0, limit=size)):
        for data in part.entries:
            entry = parse(data) if kind_of(data) == "update" else None
            if isinstance(entry, UpdateEntry):
                found[bytes.fromhex(entry.update_id)] = index
            index += 1
    return found


async def look_up(genesis: Genesis, tally: Tally) -> dict[str, Any]:
    """Return how many acknowledged updates each site lacks, or has at another place."""
    lacking: dict[str, int] = {}
    silent: dict[str, str] = {}
    async with Observer(genesis) as observer:
        for index, site in enumerate(genesis.sites):
            try:
                async with asyncio.timeout(LOOKUP_SECONDS_MAX):
                    log = await caught_up(observer, index, tally)
            except TimeoutError:
                silent[site.name] = "RPC_DEADLINE"
                continue
            lacking[site.name] = sum(misplaced(log, one, at) for one, at in tally.places.items())
    return {"lacking": lacking, "silent": silent}


def misplaced(log: dict[bytes, int], update_id: bytes, place: int | None) -> bool:
    """Tell whether a log lacks an update, or has it elsewhere than was acknowledged."""
    return update_id not in log or (place is not None and log[update_id] != place)


async def caught_up(observer: Observer, site: int, tally: Tally) -> dict[bytes, int]:
    """Return a site's log once it has every acknowledged update; the caller bounds the time.

    A site that was away takes over what it missed; one that lost something never gets there, and
    its last log is what is judged.
    """
    log: dict[bytes, int] = {}
    deadline = time.monotonic() + LOOKUP_SECONDS_MAX / 2
    while time.monotonic() < deadline:
        try:
            log = await log_of(observer, site)
        except grpc.aio.AioRpcError:
            log = {}
        if log and not any(misplaced(log, one, at) for one, at in tally.places.items()):
            return log
        await asyncio.sleep(1.0)
    if not log:
        raise TimeoutError
    return log


async def verified_receipts(tally: Tally) -> dict[str, Any]:
    """Fetch and verify the receipt of every acknowledged update; return what failed."""
    room = asyncio.Semaphore(RECEIPTS_AT_ONCE)
    failed: Counter[str] = Counter()

    async def verify(receipt: AsyncReceipt) -> None:
        async with room:
            try:
                await receipt.document(timeout_seconds=LOOKUP_SECONDS_MAX)
            except SeawallError as fault:
                failed[fault.code] += 1

    async with asyncio.TaskGroup() as group:
        for one in tally.receipts:
            group.create_task(verify(one))
    return {"verified": len(tally.receipts) - failed.total(), "unverified": dict(failed)}


async def generate(
    options: argparse.Namespace, contributors: list[Contributor], tally: Tally
) -> None:
    """Start updates at the rate until the stop file is there or time is up; wait for all.

    What would be more than IN_FLIGHT_MAX on their way is not sent, and counted.
    """
    room = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def push(contributor: Contributor) -> None:
        async with room:
            await contributor.push()

    began = time.monotonic()
    number = 0
    async with asyncio.TaskGroup() as group:
        while not options.stop.exists() and time.monotonic() - began < options.seconds_max:
            if room.locked():
                tally.held_back += 1
            else:
                group.create_task(push(contributors[number % len(contributors)]))
            number += 1
            await asyncio.sleep(max(0.0, began + number / options.rate - time.monotonic()))


async def report(tally: Tally) -> None:
    """Print how it goes, until cancelled."""
    while True:
        print(json.dumps({"progress": tally.document()}), flush=True)
        await asyncio.sleep(REPORT_SECONDS)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Generate the load and look everything up."""
    data = options.genesis.read_bytes()
    tally = Tally()
    keys = sorted(options.keys.glob("*.key"))[options.first : options.first + options.count]
    async with AsyncExitStack() as stack:
        people = []
        for number, key in enumerate(keys):
            client = AsyncClient(
                genesis=data,
                task=options.task,
                key=key,
                state=options.states / f"{key.name}.state",
                limits=Limits(in_flight_max=IN_FLIGHT_MAX),
            )
            people.append(Contributor(await stack.enter_async_context(client), number, tally))
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(report(tally))
            began = time.monotonic()
            await generate(options, people, tally)
            spent = {"loadSeconds": round(time.monotonic() - began, 1)}
            reporting.cancel()
        looked_up = await look_up(genesis_format.decode(data), tally)
        receipts = await verified_receipts(tally)
    return {**tally.document(), **spent, **looked_up, **receipts}


def main() -> None:
    """Run it with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--genesis", type=Path, required=True)
    parser.add_argument("--keys", type=Path, required=True, help="directory of contributors' keys")
    parser.add_argument("--states", type=Path, required=True, help="directory to write into")
    parser.add_argument("--stop", type=Path, required=True, help="file that ends the load")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--rate", type=float, default=10.0, help="updates a second, all together")
    parser.add_argument("--first", type=int, default=0, help="first contributor to use")
    parser.add_argument("--count", type=int, default=6, help="contributors")
    parser.add_argument("--seconds-max", type=float, default=900.0)
    print(json.dumps({"result": asyncio.run(run(parser.parse_args()))}), flush=True)


if __name__ == "__main__":
    main()
