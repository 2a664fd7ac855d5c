"""Each alert fires when it should and only then, as Prometheus' own test runner sees it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from seawall.testbed.monitoring.rules import ALERTS, RECORDINGS, render
from tests.unit.testbed.monitoring.alarms import CASES, RECORDED, document
from tests.unit.testbed.monitoring.promql import site_registry

PROMTOOL = shutil.which("promtool") or ""
PROMTOOL_SECONDS_MAX = 100

needs_promtool = pytest.mark.skipif(
    not PROMTOOL, reason="promtool is not on the path: on Debian, apt-get install prometheus"
)


def promtool(*words: object, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROMTOOL, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
        timeout=PROMTOOL_SECONDS_MAX,
    )


def judged(directory: Path, rules: str, only: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "rules.yaml").write_text(rules)
    (directory / "tests.yaml").write_text(yaml.safe_dump(document("rules.yaml", only)))
    return promtool("test", "rules", "tests.yaml", directory=directory)


def test_every_alert_is_seen_firing_and_silent() -> None:
    names = {alert.name for alert in ALERTS}
    assert {case.alert for case in CASES if case.fired} == names
    assert {case.alert for case in CASES if not case.fired} == names
    assert [name for name, _, _ in RECORDED] == [one.record for one in RECORDINGS]


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    done = judged(tmp_path, render())
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_rules_are_those_of_prometheus(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(render())
    done = promtool("check", "rules", "rules.yaml", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS) + len(RECORDINGS)} rules found" in done.stdout


@needs_promtool
def test_families_are_named_as_prometheus_would_have_them() -> None:
    page = generate_latest(site_registry()).decode()
    for text, fine in ((page, True), (page.replace("_seconds", "_ms"), False)):
        done = subprocess.run(
            [PROMTOOL, "check", "metrics"],
            check=False,
            capture_output=True,
            text=True,
            input=text,
            timeout=PROMTOOL_SECONDS_MAX,
        )
        assert (done.returncode == 0) == fine, done.stderr


MUTANTS = {
    "seawall:commit_seconds:p95_1m": ("0.95, sum", "0.9, sum"),
    "seawall:tps:rate1m": ("max by (network) (sum", "sum by (network) (sum"),
    "seawall:height:spread": ("- min by", "+ min by"),
    "seawall:integrity_fail_ratio:5m": ('verdict="fail"', 'verdict="pass"'),
    "ChainHalted": ("max by (network) (changes", "min by (network) (changes"),
    "HeightDiverged": (" offset 2m", ""),
    "ForkDetected": ('kind="fork"', 'kind="twins"'),
    "EvidenceSeen": ("_evidence_total[5m]", "_evidence_total[24h]"),
    "IntegrityFailures": ("> 0.05", "> 0.005"),
    "IngestBacklog": ("> 4096", "> 8"),
    "FsyncSlow": ("> 0.25", "> 0.2"),
    "FaultLeaseExpired": ('cause="lease"', 'cause="reverted"'),
    "FaultLeftActive": ("> 0", ">= 0"),
    "FaultActive": ("> 0", ">= 0"),
    "TargetDown": ('job="seawall"', 'job=~".+"'),
}
"""For each rule a change that somebody might make by mistake."""


@needs_promtool
def test_every_rule_has_a_test_that_a_mistake_fails(tmp_path: Path) -> None:
    rules = yaml.safe_load(render())
    every = [rule for group in rules["groups"] for rule in group["rules"]]
    assert [rule.get("record") or rule["alert"] for rule in every] == list(MUTANTS)
    for rule in every:
        name = rule.get("record") or rule["alert"]
        before = rule["expr"]
        rule["expr"] = before.replace(*MUTANTS[name])
        assert rule["expr"] != before, name
        done = judged(tmp_path, yaml.safe_dump(rules), only=name)
        assert done.returncode != 0, f"nobody noticed the change of {name}"
        rule["expr"] = before
