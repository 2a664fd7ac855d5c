"""Compile the wire contract into Python modules and their type stubs.

Runs on every install as a hatch build hook, and alone: `python tools/build_stubs.py`. The output
is never committed: stubs newer than the installed protobuf runtime refuse to import, and
generated diffs bury reviews (docs/decisions/0003).
"""

import os
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONTRACT = Path("seawall/api/v1")


def plugin_path(name: str) -> str:
    """Return the path of a protoc plug-in: beside this interpreter, or on PATH.

    Beside the interpreter comes first, for environments that are used without activation.

    Raises:
        SystemExit: the plug-in is not installed.

    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        raise SystemExit(f"{name} is missing: install mypy-protobuf, or run `make setup`")
    return found


def compile_into(target: Path, root: Path) -> None:
    """Compile every `.proto` of the contract under `root` into `target`.

    Raises:
        SystemExit: no source was found, or the compiler refused one; it has said why.

    """
    sources = sorted(str(path) for path in (root / "proto" / CONTRACT).glob("*.proto"))
    if not sources:
        raise SystemExit(f"no .proto file in proto/{CONTRACT}")
    code = protoc.main(
        [
            "protoc",
            f"--proto_path={root / 'proto'}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={plugin_path('protoc-gen-mypy')}",
            f"--plugin=protoc-gen-mypy_grpc={plugin_path('protoc-gen-mypy_grpc')}",
            *(f"--{output}_out={target}" for output in ("python", "grpc_python")),
            *(f"--{output}_out=quiet:{target}" for output in ("mypy", "mypy_grpc")),
            *sources,
        ]
    )
    if code != 0:
        raise SystemExit(f"the contract does not compile (protoc exit code {code})")


def build(root: Path) -> list[Path]:
    """Bring the generated modules of the checkout `root` up to date; return what changed.

    Files whose bytes are right stay untouched, stale ones are removed, and each replacement is
    atomic, so that a running program never imports half a module.
    """
    home = root / "services" / CONTRACT
    changed = []
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        compile_into(Path(scratch), root)
        fresh = {path.name: path for path in (Path(scratch) / CONTRACT).iterdir()}
        for stale in sorted(home.glob("*_pb2*")):
            if stale.name not in fresh:
                stale.unlink()
                changed.append(stale)
        for name, path in sorted(fresh.items()):
            old = home / name
            if not old.exists() or old.read_bytes() != path.read_bytes():
                path.replace(old)
                changed.append(old)
    if changed:
        # mypy remembers modules that were missing, and goes on believing it.
        shutil.rmtree(root / ".mypy_cache", ignore_errors=True)
    return changed


class StubsHook(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is hatchling's own
    """Compile the contract before hatchling collects the package's files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the stubs; `version` and `build_data` are hatchling's, and stay as they are."""
        del version, build_data
        build(Path(self.root))


if __name__ == "__main__":
    updated = build(Path(__file__).resolve().parent.parent)
    print(f"stubs: {len(updated)} files changed")
