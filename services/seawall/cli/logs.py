"""Show what sites have logged, in the order of time; `--json` prints the lines as they are.

With `--trace` what one site accepted and concluded, for checking outside.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.site_trace import read_site

TAIL_BYTES_MAX = 4 << 20
LEVELS = ("debug", "info", "warning", "error", "critical")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_directory(parser)
    parser.add_argument("sites", nargs="*", metavar="SITE", help="names; all when none is given")
    parser.add_argument("--lines", type=int, default=100, help="newest lines (default: 100)")
    parser.add_argument("--level", choices=LEVELS, default="debug", help="least level to show")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="write what one site accepted and concluded"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the newest lines of the sites' logs."""
    directory = NetworkDirectory(arguments.dir)
    genesis, origin = console.read_genesis(directory.genesis)
    known = [site.name for site in genesis.sites]
    unknown = [name for name in arguments.sites if name not in known]
    if unknown:
        raise LocalError("SITE_UNKNOWN", f"choose among {', '.join(known)}", field="SITE")
    if arguments.trace is not None:
        return write_trace(arguments, directory, genesis, origin)
    least = LEVELS.index(arguments.level)
    events = [
        event
        for name in arguments.sites or known
        for event in read_events(directory.site(name), name)
        if LEVELS.index(str(event.get("level", "critical"))) >= least
    ]
    events.sort(key=lambda event: str(event.get("time", "")))
    for event in events[-arguments.lines :]:
        print(json.dumps(event) if arguments.json else line_of(event))
    return Exit.OK


def write_trace(
    arguments: argparse.Namespace, directory: NetworkDirectory, genesis: Genesis, origin: str
) -> int:
    """Write the trace of one site, from its data directory; the site may run."""
    if len(arguments.sites) != 1:
        raise LocalError("SITE_UNKNOWN", "name the one site whose trace you want", field="SITE")
    (name,) = arguments.sites
    index = [site.name for site in genesis.sites].index(name)
    data = directory.data(name) / "consensus"
    traced = read_site(data, index, genesis.committee(origin), genesis.consensus)
    arguments.trace.write_bytes(traced.json())
    document = {"blocks": len(traced.blocks), "commits": len(traced.commits)}
    blocks, commits = document["blocks"], document["commits"]
    lines = [f"{arguments.trace}: {blocks} blocks, {commits} commits of {name}"]
    console.emit(arguments, document, lines)
    return Exit.OK


def read_events(site: Path, name: str) -> Iterator[dict[str, object]]:
    """Yield the events at the end of a site's logs; a line that is no JSON is an event, too."""
    for path in sorted(site.glob("*.log")):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES_MAX))
            lines = file.read().decode(errors="replace").splitlines()
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": line, "level": "critical"}
            if isinstance(event, dict):
                yield {**event, "site": name, "process": path.stem}


def line_of(event: dict[str, object]) -> str:
    """Return one event as a line: time, site, level, event, fields."""
    known = ("time", "site", "process", "level", "event", "origin")
    fields = " ".join(f"{key}={value}" for key, value in event.items() if key not in known)
    time = str(event.get("time", ""))[11:23]
    site, process = str(event.get("site")), str(event.get("process"))
    name = site if process == "site" else f"{site}/{process}"
    head = f"{time:<12} {name:<8} {event.get('level')!s:<8} {event.get('event')}"
    return f"{head} {fields}".rstrip()
