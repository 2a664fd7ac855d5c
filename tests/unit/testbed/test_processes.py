import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from seawall.errors import LocalError, OperationalError
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.processes import (
    ProcessRecord,
    RunRecord,
    end,
    environment,
    is_running,
    read_run,
    record_of,
    send,
    serve_command,
    wait_gone,
    write_run,
)
from seawall.testbed.supervisor import refuse_second

PATIENT = "import sys; print(flush=True); sys.stdin.read()"
STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print(flush=True); sys.stdin.read()"
)


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Collect processes that a test starts; all have ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


def start(children: list[subprocess.Popen[bytes]], program: str) -> ProcessRecord:
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    children.append(child)
    assert child.stdout is not None
    child.stdout.readline()
    started = record_of(child.pid)
    assert started is not None
    return ProcessRecord(name=f"child-{len(children)}", pid=child.pid, started=started)


def run_record(supervisor: ProcessRecord) -> RunRecord:
    return RunRecord(
        api_version="seawall.dev/v1",
        kind="Run",
        origin="seawall/0123456789abcdef",
        supervisor=supervisor,
        processes=(),
    )


def test_a_process_is_known_by_its_id_and_start(children: list[subprocess.Popen[bytes]]) -> None:
    record = start(children, PATIENT)
    assert is_running(record)
    other = msgspec.structs.replace(record, started=record.started - 1.0)
    assert not is_running(other)
    assert not send(other, signal.SIGKILL)
    assert is_running(record)


def test_ending_asks_first_and_kills_what_stays(children: list[subprocess.Popen[bytes]]) -> None:
    patient, stubborn = start(children, PATIENT), start(children, STUBBORN)
    assert end([patient, stubborn], grace_seconds=1.0) == (stubborn.name,)
    assert [child.wait() for child in children] == [-signal.SIGTERM, -signal.SIGKILL]
    assert end([patient, stubborn], grace_seconds=1.0) == ()


def test_waiting_has_a_limit(children: list[subprocess.Popen[bytes]]) -> None:
    record = start(children, PATIENT)
    assert wait_gone([record], seconds=0.1) == (record,)


def test_a_run_file_reads_as_it_was_written(tmp_path: Path) -> None:
    record = run_record(ProcessRecord(name="supervisor", pid=1, started=2.5))
    write_run(tmp_path / "run.json", record)
    assert read_run(tmp_path / "run.json") == record
    assert read_run(tmp_path / "none.json") is None
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LocalError, match="SITE_RUN_FILE"):
        read_run(tmp_path / "run.json")


def test_a_running_supervisor_keeps_others_away(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    directory = NetworkDirectory(tmp_path)
    refuse_second(directory)
    record = start(children, PATIENT)
    write_run(directory.run, run_record(record))
    with pytest.raises(OperationalError, match="SITE_RUNNING"):
        refuse_second(directory)
    end([record], grace_seconds=5.0)
    children[0].wait()
    refuse_second(directory)


def test_sites_are_started_with_what_libraries_read(tmp_path: Path) -> None:
    assert environment()["OPENBLAS_NUM_THREADS"] == "1"
    assert environment()["GRPC_VERBOSITY"] == "ERROR"
    command = serve_command(tmp_path / "site.toml", "ledger")
    assert command[0] == sys.executable
    assert "--stop-with-parent" in command
    assert command[-1] == "ledger"
