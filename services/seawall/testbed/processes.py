"""Processes of a local network: how one is started, recognised again, and ended.

A process is named by its id and its start time together, so that an id which the system has given
to somebody else since is never signalled.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import psutil

from seawall.errors import LocalError, OperationalError
from seawall.runtime.locks import write_durably
from seawall.runtime.serve import GIT_SHA_VARIABLE, PROCESS_ENVIRONMENT

RUN_FILE_BYTES_MAX: Final = 1 << 20
START_TIME_TOLERANCE_SECONDS: Final = 0.05
"""Start times are read back from text; two processes of one id are never this close."""

POLL_SECONDS: Final = 0.05
GIT_SECONDS_MAX: Final = 10.0


class ProcessRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One process: `started` is its start in Unix seconds, `site` -1 for the supervisor."""

    name: str
    pid: int
    started: float
    site: int = -1
    roles: tuple[str, ...] = ()
    client_address: str = ""
    peer_address: str = ""
    health_address: str = ""
    metrics_address: str = ""
    log: str = ""
    restarts: int = 0


class RunRecord(msgspec.Struct, frozen=True, rename="camel"):
    """The content of `run.json`: the supervisor and the processes that it keeps."""

    api_version: str
    kind: str
    origin: str
    supervisor: ProcessRecord
    processes: tuple[ProcessRecord, ...]


def record_of(pid: int) -> float | None:
    """Return the start time of a running process in Unix seconds, or None when there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def is_running(record: ProcessRecord) -> bool:
    """Say whether exactly this process still runs."""
    started = record_of(record.pid)
    return started is not None and abs(started - record.started) < START_TIME_TOLERANCE_SECONDS


def send(record: ProcessRecord, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; return whether it was there."""
    if not is_running(record):
        return False
    try:
        os.kill(record.pid, number)
    except ProcessLookupError:
        return False
    return True


def end(records: Sequence[ProcessRecord], *, grace_seconds: float) -> tuple[str, ...]:
    """End these processes: SIGTERM, then SIGKILL for those that are left after the grace.

    Returns the names of those that had to be killed.

    Raises:
        OperationalError: SITE_STOP when a process survives even that.

    """
    for record in records:
        send(record, signal.SIGTERM)
    left = wait_gone(records, seconds=grace_seconds)
    for record in left:
        send(record, signal.SIGKILL)
    stuck = wait_gone(left, seconds=5.0)
    if stuck:
        names = ", ".join(record.name for record in stuck)
        raise OperationalError("SITE_STOP", f"{names} could not be ended")
    return tuple(record.name for record in left)


def wait_gone(records: Iterable[ProcessRecord], *, seconds: float) -> tuple[ProcessRecord, ...]:
    """Wait until none of these processes runs; return those that still do after the time."""
    limit = time.monotonic() + seconds
    left = tuple(record for record in records if is_running(record))
    while left and time.monotonic() < limit:
        time.sleep(POLL_SECONDS)
        left = tuple(record for record in left if is_running(record))
    return left


def read_run(path: Path) -> RunRecord | None:
    """Return what a run file says, or None when there is none.

    Raises:
        LocalError: SITE_RUN_FILE for a file that no supervisor wrote.

    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data[:RUN_FILE_BYTES_MAX], type=RunRecord)
    except msgspec.MsgspecError as fault:
        raise LocalError("SITE_RUN_FILE", f"{path} is not a run file: remove it") from fault


def write_run(path: Path, record: RunRecord) -> None:
    """Write a run file, whole or not at all."""
    write_durably(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n", 0o644)


def serve_command(settings: Path, *arguments: str) -> list[str]:
    """Return the command line of one serving process; it ends when its standard input does."""
    return [
        sys.executable,
        "-m",
        "seawall.cli.main",
        "serve",
        "--config",
        str(settings),
        "--stop-with-parent",
        *arguments,
    ]


def environment() -> dict[str, str]:
    """Return the environment of a serving process."""
    # What the user has set wins; the package must be found however this process found it.
    source = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH", "")) if part)
    # A command that only asks keeps gRPC quiet; a site's log should have its errors.
    own = {"PYTHONPATH": search, "GRPC_VERBOSITY": PROCESS_ENVIRONMENT["GRPC_VERBOSITY"]}
    built = {GIT_SHA_VARIABLE: checked_out()}
    return {**PROCESS_ENVIRONMENT, **built, **os.environ, **own}


@cache
def checked_out() -> str:
    """Return the commit that a checkout of this code stands at, `unknown` when there is none."""
    root = Path(__file__).resolve().parents[3]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return "unknown"
    asked = subprocess.run(  # noqa: S603 - asks the checkout that this file is part of
        [git, "-C", str(root), "rev-parse", "HEAD"],
        check=False,
        capture_output=True,
        text=True,
        timeout=GIT_SECONDS_MAX,
    )
    return asked.stdout.strip() or "unknown"


def run_detached(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output going to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment(),
        )
