"""A real Prometheus beside real sites: started on loopback, asked, and ended by its process."""

import asyncio
import json
import math
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

PROMETHEUS = shutil.which("prometheus") or ""

needs_prometheus = pytest.mark.skipif(
    not PROMETHEUS, reason="prometheus is not on the path: on Debian, apt-get install prometheus"
)
READY_SECONDS_MAX = 60.0
SETTLE_SECONDS_MAX = 90.0
ANSWER_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series of an answer, and its value now."""

    labels: dict[str, str]
    value: float


class Prometheus:
    """The HTTP interface of a running Prometheus."""

    def __init__(self, port: int) -> None:
        """Ask on loopback."""
        self._port = port

    async def query(self, expr: str) -> list[Sample]:
        """Return the samples of an expression now; raise AssertionError when it is none."""
        answer = await self.get("/api/v1/query?" + urlencode({"query": expr}))
        assert answer["status"] == "success", f"{expr}: {answer}"
        if answer["data"]["resultType"] == "scalar":
            return [Sample(labels={}, value=float(answer["data"]["result"][1]))]
        return [
            Sample(labels=one["metric"], value=float(one["value"][1]))
            for one in answer["data"]["result"]
        ]

    async def numbers(self, expr: str) -> list[Sample]:
        """Return the samples that are numbers."""
        return [one for one in await self.query(expr) if not math.isnan(one.value)]

    async def until(self, expr: str, holds: Callable[[list[Sample]], bool]) -> list[Sample]:
        """Ask until something holds; return what was answered then."""
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while True:
                samples = await self.query(expr)
                if holds(samples):
                    return samples
                await asyncio.sleep(LOOK_SECONDS)

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON document at a path."""
        document = json.loads(await asyncio.to_thread(self._read, path))
        assert isinstance(document, dict)
        return document

    async def is_ready(self) -> bool:
        """Say whether it answers questions."""
        try:
            await asyncio.to_thread(self._read, "/-/ready")
        except OSError:
            return False
        return True

    def _read(self, path: str) -> bytes:
        try:
            address = f"http://127.0.0.1:{self._port}{path}"
            with urlopen(address, timeout=ANSWER_SECONDS_MAX) as answer:
                content: bytes = answer.read()
        except HTTPError as refused:
            if not path.startswith("/api/"):
                raise
            return refused.read()
        return content


@asynccontextmanager
async def running(configuration: Path, port: int) -> AsyncIterator[Prometheus]:
    """Run a Prometheus over a configuration file; it has ended when this ends."""
    data = configuration.with_name("prometheus-data")
    with (configuration.with_name("prometheus.log")).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.size=64MB",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        prometheus = Prometheus(port)
        async with asyncio.timeout(READY_SECONDS_MAX):
            while not await prometheus.is_ready():
                assert process.returncode is None, log.name
                await asyncio.sleep(LOOK_SECONDS)
        yield prometheus
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(READY_SECONDS_MAX):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
