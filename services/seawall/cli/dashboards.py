"""Write Grafana dashboards and Prometheus rules into a directory, or compare what is there."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.errors import OperationalError
from seawall.testbed.monitoring import grafana, rules
from seawall.testbed.monitoring.boards import BOARDS

RULES: Final = "rules/seawall.yaml"
OUT_DEFAULT: Final = "monitoring"


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    hint = f"directory to write dashboards/ and rules/ into (default: {OUT_DEFAULT})"
    parser.add_argument("--out", type=Path, default=Path(OUT_DEFAULT), metavar="DIR", help=hint)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")


def run(arguments: argparse.Namespace) -> int:
    """Write the files, or say which of them are not what would be written."""
    wanted = files()
    if not arguments.check:
        _write(arguments.out, wanted)
        console.emit(arguments, {"written": list(wanted)}, [f"{name}: written" for name in wanted])
        return Exit.OK
    stale = differing(arguments.out, wanted)
    lines = [f"{arguments.out / name} is out of date" for name in stale]
    console.emit(arguments, {"stale": stale}, lines or [f"{len(wanted)} files are up to date"])
    return Exit.FAILED if stale else Exit.OK


def files() -> dict[str, str]:
    """Return the content of every file by its path below the directory."""
    return {
        **{f"dashboards/{board.name}.json": grafana.render(board) for board in BOARDS},
        RULES: rules.render(),
    }


def differing(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return the files that are missing, differ, or should not be there, in order."""
    found = {
        str(path.relative_to(directory)): path.read_text("utf-8")
        for folder in ("dashboards", "rules")
        for path in sorted((directory / folder).glob("*.*"))
    }
    names = sorted({**wanted, **found})
    return [name for name in names if wanted.get(name) != found.get(name)]


def _write(directory: Path, wanted: Mapping[str, str]) -> None:
    try:
        for name, text in wanted.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as fault:
        hint = f"cannot write {fault.filename}: {fault.strerror}"
        raise OperationalError("CLI_FILE", hint, field="--out") from fault
