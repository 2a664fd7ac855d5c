"""What the tidy tests look at: files of the checkout, and settings read from it."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "services" / "seawall"

# Pure by design; each is in the import contract `pure` as soon as it exists.
PURE_BY_DESIGN = (
    "seawall.aggregation.rules",
    "seawall.codec",
    "seawall.consensus.baselines",
    "seawall.consensus.dag",
    "seawall.consensus.engine",
    "seawall.consensus.replica",
    "seawall.crypto",
    "seawall.domain",
    "seawall.errors",
    "seawall.formats",
)


def settings() -> dict[str, Any]:
    """Return `pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def contract(name: str) -> dict[str, Any]:
    """Return the import contract `name`."""
    contracts = settings()["tool"]["importlinter"]["contracts"]
    return next(item for item in contracts if item["id"] == name)


def tracked(*suffixes: str) -> list[Path]:
    """Return the committed files that end in one of `suffixes` (all when none are given)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607  # git is found on the path, as everywhere
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    wanted = [path for path in paths if not suffixes or path.name.endswith(suffixes)]
    return [path for path in wanted if path.is_file()]


def python_files(folder: Path = ROOT) -> list[Path]:
    """Return the committed Python files below `folder`."""
    return [path for path in tracked(".py") if path.is_relative_to(folder)]


def place_of(module: str) -> Path:
    """Return the folder or file of a module, whether it exists or not."""
    stem = PACKAGE.parent.joinpath(*module.split("."))
    return stem if stem.is_dir() else stem.with_suffix(".py")


def pure_files() -> list[Path]:
    """Return the committed Python files of the pure cores."""
    places = [place_of(module) for module in PURE_BY_DESIGN]
    return [
        path
        for path in python_files(PACKAGE)
        if any(path == place or path.is_relative_to(place) for place in places)
    ]


def name_of(path: Path) -> str:
    """Return a path as it is written in the repository."""
    return path.relative_to(ROOT).as_posix()
