"""The programs that a run needs: where they are, and how to get those that are missing."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@latest"
COMPILED = ROOT / "build" / "programs"
COMPILE_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, the variable that names another one, and how it is got."""

    name: str
    variable: str
    hint: str

    def find(self) -> str | None:
        """Return its path, None when it is not there."""
        return shutil.which(os.environ.get(self.variable, self.name))


KUBECTL = Program(
    name="kubectl", variable="KUBECTL", hint="see https://kubernetes.io/docs/tasks/tools/"
)
HELM = Program(name="helm", variable="HELM", hint="see https://helm.sh/docs/intro/install")


def missing(programs: tuple[Program, ...] = (KUBECTL, HELM)) -> list[str]:
    """Return a line for each program that is not there."""
    return [
        f"{one.name} is not on the path: {one.hint}, or name it with {one.variable}=/path/to/it"
        for one in programs
        if one.find() is None
    ]


def grpcurl() -> tuple[str | None, str]:
    """Return the path of grpcurl, compiled where only Go is there; else None and the reason."""
    named = shutil.which(os.environ.get("GRPCURL", "grpcurl"))
    compiled = COMPILED / "grpcurl"
    if named or compiled.exists():
        return named or str(compiled), ""
    go = shutil.which("go")
    if go is None:
        return None, f"no grpcurl and no Go to compile it: go install {GRPCURL}"
    return _compile(go, compiled)


def _compile(go: str, place: Path) -> tuple[str | None, str]:
    place.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(place.parent)}
    try:
        subprocess.run(
            [go, "install", GRPCURL],
            check=True,
            capture_output=True,
            cwd=place.parent,
            env=environment,
            timeout=COMPILE_SECONDS_MAX,
        )
    except (OSError, subprocess.SubprocessError) as fault:
        return None, f"grpcurl does not compile: {fault}"
    return str(place), ""
