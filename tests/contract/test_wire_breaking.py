"""The wire contract may grow; what exists may not change. Judged by buf, against the baseline."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
BASELINE = PROTO / "baseline.binpb"
FIELD = re.compile(r"^  (?:repeated |optional )?[\w.]+ (\w+) = (\d+);", re.MULTILINE)


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run buf, which is installed beside this interpreter."""
    program = Path(sys.executable).parent / "buf"
    return subprocess.run([program, *arguments], check=False, capture_output=True, text=True)


def breaking(proto: Path) -> subprocess.CompletedProcess[str]:
    """Compare a contract with the committed baseline."""
    return buf("breaking", str(proto), "--against", str(BASELINE))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the contract that a test may change."""
    return Path(shutil.copytree(PROTO, tmp_path / "proto"))


def types(proto: Path) -> Path:
    """Return the file of shared types."""
    return proto / "seawall" / "api" / "v1" / "types.proto"


def edit(proto: Path, replacement: str) -> str:
    """Replace the first field of the shared types; return the field's name."""
    page = types(proto).read_text(encoding="utf-8")
    found = FIELD.search(page)
    assert found is not None, "the shared types have a field"
    changed = FIELD.sub(lambda match: match.expand(replacement), page, count=1)
    types(proto).write_text(changed, encoding="utf-8")
    return found[1]


def test_the_contract_follows_the_style_rules() -> None:
    answer = buf("lint", str(PROTO))
    assert answer.returncode == 0, answer.stdout


def test_today_breaks_nothing() -> None:
    answer = breaking(PROTO)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_an_added_field_breaks_nothing(copy: Path) -> None:
    edit(copy, r"\g<0>\n  // Added.\n  string added_by_a_test = 536870911;")
    answer = breaking(copy)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("replacement", "complaint"),
    [
        ("", "was deleted"),
        (r"  string \1 = 536870911;", "was deleted"),
        (r"  string renamed_by_a_test = \2;", "changed"),
        (r"  map<string, bytes> \1 = \2;", "changed"),
    ],
    ids=["removed", "renumbered", "renamed", "retyped"],
)
def test_a_changed_field_is_caught(copy: Path, replacement: str, complaint: str) -> None:
    edit(copy, replacement)
    answer = breaking(copy)
    assert answer.returncode != 0
    assert complaint in answer.stdout, answer.stdout + answer.stderr


def test_a_removed_file_is_caught(copy: Path) -> None:
    (copy / "seawall" / "api" / "v1" / "fault_plane.proto").unlink()
    answer = breaking(copy)
    assert answer.returncode != 0
    assert "fault_plane.proto" in answer.stdout


def test_a_field_without_a_comment_is_caught(copy: Path) -> None:
    edit(copy, r"\g<0>\n\n  string silent = 536870911;")
    answer = buf("lint", str(copy))
    assert answer.returncode != 0
    assert "silent" in answer.stdout
