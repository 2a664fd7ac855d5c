from pathlib import Path

from bench.faults.namespaces import abandoned

LISTING = """\
sw41-router (id: 3)
sw41-0 (id: 4)
sw42-0
swan-7
others (id: 1)
"""


def test_only_namespaces_of_processes_that_are_gone_are_abandoned(tmp_path: Path) -> None:
    (tmp_path / "42").mkdir()
    assert abandoned(LISTING, tmp_path) == ["sw41-router", "sw41-0"]
    assert abandoned("\n", tmp_path) == []
