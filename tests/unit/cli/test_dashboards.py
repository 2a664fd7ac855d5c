"""`seawall dashboards` writes what a Grafana and a Prometheus read, and notices what differs."""

import json
from pathlib import Path

import pytest

from seawall.cli.console import Exit
from seawall.cli.main import main


def test_what_is_written_is_up_to_date_until_somebody_changes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path)]
    assert main(["dashboards", *out, "--check"]) == Exit.FAILED
    assert main(["dashboards", *out]) == Exit.OK
    assert main(["dashboards", *out, "--check"]) == Exit.OK
    (tmp_path / "rules" / "seawall.yaml").write_text("groups: []\n")
    (tmp_path / "dashboards" / "ledger.json").unlink()
    (tmp_path / "dashboards" / "old.json").write_text("{}")
    capsys.readouterr()
    assert main(["dashboards", *out, "--check", "--json"]) == Exit.FAILED
    stale = ["dashboards/ledger.json", "dashboards/old.json", "rules/seawall.yaml"]
    assert json.loads(capsys.readouterr().out) == {"stale": stale}


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dashboards").write_text("in the way")
    assert main(["dashboards", "--out", str(tmp_path)]) == Exit.UNREACHABLE
    assert "CLI_FILE in --out" in capsys.readouterr().err
