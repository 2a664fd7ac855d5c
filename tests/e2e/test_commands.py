"""What the user types works: up, submit, status, verify, receipt, ledger, logs, down."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from seawall.testbed.learning.model import SHAPES
from tests.e2e.command import answer, seawall, serving
from tests.simulation.recompute import Recomputation, to_ref


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a network in the background for the tests of this module."""
    directory = tmp_path_factory.mktemp("network") / "sites"
    document = answer("up", "-n", 4, "--dir", directory, "--detach", "--interval-ms", 300)
    assert len(document["processes"]) == 4  # type: ignore[arg-type] # a JSON document
    yield directory
    seawall("down", "--dir", directory)
    assert serving(directory) == []


@pytest.fixture(scope="module")
def submitted(home: Path) -> dict[str, object]:
    """Submit one update of random numbers."""
    generator = np.random.default_rng(5)
    tensors = {name: generator.normal(0, 0.01, shape) for name, shape in SHAPES.items()}
    delta = home / "delta.safetensors"
    save_file(tensors, delta)
    receipt = home / "receipt.json"
    return answer("submit", delta, "--dir", home, "--name", "contributor-03", "--receipt", receipt)


def test_status_shows_every_site_and_no_fork(home: Path) -> None:
    document = answer("status", "--dir", home)
    sites = document["sites"]
    assert isinstance(sites, list)
    assert [site["up"] for site in sites] == [True] * 4
    assert document["forks"] == []
    assert [list(site["pids"]) for site in sites] == [[site["name"]] for site in sites]


def test_a_submitted_update_has_a_receipt_that_verifies_offline(
    home: Path, submitted: dict[str, object]
) -> None:
    document = answer("verify", home / "receipt.json", "--dir", home)
    assert document["valid"] is True
    assert document["update"] == submitted["update"]
    assert str(document["contributor"]).startswith("contributor-03")


def test_a_submitted_update_is_final_before_it_is_committed(submitted: dict[str, object]) -> None:
    final, committed = submitted["final_seconds"], submitted["committed_seconds"]
    assert isinstance(final, float)
    assert isinstance(committed, float)
    assert 0 < final <= committed


def test_a_changed_receipt_is_refused_with_its_code(
    home: Path, submitted: dict[str, object]
) -> None:
    assert submitted["stage"] == "committed"
    changed = home / "changed.json"
    text = (home / "receipt.json").read_text(encoding="utf-8")
    changed.write_text(text.replace('\\"numExamples\\":1', '\\"numExamples\\":2'), encoding="utf-8")
    done = seawall("verify", changed, "--dir", home, code=3)
    assert done.stderr.startswith("error: RECEIPT_")
    error = answer("verify", changed, "--dir", home, code=3)["error"]
    assert isinstance(error, dict)
    assert error["code"] in done.stderr


def test_another_payload_is_refused(home: Path, submitted: dict[str, object]) -> None:
    assert submitted["update"]
    done = seawall(
        "verify", home / "receipt.json", home / "delta.safetensors", "--dir", home, code=3
    )
    assert "RECEIPT_PAYLOAD in payload" in done.stderr


def test_a_receipt_is_fetched_again(home: Path, submitted: dict[str, object]) -> None:
    again = home / "again.json"
    document = answer("receipt", submitted["update"], "--dir", home, "--receipt", again)
    assert document["update"] == submitted["update"]
    assert answer("verify", again, "--dir", home)["valid"] is True


def test_an_unknown_update_has_no_receipt(home: Path) -> None:
    done = seawall("receipt", "0" * 64, "--dir", home, "--wait", 0, code=3)
    assert "RECEIPT_" in done.stderr


def test_the_same_update_again_is_refused(home: Path, submitted: dict[str, object]) -> None:
    assert submitted["update"]
    words = ("submit", home / "delta.safetensors", "--dir", home, "--name", "contributor-03")
    done = seawall(*words, "--receipt", home / "second.json", code=3)
    assert "REPLAY_PAYLOAD" in done.stderr
    assert not (home / "second.json").exists()


def test_ledgers_are_exported_and_equal(home: Path, submitted: dict[str, object]) -> None:
    files = [home / f"ledger-{site}.jsonl" for site in range(2)]
    for site, file in enumerate(files):
        answer("ledger", "export", f"site-{site}", file, "--dir", home)
    first, second = (file.read_text("utf-8").splitlines() for file in files)
    common = min(len(first), len(second))
    assert first[:common] == second[:common]
    assert str(submitted["update"]) in "\n".join(first)
    assert files[0].with_suffix(".note").read_text("utf-8").count("—") >= 4


def test_logs_are_lines_of_json(home: Path) -> None:
    lines = seawall("logs", "site-0", "--dir", home, "--json").stdout.splitlines()
    assert {json.loads(line)["site"] for line in lines} == {"site-0"}


def test_a_site_exports_a_trace_that_others_can_recompute(
    home: Path, submitted: dict[str, object]
) -> None:
    file = home / "trace.json"
    document = answer("logs", "site-1", "--dir", home, "--trace", file)
    trace = json.loads(file.read_bytes())
    expected = trace["expected"]
    assert document == {"blocks": len(trace["events"]), "commits": len(expected["commits"])}
    found = Recomputation(trace)
    assert found.commits == expected["commits"]
    assert found.fast_path.verdicts == expected["verdicts"]
    final = {
        (to_ref(one["block"]), one["index"]): (one["event"], one["round"])
        for one in expected["final"]
    }
    assert found.fast_path.final == final
    carried = [
        update[2]
        for event in trace["events"]
        for batch in event["block"]["batches"]
        for update in batch
    ]
    assert submitted["update"] in carried
    assert [one["verdict"] for one in expected["verdicts"]] == ["ACCEPT"]


def test_a_trace_is_of_one_site(home: Path) -> None:
    done = seawall("logs", "--dir", home, "--trace", home / "trace.json", code=2)
    assert "SITE_UNKNOWN" in done.stderr


def test_a_second_supervisor_is_refused(home: Path) -> None:
    done = seawall("up", "--dir", home, "--quiet", code=4)
    assert "SITE_RUNNING" in done.stderr


def test_a_second_process_on_one_data_directory_is_refused(home: Path) -> None:
    settings = home / "site-0" / "second.toml"
    text = (home / "site-0" / "site.toml").read_text("utf-8")
    settings.write_text(text.replace("port = ", "port = 0 # "), encoding="utf-8")
    done = seawall("serve", "--config", settings, code=2)
    assert "DATA_LOCKED" in done.stderr
    document = answer("status", "--dir", home)
    sites = document["sites"]
    assert isinstance(sites, list)
    assert sites[0]["up"] is True


def test_enrolling_after_the_start_is_refused(home: Path) -> None:
    done = seawall("keys", "enrol", "late", home / "late.key", "--dir", home, code=2)
    assert "GENESIS_USED" in done.stderr
