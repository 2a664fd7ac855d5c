"""Series that make each alert fire, and such that must not; `promtool test rules` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seawall.testbed.monitoring.rules import ALERTS

NET: Final = 'network="n"'
SITE_A: Final = f'{NET},site="a"'
SITE_B: Final = f'{NET},site="b"'
EVIDENCE: Final = "seawall_consensus_byzantine_evidence_total"
WRITTEN: Final = "seawall_ledger_evidence_total"
FSYNC: Final = "seawall_ledger_fsync_duration_seconds_bucket"
VERDICTS: Final = "seawall_integrity_verdicts_total"
HEIGHT: Final = "seawall_ledger_height"
COMMITTED: Final = "seawall_consensus_committed_height"
ACTIVE: Final = "seawall_chaos_fault_active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """An alert that is expected: its labels besides those of the rule, and its summary."""

    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is scraped every 15 s, and what an alert says of it at a time."""

    alert: str
    name: str
    series: Mapping[str, str]
    at: str = "5m"
    fired: tuple[Fired, ...] = ()


def shares(passed: str, failed: str) -> dict[str, str]:
    """Return verdicts that passed and failed."""
    return {
        f'{VERDICTS}{{{SITE_A},check="hash",verdict="pass"}}': passed,
        f'{VERDICTS}{{{SITE_A},check="hash",verdict="fail"}}': failed,
    }


def syncs(quick: str, all_of_them: str) -> dict[str, str]:
    """Return syncs of up to 0.25 s, and all of them, which took up to 0.5 s."""
    return {
        f'{FSYNC}{{{SITE_A},le="0.25"}}': quick,
        f'{FSYNC}{{{SITE_A},le="0.5"}}': all_of_them,
        f'{FSYNC}{{{SITE_A},le="+Inf"}}': all_of_them,
    }


FORKED: Final = (
    Fired(summary="Sites of n hold different logs or models.", labels={"network": "n"}),
)

CASES: Final = (
    Case(
        alert="ChainHalted",
        name="nobody commits",
        series={f"{COMMITTED}{{{SITE_A}}}": "7x40", f"{COMMITTED}{{{SITE_B}}}": "7x40"},
        fired=(
            Fired(
                summary="No site of n has committed anything for a minute.",
                labels={"network": "n"},
            ),
        ),
    ),
    Case(
        alert="ChainHalted",
        name="one site of two commits",
        series={f"{COMMITTED}{{{SITE_A}}}": "7x40", f"{COMMITTED}{{{SITE_B}}}": "0+1x40"},
    ),
    Case(
        alert="ChainHalted",
        name="another network commits",
        series={
            f"{COMMITTED}{{{SITE_A}}}": "7x40",
            f'{COMMITTED}{{network="m",site="a"}}': "0+1x40",
        },
        fired=(
            Fired(
                summary="No site of n has committed anything for a minute.",
                labels={"network": "n"},
            ),
        ),
    ),
    Case(
        alert="HeightDiverged",
        name="one stands still",
        series={f"{HEIGHT}{{{SITE_A}}}": "0+10x40", f"{HEIGHT}{{{SITE_B}}}": "20x40"},
        fired=(
            Fired(
                summary="A ledger of n is more than two minutes behind.", labels={"network": "n"}
            ),
        ),
    ),
    Case(
        alert="HeightDiverged",
        name="a fast chain, scraped at different moments",
        series={f"{HEIGHT}{{{SITE_A}}}": "5000+1000x40", f"{HEIGHT}{{{SITE_B}}}": "0+1000x40"},
    ),
    Case(
        alert="ForkDetected",
        name="a ledger raises an alarm",
        series={f'seawall_ledger_alarms_total{{{SITE_A},code="LOG_FORK"}}': "0x9 1x40"},
        fired=FORKED,
    ),
    Case(
        alert="ForkDetected",
        name="two versions of one cut",
        series={f'{WRITTEN}{{{SITE_A},kind="fork"}}': "1x40"},
        fired=FORKED,
    ),
    Case(
        alert="ForkDetected",
        name="a site computes something else",
        series={f'seawall_aggregation_mismatches_total{{{SITE_A},task="t"}}': "0x3 2x40"},
        fired=FORKED,
    ),
    Case(
        alert="ForkDetected",
        name="evidence against a validator is no fork",
        series={
            f'{WRITTEN}{{{SITE_A},kind="twins"}}': "3x40",
            f'{WRITTEN}{{{SITE_A},kind="fork"}}': "0x40",
            f'seawall_ledger_alarms_total{{{SITE_A},code="LOG_FORK"}}': "0x40",
        },
    ),
    Case(
        alert="EvidenceSeen",
        name="a replica sees two blocks",
        series={f'{EVIDENCE}{{{SITE_A},kind="equivocation"}}': "0x12 1x40"},
        fired=(
            Fired(
                summary="equivocation: somebody in n signed what it must not.",
                labels={"network": "n", "kind": "equivocation"},
            ),
        ),
    ),
    Case(
        alert="EvidenceSeen",
        name="a ledger writes it down",
        series={f'{WRITTEN}{{{SITE_A},kind="twins"}}': "0x12 1x40"},
        fired=(
            Fired(
                summary="twins: somebody in n signed what it must not.",
                labels={"network": "n", "kind": "twins"},
            ),
        ),
    ),
    Case(
        alert="EvidenceSeen",
        name="what was seen long ago",
        series={
            f'{EVIDENCE}{{{SITE_A},kind="equivocation"}}': "0x4 4x100",
            f'{WRITTEN}{{{SITE_A},kind="twins"}}': "0x4 4x100",
        },
        at="20m",
    ),
    Case(
        alert="IntegrityFailures",
        name="every tenth check fails",
        series=shares("0+9x40", "0+1x40"),
        fired=(Fired(summary="10% of the checks in n fail.", labels={"network": "n"}),),
    ),
    Case(
        alert="IntegrityFailures",
        name="one of a hundred fails",
        series=shares("0+99x40", "0+1x40"),
    ),
    Case(
        alert="IngestBacklog",
        name="a queue that does not shrink",
        series={f"seawall_ingest_queue_depth{{{SITE_A}}}": "5000x40"},
        fired=(
            Fired(
                summary="5000 updates wait for a batch at a.", labels={"network": "n", "site": "a"}
            ),
        ),
    ),
    Case(
        alert="IngestBacklog",
        name="a peak that passes",
        series={f"seawall_ingest_queue_depth{{{SITE_A}}}": "9x17 9000x2 9x40"},
    ),
    Case(
        alert="FsyncSlow",
        name="half of the syncs take long",
        series=syncs("0+50x60", "0+100x60"),
        at="12m",
        fired=(
            Fired(
                summary="a takes 495ms to make commits durable.",
                labels={"network": "n", "site": "a"},
            ),
        ),
    ),
    Case(alert="FsyncSlow", name="all are quick", series=syncs("0+100x60", "0+100x60"), at="12m"),
    Case(
        alert="FaultLeaseExpired",
        name="a lease runs out",
        series={f'seawall_chaos_rollbacks_total{{{SITE_A},cause="lease"}}': "0x12 1x40"},
        fired=(
            Fired(
                summary="A fault at a ended because nobody renewed its lease.",
                labels={"network": "n", "site": "a"},
            ),
        ),
    ),
    Case(
        alert="FaultLeaseExpired",
        name="a runner reverts",
        series={
            f'seawall_chaos_rollbacks_total{{{SITE_A},cause="reverted"}}': "0x12 1x40",
            f'seawall_chaos_rollbacks_total{{{SITE_A},cause="lease"}}': "0x40",
        },
    ),
    Case(
        alert="FaultLeftActive",
        name="a fault of twenty minutes",
        series={f'{ACTIVE}{{{SITE_A},fault="partition"}}': "1x100"},
        at="20m",
        fired=(
            Fired(
                summary="A partition fault has been active at a for long.",
                labels={"network": "n", "site": "a", "fault": "partition"},
            ),
        ),
    ),
    Case(
        alert="FaultLeftActive",
        name="a fault of ten minutes",
        series={f'{ACTIVE}{{{SITE_A},fault="partition"}}': "0x40 1x39 0x40"},
        at="20m",
    ),
    Case(
        alert="FaultActive",
        name="an experiment runs",
        series={f'{ACTIVE}{{{SITE_A},fault="partition"}}': "1x40"},
        fired=(Fired(summary="An experiment injects faults into n.", labels={"network": "n"}),),
    ),
    Case(
        alert="FaultActive",
        name="it is over",
        series={f'{ACTIVE}{{{SITE_A},fault="partition"}}': "1x9 0x40"},
    ),
    Case(
        alert="TargetDown",
        name="a process is gone",
        series={f'up{{job="seawall",instance="i",{SITE_A}}}': "1x9 0x40"},
        fired=(
            Fired(
                summary="i of n does not answer.",
                labels={"job": "seawall", "instance": "i", "network": "n", "site": "a"},
            ),
        ),
    ),
    Case(
        alert="TargetDown",
        name="it answers, something else does not",
        series={
            f'up{{job="seawall",instance="i",{SITE_A}}}': "1x40",
            'up{job="node",instance="j"}': "0x40",
        },
    ),
)

RECORDED: Final[tuple[tuple[str, Mapping[str, str], float], ...]] = (
    (
        "seawall:commit_seconds:p95_1m",
        {
            f'seawall_consensus_commit_duration_seconds_bucket{{{site},le="{bound}"}}': values
            for site in (SITE_A, SITE_B)
            for bound, values in (("0.1", "0+90x40"), ("0.25", "0+100x40"), ("+Inf", "0+100x40"))
        },
        0.175,
    ),
    (
        "seawall:tps:rate1m",
        {
            f"seawall_ledger_updates_total{{{SITE_A}}}": "1000+30x40",
            f"seawall_ledger_updates_total{{{SITE_B}}}": "0+15x40",
        },
        2.0,
    ),
    (
        "seawall:height:spread",
        {f"{HEIGHT}{{{SITE_A}}}": "100x40", f"{HEIGHT}{{{SITE_B}}}": "93x40"},
        7.0,
    ),
    ("seawall:integrity_fail_ratio:5m", shares("0+9x40", "0+1x40"), 0.1),
)
"""Each recording rule, what is scraped, and what comes of it, to a thousandth."""


def document(rules_file: str, only: str = "") -> dict[str, Any]:
    """Return what is known of every rule, or of one, as a file of `promtool test rules`."""
    cases = [one for one in CASES if only in ("", one.alert)]
    recorded = [one for one in RECORDED if only in ("", one[0])]
    return {
        "rule_files": [rules_file],
        "evaluation_interval": "15s",
        "tests": [*map(_case, cases), *(_recorded(*one) for one in recorded)],
    }


def _case(case: Case) -> dict[str, Any]:
    rule = next(one for one in ALERTS if one.name == case.alert)
    labels = {"severity": rule.severity, **({"chaos": "expected"} if rule.expected else {})}
    return {
        "name": f"{case.alert}: {case.name}",
        "interval": "15s",
        "input_series": _series(case.series),
        "alert_rule_test": [
            {
                "alertname": case.alert,
                "eval_time": case.at,
                "exp_alerts": [
                    {
                        "exp_labels": {**labels, **one.labels},
                        "exp_annotations": {"summary": one.summary, "action": rule.action},
                    }
                    for one in case.fired
                ],
            }
        ],
    }


def _recorded(name: str, series: Mapping[str, str], value: float) -> dict[str, Any]:
    """Return the test of a recording rule; promtool 2 compares floats exactly, hence `round`."""
    rounded = {"expr": f"round({name}, 0.001)", "eval_time": "5m"}
    samples = [{"labels": f"{{{NET}}}", "value": value}]
    return {
        "name": name,
        "interval": "15s",
        "input_series": _series(series),
        "promql_expr_test": [{**rounded, "exp_samples": samples}],
    }


def _series(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]
