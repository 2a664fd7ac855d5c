import json
from pathlib import Path
from types import ModuleType

import pytest

from seawall.cli import main as module
from seawall.cli import sim
from seawall.cli.console import Exit
from seawall.cli.main import main
from tests.unit.testbed.experiment.small import TEXT


def written(directory: Path, text: str) -> str:
    """Return the path of a file with this text."""
    path = directory / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_run_prints_phases_findings_and_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", written(tmp_path, TEXT)]) == 0
    text = capsys.readouterr().out
    for word in ("small: 4 sites, metro, sync, seed 3", "baseline", "committed/s", "verdict: PASS"):
        assert word in text


def test_a_missed_service_level_is_exit_code_one(tmp_path: Path) -> None:
    text = TEXT + "  expect: {slo: {committed_p95: 1ms}}\n"
    assert main(["sim", written(tmp_path, text)]) == 1


def test_a_wrong_file_is_wrong_usage_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, TEXT.replace("seed", "sead"))
    assert main(["sim", path, "--json"]) == Exit.USAGE
    answer = capsys.readouterr()
    error = json.loads(answer.out)["error"]
    assert (error["code"], error["line"], error["column"]) == ("EXPERIMENT_UNKNOWN", 6, 3)
    assert "at line 6, column 3" in answer.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--site", "4"], "CLI_SITE"),
        (["--seed", "-1"], "CLI_SEED"),
        (["--report", "/proc/nowhere/page.html"], "CLI_FILE_WRITE"),
    ],
)
def test_wrong_options_are_wrong_usage(
    options: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", written(tmp_path, TEXT), *options]) == Exit.USAGE
    assert code in capsys.readouterr().err


def test_a_file_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    # Exit code 4, which other commands have for it, is a verdict here.
    assert main(["sim", "nowhere.yaml"]) == Exit.USAGE
    assert "CLI_EXPERIMENT" in capsys.readouterr().err


def test_help_explains_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sim", "--help"])
    assert "INCONCLUSIVE" in capsys.readouterr().out


def test_a_command_of_two_words_is_a_module_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMANDS", {"sim": "one", "sim other": "two"})
    found: list[str] = []

    def find(name: str) -> ModuleType:
        found.append(name)
        return sim

    for words in (["sim", "other", "--help"], ["sim", "--help"]):
        with pytest.raises(SystemExit):
            main(words, find)
    assert found == ["seawall.cli.sim_other", "seawall.cli.sim"]
