"""Write `docs/openapi.json`: the HTTP side of ingestion as OpenAPI. `--check` only compares."""

import argparse
import json
import sys
from pathlib import Path

from seawall.ingestion.http.app import describe

PAGE = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def render() -> str:
    """Return the document as text."""
    return json.dumps(describe(), indent=2) + "\n"


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
