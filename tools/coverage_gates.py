"""Judge the coverage that pytest has recorded: 90 % overall, 100 % in the pure cores.

Run by `make test`. What counts as a pure core is read from the import contract of that name in
`pyproject.toml`, so there is one list. Both gates ask for branches, and for what exists.
"""

import io
import sys
import tomllib
from pathlib import Path

import coverage
from coverage.exceptions import NoDataError

ROOT = Path(__file__).resolve().parent.parent
OVERALL_PERCENT_MIN = 90.0
PURE_PERCENT_MIN = 100.0


def pure_cores(settings: Path) -> list[str]:
    """Return the modules of the import contract `pure`, sorted."""
    tool = tomllib.loads(settings.read_text(encoding="utf-8"))["tool"]
    contracts = tool["importlinter"]["contracts"]
    found = [contract for contract in contracts if contract["id"] == "pure"]
    assert len(found) == 1, "one contract is called pure"
    return sorted(found[0]["source_modules"])


def patterns(modules: list[str]) -> list[str]:
    """Return coverage patterns for each module and everything below it."""
    places = ["*/" + module.replace(".", "/") for module in modules]
    return [pattern for place in places for pattern in (f"{place}.py", f"{place}/*.py")]


def measure(data: coverage.Coverage, include: list[str] | None) -> tuple[float, str]:
    """Return the percentage over `include` (everything when None), and the table of gaps."""
    table = io.StringIO()
    try:
        return data.report(file=table, include=include), table.getvalue()
    except NoDataError:
        return 100.0, "nothing to cover yet\n"


def main() -> None:
    """Print both tables; exit 1 when a gate does not hold."""
    data = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    data.load()
    missed = []
    gates = (
        ("overall", None, OVERALL_PERCENT_MIN),
        ("pure cores", patterns(pure_cores(ROOT / "pyproject.toml")), PURE_PERCENT_MIN),
    )
    for name, include, least in gates:
        percent, table = measure(data, include)
        print(f"coverage, {name}: {percent:.2f} % (at least {least:.0f})\n{table}")
        if percent < least:
            missed.append(name)
    if missed:
        sys.exit(f"coverage too low: {', '.join(missed)}")


if __name__ == "__main__":
    main()
