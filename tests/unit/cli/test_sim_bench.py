import json
from pathlib import Path

import pytest

from seawall.cli.console import Exit
from seawall.cli.main import main
from seawall.sim import bench, saturation
from seawall.sim.bench import EXPECTED


def test_bench_shows_a_table_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "bench.html"
    words = ["sim", "bench", "--sizes", "4", "--protocols", "sync,async5", "--rounds", "8"]
    assert main([*words, "--report", str(page)]) == Exit.OK
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["4", "3"], ["4", "5"]]
    assert lines[-1] == f"report  {page}"
    assert "n = 4, w = 5 ..." in shown.err
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_bench_fails_where_delays_are_not_as_expected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "EXPECTED", {**EXPECTED, 3: (2, 3)})
    words = ["sim", "bench", "--sizes", "4", "--protocols", "sync", "--rounds", "8", "--json"]
    assert main(words) == Exit.FAILED
    shown = capsys.readouterr()
    assert shown.err == ""
    (case,) = json.loads(shown.out)["cases"]
    assert case["holds"] is False
    assert (case["leader"], case["final"]) == (3.0, 3.0)


def test_stress_studies_what_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "stress.html"
    words = ["sim", "stress", "--sizes", "4", "--protocols", "sync", "--links", "fixed"]
    words += ["--seconds", "3", "--execute-us", "400", "--report", str(page)]
    code = main(words)
    shown = capsys.readouterr().out.splitlines()
    answers = [line.split()[-1] for line in shown[1:6]]
    assert code == (Exit.OK if answers == ["yes"] * 5 else Exit.FAILED)
    assert "f slow" in shown[4]
    assert page.exists()


def test_stress_exits_with_1_when_a_run_falls_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saturation, "THROUGHPUT_SHARE_MIN", 1.5)
    words = ["sim", "stress", "--sizes", "4", "--protocols", "sync", "--links", "fixed"]
    words += ["--seconds", "1", "--execute-us", "2000", "--json"]
    assert main(words) == Exit.FAILED
    (found,) = json.loads(capsys.readouterr().out)["studies"]
    assert not any(run["holds"] for run in found["runs"])


@pytest.mark.parametrize(
    "words",
    [
        ["bench", "--sizes", "3"],
        ["bench", "--sizes", "4,x"],
        ["bench", "--protocols", "sync,raft"],
        ["bench", "--updates", "0"],
        ["bench", "--rounds", "7"],
        ["stress", "--links", "wet"],
    ],
)
def test_wrong_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sim", *words])
    assert ended.value.code == Exit.USAGE
    assert "error: argument" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    page = tmp_path / "file" / "page.html"
    words = ["sim", "bench", "--sizes", "4", "--protocols", "sync", "--rounds", "8"]
    assert main([*words, "--report", str(page)]) == Exit.UNREACHABLE
    assert "CLI_FILE in --report" in capsys.readouterr().err
