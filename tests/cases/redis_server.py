"""A real Redis for tests: started on a socket of its own, ended by its process id."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PROGRAM: Final = shutil.which("redis-server")
SECONDS_MAX: Final = 20.0
PASSWORD: Final = "north sea"  # noqa: S105 - of a server that ends with its test

needs_redis = pytest.mark.skipif(
    PROGRAM is None, reason="redis-server is not on the path: apt-get install redis-server"
)


class RedisServer:
    """One server in a directory; a killed one starts again with what its file has."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.password_file = directory / "password"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(exist_ok=True)
        self.password_file.write_text(f"{PASSWORD}\n")

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"unix://{self.socket}"

    def start(self, *options: str, until: bytes = b"eady to accept connections") -> None:
        """Start it, and wait until its log says so."""
        assert PROGRAM is not None, "tests that need it say so"
        self.socket.unlink(missing_ok=True)
        words = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        words += ["--requirepass", PASSWORD, "--maxmemory-policy", "noeviction"]
        words += ["--enable-protected-configs", "yes"]
        self._process = subprocess.Popen(
            [PROGRAM, *words, *self._options, *options], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None, "piped above"
        for line in self._process.stdout:
            if until in line:
                return
        raise AssertionError("redis-server did not start")

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        process, self._process = self._process, None
        if process is not None:
            # One that is frozen takes no other signal.
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            assert process.stdout is not None, "piped when it was started"
            process.stdout.close()
            process.wait(SECONDS_MAX)

    def kill(self) -> None:
        """End it without warning."""
        self.end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def ask(self, *words: str | int) -> object:
        """Return what it answers to a command."""
        with Redis(
            unix_socket_path=str(self.socket), password=PASSWORD, retry=Retry(NoBackoff(), 0)
        ) as client:
            return client.execute_command(*words)

    def names(self) -> list[str]:
        """Return the names of all keys."""
        found = self.ask("KEYS", "*")
        assert isinstance(found, list), "the answer to KEYS"
        return sorted(name.decode() for name in found)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "it runs"
        os.kill(self._process.pid, number)


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """Return a running server that ends with the context."""
    server = RedisServer(directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.end()
