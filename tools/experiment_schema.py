"""Write `docs/experiment.schema.json`: the JSON Schema of experiments. `--check` only compares."""

import argparse
import json
import sys
from pathlib import Path

from seawall.chaos.experiment.schema import json_schema

PAGE = Path(__file__).resolve().parent.parent / "docs" / "experiment.schema.json"


def render() -> str:
    """Return the schema as text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def main() -> None:
    """Write the file, or compare it and exit 1 when it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    if not parser.parse_args().check:
        PAGE.write_text(render(), encoding="utf-8")
        print(f"{PAGE.name}: written")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render():
        sys.exit(f"{PAGE.name} is out of date; run: make format")


if __name__ == "__main__":
    main()
