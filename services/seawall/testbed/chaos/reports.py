"""The files that a run leaves for people and for other tools."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from seawall.chaos.runner.records import Applied, Confirmed, Entered, Record, Reverted
from seawall.testbed.chaos.run_directory import RunDirectory
from seawall.testbed.experiment.outcome import Result, document_of
from seawall.testbed.experiment.page import render_page
from seawall.testbed.experiment.tables import PHASE_HEADER, numbers, phase_row
from seawall.testbed.experiment.verdict import Finding, Verdict


def write_reports(
    result: Result, home: RunDirectory, records: Sequence[Record], began: dt.datetime
) -> None:
    """Write every report of a run.

    Raises:
        OperationalError: CHAOS_RUN_WRITE.

    """
    document = {**document_of(result), "run": home.name, "began": began.isoformat()}
    home.write("verdict.json", _json(document))
    home.write("samples.json", result.samples.encode())
    home.write("report.html", render_page(result).encode())
    home.write("report.md", markdown(result).encode())
    home.write("junit.xml", junit(result, began))
    home.write("journal.json", _json(toolkit_journal(result, records, began)))


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def markdown(result: Result) -> str:
    """Return a run as a page of text."""
    experiment = result.experiment
    lines = [
        f"# {experiment.metadata.name}: {result.verdict.name}",
        "",
        experiment.metadata.description,
        "",
        f"On {result.backend}: {experiment.spec.topology.sites} sites, seed {experiment.spec.seed}",
        "",
        *_table(("", "what", "expected", "observed"), [_row(one) for one in result.findings]),
        "",
        *_table(PHASE_HEADER, [phase_row(phase) for phase in result.figures.phases]),
        "",
        *_table(("figure", "value"), numbers(result)),
    ]
    return "\n".join(lines) + "\n"


def _row(finding: Finding) -> tuple[str, ...]:
    mark = "ok" if finding.holds else finding.verdict.name
    return mark, finding.subject, finding.expected, finding.observed


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for line in (header, ["---"] * len(header), *rows):
        cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in line]
        yield f"| {' | '.join(cells)} |"


def junit(result: Result, began: dt.datetime) -> bytes:
    """Return the findings as test cases, as every CI reads them."""
    name = f"{result.experiment.metadata.name}.{result.backend}"
    wrong = [finding for finding in result.findings if not finding.holds]
    errors = [finding for finding in wrong if finding.verdict is Verdict.INCONCLUSIVE]
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=f"{len(result.findings)}",
        failures=f"{len(wrong) - len(errors)}",
        errors=f"{len(errors)}",
        time=f"{result.elapsed_us / 1_000_000:.3f}",
        timestamp=began.isoformat(timespec="seconds"),
    )
    for finding in result.findings:
        case = ET.SubElement(suite, "testcase", classname=name, name=finding.subject)
        if not finding.holds:
            # What says nothing is an error of the run, what is wrong a failure of the system.
            tag = "error" if finding in errors else "failure"
            message = f"expected: {finding.expected}; observed: {finding.observed}"
            ET.SubElement(case, tag, type=finding.verdict.name, message=message)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def toolkit_journal(
    result: Result, records: Sequence[Record], began: dt.datetime
) -> dict[str, Any]:
    """Return a run in the members of Chaos Toolkit's journal, for tools that read those.

    Unlike there, `completed` means that the verdict says something.
    """
    status = {
        Verdict.PASS: "completed",
        Verdict.DEGRADED: "completed",
        Verdict.UNSAFE: "failed",
        Verdict.INCONCLUSIVE: "aborted",
        Verdict.ROLLBACK_FAILED: "failed",
    }[result.verdict]
    ended = began + dt.timedelta(microseconds=result.elapsed_us)
    return {
        "chaoslib-version": "seawall.dev/v1",
        "platform": result.backend,
        "experiment": result.source,
        "start": began.isoformat(),
        "end": ended.isoformat(),
        "duration": result.elapsed_us / 1_000_000,
        "status": status,
        "deviated": result.verdict is not Verdict.PASS,
        "steady_states": {"after": [_row(finding) for finding in result.findings]},
        "run": [_activity(one) for one in records if isinstance(one, Applied | Confirmed)],
        "rollbacks": [_activity(one) for one in records if isinstance(one, Reverted)],
        "phases": [_activity(one) for one in records if isinstance(one, Entered)],
    }


def _activity(record: Applied | Confirmed | Reverted | Entered) -> dict[str, Any]:
    found: dict[str, Any] = {}
    match record:
        case Applied(id=name):
            found = {"type": "action", "name": f"apply {name}", "status": "succeeded"}
        case Reverted(id=name):
            found = {"type": "action", "name": f"revert {name}", "status": "succeeded"}
        case Confirmed(fault=number, confirmation=seen):
            status = "succeeded" if seen.is_seen else "failed"
            found = {"type": "probe", "name": f"see fault {number}", "status": status}
            found["output"] = seen.evidence
        case Entered(phase=phase):
            found = {"type": "phase", "name": phase, "status": "succeeded"}
    return {**found, "at_seconds": record.at_us / 1_000_000}
