"""CometBFT beside Seawall: four validators with the built-in key-value store, and load on them.

Its store checks no signature of a client. A transaction is `<15 hex digits>=<filler>`.

Source: docs.cometbft.com/v0.38, RPC (JSON-RPC over HTTP, events over a WebSocket).
"""

import asyncio
import base64
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import processes
from bench.load import GOLDEN_RATIO, SINGLE_PAUSE_SECONDS_MAX
from bench.plan import Lengths
from bench.quantiles import Latency, summarise
from bench.rpc import Connection, Events
from bench.systems import STEADY_SHARE, Load, SystemReport

VALIDATORS = 4
TRANSACTION_BYTES = 250
ID_DIGITS = 15
BASE_PORT = 21_700
PORT_STEP = 10
START_SECONDS_MAX = 60.0
DRAIN_SECONDS_MAX = 30.0
BATCH = 50
LANES = 12
"""Connections that send; they take the validators in turn."""

WINDOW = 8000
"""Transactions on their way in the closed loop."""

TICK_SECONDS = 0.02
INSTALL = "go install github.com/cometbft/cometbft/cmd/cometbft@v0.38.26"

SHARED: Mapping[str, str] = {
    "size": "200000",
    "cache_size": "200000",
    "max_txs_bytes": "1073741824",
    "max_request_batch_size": "0",
    "max_body_bytes": "20000000",
    "allow_duplicate_ip": "true",
    "addr_book_strict": "false",
    "log_level": '"error"',
    "experimental_subscription_buffer_size": "20000",
    "experimental_websocket_write_buffer_size": "20000",
}
"""What every configuration needs to take this load at all, on one machine."""

CONFIGURATIONS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "tuned": {
        "timeout_commit": '"0s"',
        "skip_timeout_commit": "true",
        "peer_gossip_sleep_duration": '"2ms"',
        "flush_throttle_timeout": '"2ms"',
        "send_rate": "512000000",
        "recv_rate": "512000000",
        "indexer": '"null"',
        "recheck": "false",
        "create_empty_blocks": "false",
    },
}
"""`default` waits a second after each commit, as the generated files say; `tuned` waits nowhere."""


def binary() -> Path | None:
    """Return the program, None where it is not installed."""
    homes = (os.environ.get("GOBIN", ""), str(Path.home() / "go" / "bin"))
    path = os.pathsep.join((os.environ.get("PATH", ""), *filter(None, homes)))
    found = shutil.which("cometbft", path=path)
    return None if found is None else Path(found)


@dataclass(slots=True)
class Traffic:
    """What was sent in one phase, and which blocks came: the height, its time, its transactions."""

    first: int
    sent: int = 0
    refused: int = 0
    committed: int = 0
    due: list[float] = field(default_factory=list)
    blocks: list[tuple[int, float, int]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Testnet:
    """Running validators."""

    pids: tuple[int, ...]
    connections: tuple[Connection, ...]

    def cpu_seconds(self) -> float:
        """Return the processor time of all validators so far."""
        return sum(processes.read(pid).cpu_seconds for pid in self.pids)


class Comet:
    """CometBFT in one configuration: implements `bench.peers.System`."""

    def __init__(self, program: Path, configuration: str, *, loaded: bool = True) -> None:
        """Measure this configuration; without `loaded` only one transaction at a time."""
        self.name = f"CometBFT 0.38, {configuration}"
        self._program = program
        self._configuration = configuration
        self._loaded = loaded
        self._next = 0

    def seconds(self, lengths: Lengths) -> float:
        """Return about how long `measure` takes."""
        loaded = 2 * lengths.warm + lengths.closed + lengths.open + 10
        return 8.0 + lengths.single + loaded * self._loaded

    async def measure(self, lengths: Lengths, home: Path) -> SystemReport:
        """Run a fresh network once."""
        async with running(self._program, home, CONFIGURATIONS[self._configuration]) as net:
            low = await self._single(net, lengths.single)
            peak = steady = None
            if self._loaded:
                peak = await self._load(net, lengths.warm, lengths.closed, None)
            if peak is not None and peak.rate:
                rate = STEADY_SHARE * peak.rate
                steady = await self._load(net, lengths.warm, lengths.open, rate)
        return SystemReport(
            name=self.name,
            nodes=VALIDATORS,
            bytes=TRANSACTION_BYTES,
            low=low,
            peak=peak,
            steady=steady,
            note="no client signatures",
        )

    async def _single(self, net: Testnet, seconds: float) -> Latency | None:
        """Send one transaction at a time to one validator, which answers after its block."""
        took: list[float] = []
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            text = _encoded(self._take(1))
            answer = await net.connections[0].call("broadcast_tx_commit", tx=text)
            if answer["tx_result"].get("code"):
                raise RuntimeError(f"refused: {answer}")
            took.append(time.monotonic() - began)
            await asyncio.sleep(SINGLE_PAUSE_SECONDS_MAX * (len(took) * GOLDEN_RATIO % 1))
        return summarise(took)

    async def _load(self, net: Testnet, warm: float, seconds: float, rate: float | None) -> Load:
        """Send at a rate, or without one keep `WINDOW` transactions on their way."""
        traffic = Traffic(self._next)
        cpu, began = net.cpu_seconds(), time.monotonic()
        opens, closes = began + warm, began + warm + seconds
        subscription = Events.open(BASE_PORT + 1, "tm.event='NewBlockEvents'")
        async with subscription as events, asyncio.TaskGroup() as group:
            reader = group.create_task(_follow(events, traffic))
            lanes = [
                group.create_task(self._send(net, lane, traffic, closes, rate, began))
                for lane in range(LANES)
            ]
            await asyncio.wait(lanes)
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS_MAX):
                    while traffic.committed < traffic.sent - traffic.refused:
                        traffic.news.clear()
                        await traffic.news.wait()
            reader.cancel()
        spent = net.cpu_seconds() - cpu
        inside = [one for one in traffic.blocks if opens <= one[1] < closes]
        return Load(
            rate=sum(count for _, _, count in inside) / seconds,
            latency=summarise(await _latencies(net, traffic, inside)),
            cpu_seconds_per_1000=1000 * spent / max(1, traffic.committed),
            errors=traffic.sent - traffic.committed,
        )

    async def _send(
        self,
        net: Testnet,
        lane: int,
        traffic: Traffic,
        until: float,
        rate: float | None,
        began: float,
    ) -> None:
        """Send batches to one validator; an open loop takes every n-th batch that is due."""
        turn = lane
        while (now := time.monotonic()) < until:
            due = now
            if rate is None:
                if traffic.sent - traffic.refused - traffic.committed >= WINDOW:
                    traffic.news.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(TICK_SECONDS):
                            await traffic.news.wait()
                    continue
            else:
                due = began + turn * BATCH / rate
                if due > now:
                    await asyncio.sleep(min(due, until) - now)
                    if due >= until:
                        return
                turn += LANES
            first = self._take(BATCH)
            traffic.sent += BATCH
            traffic.due.append(due)
            texts = [_encoded(first + at) for at in range(BATCH)]
            accepted = await net.connections[lane].batch("broadcast_tx_sync", "tx", texts)
            traffic.refused += BATCH - accepted

    def _take(self, count: int) -> int:
        """Return the first of so many new numbers."""
        self._next += count
        return self._next - count


def _encoded(number: int) -> str:
    """Return a transaction as the RPC takes it."""
    head = b"%0*x=" % (ID_DIGITS, number)
    return base64.b64encode(head.ljust(TRANSACTION_BYTES, b"x")).decode()


async def _follow(events: Events, traffic: Traffic) -> None:
    """Take note of each block when the first validator has executed and committed it."""
    async for value in events:
        count = int(value.get("num_txs", 0))
        traffic.blocks.append((int(value["height"]), time.monotonic(), count))
        traffic.committed += count
        traffic.news.set()


async def _latencies(
    net: Testnet, traffic: Traffic, blocks: Sequence[tuple[int, float, int]]
) -> list[float]:
    """Return how long each transaction of these blocks took, read out of the blocks."""
    found: list[float] = []
    digits = 4 * -(-ID_DIGITS // 3)
    for height, at, count in blocks:
        if not count:
            continue
        block = (await net.connections[0].call("block", height=str(height)))["block"]
        for text in block["data"]["txs"]:
            number = int(base64.b64decode(text[:digits])[:ID_DIGITS], 16)
            batch = (number - traffic.first) // BATCH
            if 0 <= batch < len(traffic.due):
                found.append(at - traffic.due[batch])
    return found


# --- processes ---------------------------------------------------------------------------------


@asynccontextmanager
async def running(program: Path, home: Path, settings: Mapping[str, str]) -> AsyncIterator[Testnet]:
    """Make and run a network below `home`, which is removed afterwards."""
    directory = home / "comet"
    shutil.rmtree(directory, ignore_errors=True)
    words = ("testnet", "--v", str(VALIDATORS), "--o", str(directory))
    more = ("--populate-persistent-peers", "--starting-ip-address", "127.0.0.1")
    await _output(program, *words, *more)
    nodes = [directory / f"node{at}" for at in range(VALIDATORS)]
    names = [
        (await _output(program, "show-node-id", "--home", str(node))).strip() for node in nodes
    ]
    peers = ",".join(f"{name}@127.0.0.1:{_port(at)}" for at, name in enumerate(names))
    for at, node in enumerate(nodes):
        path = node / "config" / "config.toml"
        wanted = {**SHARED, **settings, "persistent_peers": f'"{peers}"'}
        path.write_text(configured(path.read_text("utf-8"), wanted, _port(at)), "utf-8")
    started = []
    try:
        for node in nodes:
            with (node / "log").open("wb") as log:
                words = ("node", "--home", str(node), "--proxy_app", "kvstore")
                process = await asyncio.create_subprocess_exec(
                    program, *words, stdout=log, stderr=log
                )
            started.append(process)
        connections = tuple(Connection(_port(lane % VALIDATORS) + 1) for lane in range(LANES))
        async with asyncio.timeout(START_SECONDS_MAX):
            await _until_up(connections[:VALIDATORS])
        yield Testnet(pids=tuple(one.pid for one in started), connections=connections)
        for connection in connections:
            connection.close()
    finally:
        await stop(started)
        shutil.rmtree(directory, ignore_errors=True)


def configured(text: str, settings: Mapping[str, str], port: int) -> str:
    """Return a configuration file with these settings and its two ports.

    Raises:
        ValueError: the file has no such setting.

    """
    for name, value in settings.items():
        text, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        if not found:
            raise ValueError(f"config.toml has no setting {name}")
    for known, own in ((26657, port + 1), (26656, port)):
        text = re.sub(rf'"tcp://[0-9.]+:{known}"', f'"tcp://127.0.0.1:{own}"', text)
    return text


async def stop(started: Sequence[asyncio.subprocess.Process]) -> None:
    """End processes that were started here."""
    for process in started:
        if process.returncode is None:
            process.terminate()
    for process in started:
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _port(node: int) -> int:
    return BASE_PORT + PORT_STEP * node


async def _output(program: Path, *words: str) -> str:
    """Run a command to its end and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        program, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{program.name} {words[0]}: {complaint.decode()[-400:]}")
    return printed.decode()


async def _until_up(connections: Sequence[Connection]) -> None:
    """Wait until every validator has a block and is linked to all others."""
    while True:
        with suppress(OSError, EOFError):
            states = [await _is_up(connection) for connection in connections]
            if all(states):
                return
        await asyncio.sleep(0.3)


async def _is_up(connection: Connection) -> bool:
    status = await connection.call("status")
    network = await connection.call("net_info")
    blocks = int(status["sync_info"]["latest_block_height"])
    return blocks >= 1 and int(network["n_peers"]) == VALIDATORS - 1
