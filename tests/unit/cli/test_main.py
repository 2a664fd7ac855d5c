import json
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.cli.console import Exit, read_file, table
from seawall.cli.main import COMMANDS, main
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import OperationalError
from seawall.formats import genesis as genesis_format
from tests.tidy.checkout import ROOT

SERVER_ONLY = (
    "cryptography",
    "grpc_health",
    "grpc_reflection",
    "lmdb",
    "matplotlib",
    "orjson",
    "prometheus_client",
    "psutil",
    "py_arkworks_bls12381",
    "pydantic",
    "pydantic_settings",
    "rich",
    "sklearn",
    "structlog",
    "yaml",
)
"""What the plain install does not bring."""


def run_plain(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the extras are not installed."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({SERVER_ONLY!r}));"
        "from seawall.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT / "services",
    )


def test_help_lists_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == Exit.OK
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(f"  {code.value}  " in text for code in Exit)
    assert main([]) == Exit.USAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert "exit codes:" in text


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: CLI_COMMAND in command: ")


def test_version_is_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--json"]) == Exit.OK
    assert sorted(json.loads(capsys.readouterr().out)) == ["python", "seawall"]


def test_a_missing_file_is_somebody_elses_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", str(tmp_path / "none.json"), "--genesis", str(tmp_path / "none")]
    assert main([*words, "--json"]) == Exit.UNREACHABLE
    captured = capsys.readouterr()
    assert captured.err.startswith("error: CLI_FILE: cannot read ")
    assert json.loads(captured.out)["error"]["code"] == "CLI_FILE"


def test_bad_input_is_refused_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(b"{}")
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(b"[]")
    assert main(["verify", str(receipt), "--genesis", str(genesis)]) == Exit.REFUSED
    assert capsys.readouterr().err.startswith("error: GENESIS_MISSING in genesis.apiVersion")


def test_verify_runs_in_the_plain_install(tmp_path: Path) -> None:
    done = run_plain("verify", str(tmp_path / "none.json"), "--dir", str(tmp_path))
    assert done.returncode == Exit.UNREACHABLE, done.stderr
    assert done.stderr.startswith("error: CLI_FILE: ")


@pytest.mark.parametrize("name", ["up", "demo", "serve"])
def test_other_commands_say_which_extra_is_missing(name: str) -> None:
    done = run_plain(name)
    assert done.returncode == Exit.USAGE
    assert "error: CLI_EXTRA: this command needs " in done.stderr
    assert "install seawall[" in done.stderr


def test_a_network_is_made_with_the_protocol_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["--contributors", "3", "--json"]
    for words, wave_length in ([], 5), (["--wave-length", "4"], 4):
        home = tmp_path / str(wave_length)
        options = ["--dir", str(home), "--protocol", "async", *words]
        assert main(["genesis", *options, *plan]) == Exit.OK
        assert json.loads(capsys.readouterr().out)["protocol"] == "async"
        made = genesis_format.decode((home / "genesis.json").read_bytes())
        assert made.consensus == ConsensusParameters().asynchronous(wave_length)
    assert main(["genesis", "--dir", str(tmp_path / "sync"), *plan]) == Exit.OK
    made = genesis_format.decode((tmp_path / "sync" / "genesis.json").read_bytes())
    assert made.consensus == ConsensusParameters()


def test_a_wave_length_belongs_to_async(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["genesis", "--dir", str(tmp_path), "--wave-length", "4"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: GENESIS_PLAN in --wave-length")


@pytest.mark.parametrize("words", [["--protocol", "sync"], ["--wave-length", "4"]])
def test_a_network_keeps_the_protocol_it_was_made_with(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--dir", str(tmp_path), "--contributors", "3"]
    assert main(["genesis", *options, "--protocol", "async"]) == Exit.OK
    assert main(["up", *options, *words]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: GENESIS_PLAN in --protocol")


class Broken:
    """A command that fails."""

    def __init__(self, fault: BaseException) -> None:
        self.__doc__ = "Fail."
        self.fault = fault

    def declare(self, parser: object) -> None:
        """Add nothing."""

    def run(self, arguments: object) -> int:
        """Fail."""
        del arguments
        raise self.fault


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (OperationalError("RPC_UNAVAILABLE", "nobody answers"), Exit.UNREACHABLE),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (ExceptionGroup("", [ValueError(), OperationalError("RPC_X", "h")]), Exit.UNREACHABLE),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), Exit.INTERRUPTED),
        (ExceptionGroup("", [ExceptionGroup("", [ValueError("odd")])]), Exit.INTERNAL),
        (ZeroDivisionError(), Exit.INTERNAL),
        (ModuleNotFoundError("no sklearn", name="sklearn.datasets"), Exit.USAGE),
    ],
)
def test_failures_become_exit_codes(fault: BaseException, code: Exit) -> None:
    assert main(["down"], lambda _: Broken(fault)) == code


def test_a_missing_module_of_ours_is_not_an_extra() -> None:
    fault = ModuleNotFoundError("no module", name="seawall.cli.nothing")
    with pytest.raises(ModuleNotFoundError):
        main(["down"], lambda _: Broken(fault))


def test_columns_are_as_wide_as_needed() -> None:
    assert table(["a", "b"], [["long", "x"], ["y", ""]]) == ["a     b", "long  x", "y"]


def test_files_are_read_up_to_one_byte_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    assert read_file(path, 3) == b"1234"
    assert read_file(path, 1 << 40) == b"12345"
