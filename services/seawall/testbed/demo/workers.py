"""The contributors' process, seen from the demo that started it."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import msgspec

from seawall.errors import OperationalError
from seawall.testbed.demo import messages
from seawall.testbed.demo.messages import Finished, Report
from seawall.testbed.demo.settings import DemoSettings
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.processes import environment

LINE_BYTES_MAX: Final = 1 << 16
END_SECONDS_MAX: Final = 5.0


class Workers:
    """Starts the process and hands its reports on; an asynchronous context manager."""

    def __init__(
        self,
        directory: NetworkDirectory,
        settings: DemoSettings,
        hear: Callable[[Report], None],
    ) -> None:
        """Keep what the process needs; `hear` gets every report."""
        self._directory = directory
        self._settings = settings
        self._hear = hear
        self._process: asyncio.subprocess.Process | None = None
        self.finished: asyncio.Future[Finished] | None = None

    async def __aenter__(self) -> Self:
        """Start the process."""
        self.finished = asyncio.get_running_loop().create_future()
        with (self._directory.path / "contributors.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "seawall.testbed.demo.contributors",
                str(self._directory.path),
                msgspec.json.encode(self._settings).decode(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES_MAX,
                start_new_session=True,
                env=environment(),
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def follow(self) -> None:
        """Hand on every report until the process has finished.

        Raises:
            OperationalError: SITE_CONTRIBUTORS when it ends without having finished.

        """
        assert self._process is not None
        assert self._process.stdout is not None
        assert self.finished is not None
        async for line in self._process.stdout:
            message = messages.decode(line)
            self._hear(message)
            if isinstance(message, Finished):
                self.finished.set_result(message)
                return
        hint = f"the contributors ended early: see {self._directory.path}/contributors.log"
        raise OperationalError("SITE_CONTRIBUTORS", hint)

    def tell(self, command: str) -> None:
        """Send a command."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
