"""Scripts stored beside these tests: one counterexample for each old rule."""

from pathlib import Path

import msgspec

from seawall.sim.fastpath.script import Script

CASES = Path(__file__).parent / "cases"


def stored(name: str) -> Script:
    """Return the stored script of a scenario."""
    return msgspec.json.decode((CASES / f"{name}.json").read_bytes(), type=Script)
