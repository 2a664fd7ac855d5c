"""Writes the report of a demo."""

import json
from dataclasses import asdict
from pathlib import Path

import msgspec

from seawall.testbed.demo import outcomes
from seawall.testbed.demo.runner import Result


def document_of(result: Result) -> dict[str, object]:
    """Return a demo as JSON values."""
    run = result.state.run
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "DemoResult",
        "spec": {
            "settings": msgspec.to_builtins(result.state.settings),
            "holds": result.holds,
            "schedule": [asdict(attack) for attack in result.schedule],
            "outcomes": outcomes.to_json(result.outcomes),
            "figures": msgspec.to_builtins(result.figures),
            "audit": list(result.audit),
            "run": msgspec.to_builtins(run),
        },
    }


def write_report(result: Result, directory: Path) -> dict[str, Path]:
    """Write table and JSON; return the paths by name."""
    paths = {"table": directory / "outcomes.txt", "json": directory / "result.json"}
    paths["table"].write_text(outcomes.render(result.outcomes), encoding="utf-8")
    paths["json"].write_text(json.dumps(document_of(result), indent=1) + "\n", encoding="utf-8")
    return paths
