"""The import contracts hold, and each kind of them notices a planted import."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy import checkout

LINTER = Path(sys.executable).parent / "lint-imports"
IGNORED = shutil.ignore_patterns("__pycache__")


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    """Check the package below `source` against the contracts of this checkout."""
    settings = checkout.ROOT / "pyproject.toml"
    return subprocess.run(
        [LINTER, "--config", settings, "--no-cache", "--no-logo"],
        check=False,
        capture_output=True,
        text=True,
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a source root whose copy of the package a test may change."""
    shutil.copytree(checkout.PACKAGE, tmp_path / "seawall", ignore=IGNORED)
    return tmp_path


def test_every_contract_is_kept() -> None:
    answer = lint(checkout.PACKAGE.parent)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("domain/planted", "import seawall.crypto.hashing", "seawall.domain -> seawall.crypto"),
        (
            "ledger/planted",
            "import seawall.integrity",
            "seawall.ledger.planted -> seawall.integrity",
        ),
        ("attic/__init__", "", "attic"),
        ("crypto/planted", "import time", "seawall.crypto.planted -> time"),
        ("consensus/dag/planted", "import random", "seawall.consensus.dag.planted -> random"),
        ("formats/planted", "import google.protobuf", "seawall.formats.planted -> google"),
        ("ledger/planted", "import seawall.api.v1", "seawall.ledger.planted -> seawall.api"),
        ("integrity/planted", "import lmdb", "seawall.integrity.planted -> lmdb"),
        ("ledger/planted", "import grpc.aio", "seawall.ledger.planted -> grpc"),
        ("client/planted", "import sklearn", "seawall.client.planted -> sklearn"),
    ],
)
def test_a_planted_import_is_caught(copy: Path, module: str, line: str, complaint: str) -> None:
    place = copy / "seawall" / f"{module}.py"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f'"""Planted."""\n{line}\n', encoding="utf-8")
    answer = lint(copy)
    assert answer.returncode != 0
    told = " ".join(answer.stdout.split())
    assert complaint in told or complaint.replace(" -> ", " is not allowed to import ") in told


def test_a_planted_detour_to_the_clock_is_caught(copy: Path) -> None:
    (copy / "seawall" / "errors.py").write_text('"""Planted."""\nimport time\n', encoding="utf-8")
    answer = lint(copy)
    assert answer.returncode != 0
    assert "seawall.errors -> time" in answer.stdout
