"""The contributors' process: everyone trains, signs, pushes, and keeps receipts.

`python -m seawall.testbed.demo.contributors DIRECTORY SETTINGS`, with the settings as JSON. It
reports on standard output and takes commands on standard input (see `messages`).
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec

from seawall.client import AsyncClient, AsyncReceipt, Base, Chain
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats.fxp24 import Integers
from seawall.testbed.demo import messages
from seawall.testbed.demo.messages import Acknowledged, Failed, Finished, Ready, Report, Version
from seawall.testbed.demo.settings import CONCENTRATION, ROOT_COUNT, DemoSettings
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import ROOT_OWNER, contributor_name
from seawall.testbed.learning.client import Client, make_clients, make_root_owner
from seawall.testbed.learning.digits import Federation, federate
from seawall.testbed.learning.federation import Pace, draw_durations_ms
from seawall.testbed.learning.model import Training, accuracy
from seawall.testbed.tasks import DIGITS

PULL_SECONDS: Final = 0.1
"""How often the newest version is asked for."""

COMMITTED_SECONDS_MAX: Final = 60.0
RECEIPT_SECONDS_MAX: Final = 30.0
RECEIPTS_AT_ONCE: Final = 8


def report(message: Report) -> None:
    """Write one line to standard output."""
    sys.stdout.buffer.write(messages.encode(message) + b"\n")
    sys.stdout.buffer.flush()


class Workshop:
    """What all contributors of the process share: the newest version, and when to stop."""

    def __init__(self, directory: NetworkDirectory, settings: DemoSettings) -> None:
        """Load the data; takes seconds."""
        self.directory = directory
        self.settings = settings
        self.training = Training()
        self.federation: Federation = federate(
            settings.seed,
            clients=settings.contributors,
            concentration=CONCENTRATION,
            root_count=ROOT_COUNT,
        )
        self.chain = Chain.read(directory.genesis)
        self.stopping = asyncio.Event()
        self.root_on = asyncio.Event()
        self.root_on.set()
        self.receipts: list[AsyncReceipt] = []
        self._news = asyncio.Condition()
        self._base: Base | None = None

    def open_client(self, name: str, preferred: int) -> AsyncClient:
        """Return a client with the key of a contributor, not entered yet."""
        sites = self.chain.genesis.sites
        return AsyncClient(
            [sites[preferred % len(sites)].name],
            task=DIGITS,
            genesis=self.chain,
            key=self.directory.contributor_key(name),
        )

    async def show(self, base: Base) -> None:
        """Make a version known to everyone."""
        async with self._news:
            self._base = base
            self._news.notify_all()

    async def newer_than(self, version: int) -> Base:
        """Return the newest version once it is newer than this one."""
        async with self._news:
            while self._base is None or self._base.version <= version:
                await self._news.wait()
            return self._base

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()


async def watch(workshop: Workshop, sdk: AsyncClient) -> None:
    """Pull every new version, verified, and measure it."""
    seen = -1
    while not workshop.stopping.is_set():
        with suppress(SeawallError):
            if seen < 0 or (await sdk.head()).version > seen:
                base = await sdk.pull()
                if base.version > seen:
                    seen = base.version
                    share = accuracy(
                        base.ints, workshop.federation.test, workshop.training.grid_bits
                    )
                    report(Version(version=seen, accuracy=share, digest=base.digest.hex()))
                    await workshop.show(base)
        await workshop.pause(PULL_SECONDS)


async def contribute(
    workshop: Workshop, client: Client, sdk: AsyncClient, duration_ms: int
) -> None:
    """Train from each new version, take the time it takes, and push."""
    version = -1
    while not workshop.stopping.is_set():
        base = await workshop.newer_than(version)
        version = base.version
        update = client.update(base.ints, base_version=version, seed=workshop.settings.seed)
        await workshop.pause(duration_ms / 1000)
        if not workshop.stopping.is_set() and update.delta.any():
            await push(workshop, client.index, sdk, base, update.delta, update.num_examples)


async def guide(workshop: Workshop, client: Client, sdk: AsyncClient) -> None:
    """Sign one reference delta for each version, unless told to be silent."""
    version = -1
    while not workshop.stopping.is_set():
        base = await workshop.newer_than(version)
        version = base.version
        if workshop.root_on.is_set():
            update = client.update(base.ints, base_version=version, seed=workshop.settings.seed)
            await push(workshop, -1, sdk, base, update.delta, update.num_examples, kind="root")


async def push(
    workshop: Workshop,
    contributor: int,
    sdk: AsyncClient,
    base: Base,
    delta: Integers,
    examples: int,
    *,
    kind: str = "delta",
) -> None:
    """Push one update, wait until it is acknowledged, and report what became of it."""
    try:
        prepared = await sdk.prepare(delta, base, examples, kind=kind)
        began = time.perf_counter()
        receipt = await sdk.submit(prepared)
        await receipt.wait("committed", COMMITTED_SECONDS_MAX)
    except (PeerError, OperationalError) as fault:
        report(Failed(contributor=contributor, base=base.version, code=fault.code))
        return
    took_ms = 1000 * (time.perf_counter() - began)
    report(Acknowledged(contributor=contributor, base=base.version, milliseconds=took_ms))
    workshop.receipts.append(receipt)


async def keep_receipts(workshop: Workshop) -> None:
    """Fetch, verify and write the receipt of every acknowledged update."""
    place = workshop.directory.receipts
    gate = asyncio.Semaphore(RECEIPTS_AT_ONCE)
    missing = 0

    async def keep(receipt: AsyncReceipt) -> None:
        nonlocal missing
        async with gate:
            try:
                document = await receipt.document(timeout_seconds=RECEIPT_SECONDS_MAX)
            except SeawallError:
                missing += 1
            else:
                (place / f"{receipt.update_id.hex()}.json").write_bytes(document)

    async with asyncio.TaskGroup() as group:
        for receipt in workshop.receipts:
            group.create_task(keep(receipt))
    count = len(workshop.receipts)
    report(Finished(acknowledged=count, receipts=count - missing, missing=missing))


async def follow_commands(workshop: Workshop) -> None:
    """Carry out commands until `finish`, or the end of standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        if line == messages.ROOT_OFF:
            workshop.root_on.clear()
        elif line == messages.ROOT_ON:
            workshop.root_on.set()
        elif line == messages.FINISH:
            workshop.stopping.set()
            return
    raise EOFError


async def work(workshop: Workshop) -> None:
    """Run everybody until told to finish."""
    settings = workshop.settings
    clients = make_clients(
        workshop.federation, workshop.training, attackers=settings.cheats, seed=settings.seed
    )
    pace = Pace(
        median_ms=settings.pace_ms,
        straggler_share=settings.slow_share,
        straggler_factor=settings.slow_factor,
    )
    durations = draw_durations_ms(pace, len(clients), settings.seed)
    async with AsyncExitStack() as stack:
        root_sdk = await stack.enter_async_context(workshop.open_client(ROOT_OWNER, 0))
        names = [contributor_name(client.index) for client in clients]
        sdks = [
            await stack.enter_async_context(workshop.open_client(name, at))
            for at, name in enumerate(names)
        ]
        report(Ready(parameters=workshop.chain.layouts[DIGITS].size))
        async with asyncio.TaskGroup() as group:
            root_owner = make_root_owner(workshop.federation, workshop.training)
            tasks = [
                group.create_task(contribute(workshop, client, sdk, duration))
                for client, sdk, duration in zip(clients, sdks, durations, strict=True)
            ]
            tasks.append(group.create_task(guide(workshop, root_owner, root_sdk)))
            group.create_task(watch(workshop, root_sdk))
            await follow_commands(workshop)
            # Those that wait for a new version wait in vain now; those that push may end.
            await asyncio.wait(tasks, timeout=5.0)
            for task in tasks:
                task.cancel()
        await keep_receipts(workshop)


def main() -> int:
    """Run the process; 0 after `finish`, 1 when it was left alone."""
    directory = NetworkDirectory(Path(sys.argv[1]))
    settings = msgspec.json.decode(sys.argv[2], type=DemoSettings)
    directory.receipts.mkdir(exist_ok=True)

    async def run() -> None:
        await work(Workshop(directory, settings))

    try:
        asyncio.run(run())
    except* (EOFError, KeyboardInterrupt):
        code = 1
    else:
        code = 0
    return code


if __name__ == "__main__":
    sys.exit(main())
