"""Reads the committed vectors."""

import json
from pathlib import Path
from typing import Any

_GOLDEN = Path(__file__).parents[2] / "golden"


def read_json(name: str) -> Any:  # noqa: ANN401 -- what a JSON file holds
    """Return the content of `tests/golden/<name>`."""
    return json.loads((_GOLDEN / name).read_text(encoding="utf-8"))


def read_bytes(name: str) -> bytes:
    """Return the bytes of `tests/golden/<name>`."""
    return (_GOLDEN / name).read_bytes()
