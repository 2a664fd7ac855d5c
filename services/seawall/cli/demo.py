"""Four sites, 20 contributors training on real data, stragglers, cheats, and attacks.

Everything is judged: exit code 0 means that every expectation held. `--study` compares
aggregation rules in simulated time instead, without sites.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import msgspec

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.domain.parameters import ASYNC, SYNC
from seawall.testbed.demo import outcomes
from seawall.testbed.demo.figures import curve
from seawall.testbed.demo.runner import Result, run_demo
from seawall.testbed.demo.settings import DemoSettings, full, short
from seawall.testbed.demo.view import open_view
from seawall.testbed.learning import study, study_report
from seawall.testbed.report.page import document_of, write_report


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--short", action="store_true", help="15 versions instead of 60")
    parser.add_argument("--seed", type=int, default=1, help="of data and attacks (default: 1)")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path("out/demo"),
        metavar="D",
        help="where everything is written (default: %(default)s)",
    )
    parser.add_argument(
        "--protocol", choices=(ASYNC, SYNC), default=SYNC, help="of the sites (default: sync)"
    )
    parser.add_argument("--study", action="store_true", help="compare rules in simulated time")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo or the study."""
    if arguments.study:
        return _study(arguments)
    planned = (short if arguments.short else full)(arguments.seed)
    settings = msgspec.structs.replace(planned, protocol=arguments.protocol)
    result = asyncio.run(_run(arguments, settings))
    paths = write_report(result, arguments.dir)
    lines = [*_summary(result), "", *[f"{name:<8} {path}" for name, path in paths.items()]]
    console.emit(arguments, document_of(result), lines)
    return Exit.OK if result.holds else Exit.FAILED


async def _run(arguments: argparse.Namespace, settings: DemoSettings) -> Result:
    with open_view(json=arguments.json) as view:
        return await run_demo(arguments.dir, settings, view)


def _summary(result: Result) -> list[str]:
    """Return the table, the accuracy curve, and the figures of the run."""
    figures = result.figures
    accuracies = [version.accuracy for _, version in result.state.run.versions]
    latency = ", ".join(f"{name} {value:.0f} ms" for name, value in figures.latency_ms.items())
    phases = ", ".join(f"{name} {value:.0f} s" for name, value in figures.seconds.items())
    good = sum(outcome.holds for outcome in result.outcomes)
    return [
        "",
        *outcomes.render(result.outcomes).splitlines(),
        "",
        "accuracy on 360 test images, by version",
        *curve(accuracies),
        "",
        f"latency   signed to acknowledged: {latency}",
        f"rate      {figures.updates_per_second} updates/s",
        f"versions  {figures.versions_per_second} a second, the last {figures.accuracy:.1%} right",
        f"updates   {figures.acknowledged} acknowledged, {figures.receipts} receipts",
        f"entries   {figures.entries} in the longest ledger",
        f"time      {phases}",
        *[f"audit     {line}" for line in result.audit],
        "",
        f"{good} of {len(result.outcomes)} expectations held",
    ]


def _study(arguments: argparse.Namespace) -> int:
    """Print the study's table."""
    progress = None if arguments.json else study_report.progress_line(sys.stderr)
    found = study.run_study(progress=progress)
    if arguments.json:
        print(json.dumps(study_report.to_json(found), indent=2))
    else:
        print(study_report.render_table(found), end="")
    return Exit.OK if found.holds else Exit.FAILED
