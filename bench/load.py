"""The load generator: a process of its own that signs updates, sends them, and times the answers.

It reads one command a line from standard input and answers each with one line, both JSON:

    {"do": "prepare", "count": 1000}                          sign updates ahead
    {"do": "closed", "seconds": 10, "window": 256}            keep so many on their way per site
    {"do": "open", "seconds": 10, "rate": 500.0}              send at a fixed rate, whatever happens
    {"do": "single", "seconds": 10, "site": 0}                one update at a time, to one site

Updates go over one `Submit` stream per site; a contributor stays with one site. What is due at one
moment travels in one message. Times are those of the monotonic clock, which all processes of a
machine share.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import grpc.aio

from bench.samples import Anchor, SignedUpdate, enrolled_keys, sign_updates
from seawall.api.v1 import ingestion_pb2, ingestion_pb2_grpc, ledger_pb2, ledger_pb2_grpc, types_pb2
from seawall.domain.genesis import Genesis
from seawall.formats import genesis as genesis_format
from seawall.formats.checkpoint import parse_body
from seawall.runtime.channels import client_channel

MESSAGE_BYTES_MAX = (1 << 20) + (32 << 10)
"""Content of one message; a site takes 1 MiB and 64 KiB."""

UPDATES_PER_MESSAGE_MAX = 64
DRAIN_SECONDS_MAX = 20.0
"""How long answers are awaited after the last update was sent."""

SINGLE_PAUSE_SECONDS_MAX = 0.06
GOLDEN_RATIO = 0.6180339887498949
"""Multiples of it, modulo 1, fill an interval evenly."""

STAGES = {
    types_pb2.UPDATE_STAGE_RECEIVED: "received",
    types_pb2.UPDATE_STAGE_ATTESTED: "attested",
    types_pb2.UPDATE_STAGE_FINAL: "final",
    types_pb2.UPDATE_STAGE_COMMITTED: "committed",
}


@dataclass(slots=True)
class Flight:
    """An update on its way: when it was to be sent, when it was, what it has reached since."""

    due: float
    sent: float
    reached: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Lane:
    """One stream to one site, and the updates that go over it."""

    site: int
    waiting: deque[SignedUpdate] = field(default_factory=deque)
    flights: dict[int, Flight] = field(default_factory=dict)
    landed: list[Flight] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    messages_out: int = 0
    messages_in: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)


Due = Callable[[Lane, float], tuple[list[float], float]]
"""Given a lane and the time, returns the due times of what to send now, and how long to wait."""


class Generator:
    """Sends updates of one task to all sites of a network."""

    def __init__(self, genesis: Genesis, origin: str, directory: Path, task: str) -> None:
        """Connect to nobody yet."""
        self.genesis = genesis
        self.origin = origin
        self.task = next(one for one in genesis.tasks if one.name == task)
        self.keys = enrolled_keys(directory, genesis)
        self.lanes = [Lane(site) for site in range(len(genesis.sites))]
        self.channels: list[grpc.aio.Channel] = []
        self.supply: Iterator[SignedUpdate] = iter(())
        self.number = 0

    async def open(self) -> None:
        """Connect, and learn of a checkpoint that submissions can name."""
        self.channels = [client_channel(site) for site in self.genesis.sites]
        ledger: Any = ledger_pb2_grpc.LedgerServiceStub(self.channels[0])
        answer = await ledger.Checkpoint(ledger_pb2.CheckpointRequest(), wait_for_ready=True)
        checkpoint = parse_body(answer.note.partition("\n\n")[0].encode() + b"\n")
        anchor = Anchor(
            origin=self.origin,
            checkpoint_size=checkpoint.size,
            checkpoint_root=checkpoint.root,
            height=answer.commit_index,
        )
        self.supply = sign_updates(self.task, self.keys, anchor)

    async def close(self) -> None:
        """Close the connections."""
        for channel in self.channels:
            await channel.close()

    def prepare(self, count: int) -> dict[str, Any]:
        """Sign so many updates and deal them out to the sites."""
        started = time.process_time()
        for update in islice(self.supply, count):
            self.lanes[update.owner % len(self.lanes)].waiting.append(update)
        return {"prepared": count, "cpuSeconds": time.process_time() - started}

    async def run(self, seconds: float, due: Due) -> dict[str, Any]:
        """Send for so long, wait for the answers, and return what happened."""
        for lane in self.lanes:
            lane.landed, lane.refused = [], Counter()
            lane.sent = lane.messages_out = lane.messages_in = 0
        cpu, started = time.process_time(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(self.drive(lane, started + seconds, due))
        return {
            "started": started,
            "ended": time.monotonic(),
            "cpuSeconds": time.process_time() - cpu,
            "sent": sum(lane.sent for lane in self.lanes),
            "lost": sum(len(lane.flights) for lane in self.lanes),
            "exhausted": any(not lane.waiting for lane in self.lanes),
            "messagesOut": sum(lane.messages_out for lane in self.lanes),
            "messagesIn": sum(lane.messages_in for lane in self.lanes),
            "refused": dict(sum((lane.refused for lane in self.lanes), Counter())),
            "landed": [
                [one.due, one.sent, *(one.reached.get(name) for name in STAGES.values())]
                for lane in self.lanes
                for one in lane.landed
            ],
        }

    async def drive(self, lane: Lane, until: float, due: Due) -> None:
        """Send over one stream until `until`, then wait for what is on its way."""
        stub: Any = ingestion_pb2_grpc.IngestionServiceStub(self.channels[lane.site])
        call = stub.Submit(wait_for_ready=True)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self.read(call, lane))
            while (now := time.monotonic()) < until and lane.waiting:
                lane.wake.clear()
                times, pause = due(lane, now)
                if times:
                    await self.send(call, lane, times)
                    continue
                await pause_for(lane.wake, min(pause, until - now))
            deadline = time.monotonic() + DRAIN_SECONDS_MAX
            while lane.flights and (left := deadline - time.monotonic()) > 0:
                lane.wake.clear()
                await pause_for(lane.wake, left)
            await call.done_writing()
            reader.cancel()
        call.cancel()

    async def send(self, call: Any, lane: Lane, times: list[float]) -> None:  # noqa: ANN401 - untyped stub
        """Send one message of as many due updates as it holds."""
        updates: list[ingestion_pb2.WholeUpdate] = []
        size = 0
        now = time.monotonic()
        for due in times[:UPDATES_PER_MESSAGE_MAX]:
            if not lane.waiting:
                break
            update = lane.waiting[0]
            size += len(update.envelope) + update.source.size_bytes + 16
            if updates and size > MESSAGE_BYTES_MAX:
                break
            lane.waiting.popleft()
            self.number += 1
            lane.flights[self.number] = Flight(due, now)
            updates.append(
                ingestion_pb2.WholeUpdate(
                    number=self.number, envelope=update.envelope, payload=update.payload()
                )
            )
        lane.sent += len(updates)
        lane.messages_out += 1
        await call.write(ingestion_pb2.IngestionServiceSubmitRequest(updates=updates))

    async def read(self, call: Any, lane: Lane) -> None:  # noqa: ANN401 - untyped stub
        """Take events until the stream ends."""
        while (answer := await call.read()) is not grpc.aio.EOF:
            now = time.monotonic()
            lane.messages_in += 1
            for event in answer.events:
                flight = lane.flights.get(event.number)
                if flight is None:
                    continue
                if event.stage == types_pb2.UPDATE_STAGE_REFUSED:
                    lane.refused[event.refusal.code] += 1
                    del lane.flights[event.number]
                elif (name := STAGES.get(event.stage)) is not None:
                    flight.reached[name] = now
                    if event.stage == types_pb2.UPDATE_STAGE_COMMITTED:
                        lane.landed.append(lane.flights.pop(event.number))
            lane.wake.set()


async def pause_for(wake: asyncio.Event, seconds: float) -> None:
    """Wait until something happens, at most so long."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await wake.wait()
    except TimeoutError:
        pass


def closed_loop(window: int) -> Due:
    """Return the rule that keeps `window` updates of each lane on their way."""

    def due(lane: Lane, now: float) -> tuple[list[float], float]:
        return [now] * (window - len(lane.flights)), 1.0

    return due


def open_loop(rate: float, lanes: int, started: float) -> Due:
    """Return the rule that sends `rate` updates a second, evenly spread over time and lanes."""
    gap = lanes / rate

    def due(lane: Lane, now: float) -> tuple[list[float], float]:
        first = started + lane.site * gap / lanes
        count = int((now - first) / gap) + 1 - lane.sent if now >= first else 0
        times = [first + (lane.sent + at) * gap for at in range(count)]
        return times, max(0.0, first + (lane.sent + count) * gap - now)

    return due


def one_at_a_time(site: int) -> Due:
    """Return the rule that sends the next update of one lane a while after the last one landed.

    Pauses run evenly through 0 to `SINGLE_PAUSE_SECONDS_MAX`, so as not to step with the rounds.
    """

    def due(lane: Lane, now: float) -> tuple[list[float], float]:
        if lane.site != site or lane.flights:
            return [], 1.0
        last = lane.landed[-1].reached["committed"] if lane.landed else now
        at = last + SINGLE_PAUSE_SECONDS_MAX * (lane.sent * GOLDEN_RATIO % 1)
        return ([now], 0.0) if now >= at else ([], at - now)

    return due


async def obey(generator: Generator, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one command."""
    match order["do"]:
        case "prepare":
            return generator.prepare(order["count"])
        case "closed":
            return await generator.run(order["seconds"], closed_loop(order["window"]))
        case "open":
            lanes = len(generator.lanes)
            rule = open_loop(order["rate"], lanes, time.monotonic())
            return await generator.run(order["seconds"], rule)
        case "single":
            return await generator.run(order["seconds"], one_at_a_time(order["site"]))
        case unknown:
            raise ValueError(f"no such command: {unknown}")


async def serve(options: argparse.Namespace) -> None:
    """Read commands until standard input ends."""
    data = (options.directory / "genesis.json").read_bytes()
    genesis, origin = genesis_format.decode(data), genesis_format.origin(data)
    generator = Generator(genesis, origin, options.directory, options.task)
    await generator.open()
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await obey(generator, json.loads(line))), flush=True)
    finally:
        await generator.close()


def main() -> None:
    """Run the generator for one network and one task."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", type=Path, required=True, help="directory of the network")
    parser.add_argument("--task", required=True, help="name of the task")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
