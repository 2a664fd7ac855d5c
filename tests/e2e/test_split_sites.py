"""Each role of each site in a process of its own: the same network, over sockets only."""

import json
from pathlib import Path

from seawall.runtime.service import ROLES
from tests.e2e.command import answer, seawall, serving

SITES = [f"site-{index}" for index in range(4)]
PROCESSES = [f"{site}/{role}" for site in SITES for role in ROLES]


def test_an_update_goes_through_all_processes_of_split_sites(tmp_path: Path) -> None:
    home = tmp_path / "sites"
    plan = ("-n", len(SITES), "--contributors", 3, "--interval-ms", 300)
    try:
        started = answer("up", "--split", *plan, "--dir", home, "--detach")
        assert list(started["processes"]) == PROCESSES  # type: ignore[call-overload] # JSON
        receipt = tmp_path / "receipt.json"
        words = ("--dir", home, "--name", "contributor-01", "--receipt", receipt)
        assert answer("submit", *words, "--wait", "aggregated")["version"] == 1
        assert answer("verify", receipt, "--dir", home)["valid"] is True
        sites = answer("status", "--dir", home)["sites"]
        assert isinstance(sites, list)
        for site in sites:
            assert (site["up"], site["silent"], site["updates"]) == (True, [], 1)
            assert list(site["pids"]) == [f"{site['name']}/{role}" for role in ROLES]
        key = home / "contributors" / "contributor-02.key"
        tried = answer("selftest", "--genesis", home / "genesis.json", "--key", key)
        assert tried["serving"] == "20/20"
        assert tried["outcome"] == "committed"
        # Without a file of used numbers it finds them in the log, also the second time.
        again = answer("selftest", "--genesis", home / "genesis.json", "--key", key)
        assert again["update"] != tried["update"]
        run = json.loads((home / "run.json").read_text("utf-8"))
        assert [one["roles"] for one in run["processes"]] == [[role] for role in ROLES] * 4
        lines = seawall("logs", "site-0", "--dir", home, "--lines", 1000, "--json").stdout
        assert {json.loads(line)["process"] for line in lines.splitlines()} == {*ROLES}
    finally:
        ended = answer("down", "--dir", home)
    assert ended == {"ended": PROCESSES, "killed": []}
    assert serving(home) == []


def test_whole_sites_are_not_split_later(tmp_path: Path) -> None:
    seawall("genesis", "--dir", tmp_path, "--contributors", 3)
    done = seawall("up", "--split", "--dir", tmp_path, code=2)
    assert "GENESIS_PLAN in --split" in done.stderr
    assert serving(tmp_path) == []
