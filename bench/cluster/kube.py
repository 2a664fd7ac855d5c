"""kubectl and helm against one namespace of the cluster that KUBECONFIG names."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

SECONDS_MAX = 60.0
"""One command that waits for nothing."""

PERIOD_SECONDS = 1.0
OUTPUT_LINES_MAX = 12


class StepError(Exception):
    """A step did not do what it should; the message goes into the table."""


class SkipError(Exception):
    """A step cannot be done on this cluster; the message says why."""


def run(
    words: Sequence[object], seconds: float = SECONDS_MAX, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it said.

    Raises:
        StepError: it does not end in time.

    """
    command = list(map(str, words))
    try:
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise StepError(f"{' '.join(command[:4])} does not end within {seconds:.0f} s") from None


def demand(words: Sequence[object], seconds: float = SECONDS_MAX, text: str | None = None) -> str:
    """Run a command that must succeed, and return its standard output.

    Raises:
        StepError: with the end of what it said.

    """
    done = run(words, seconds, text)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-OUTPUT_LINES_MAX:])
        raise StepError(f"{' '.join(map(str, words[:4]))}: exit code {done.returncode}: {said}")
    return done.stdout


def pause(seconds: float) -> None:
    """Let the cluster go on for a while."""
    time.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """One namespace, and the programs that speak to it; `patience` multiplies every limit."""

    kubectl: str
    helm: str
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    patience: float = 1.0

    def kube(self, *words: object, seconds: float = SECONDS_MAX, text: str | None = None) -> str:
        """Return what kubectl says about this namespace."""
        words = (self.kubectl, "-n", self.name, *words)
        return demand(words, seconds * self.patience, text)

    def read(self, *words: object) -> dict[str, Any]:
        """Return an object, or a list of them, as JSON values."""
        document: dict[str, Any] = json.loads(self.kube("get", *words, "-o", "json"))
        return document

    def items(self, *words: object) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        found: list[dict[str, Any]] = self.read(*words)["items"]
        return found

    def charts(self, *words: object, seconds: float = SECONDS_MAX) -> str:
        """Return what helm says about this namespace."""
        return demand((self.helm, "-n", self.name, *words), seconds * self.patience)

    def limit(self, seconds: float) -> str:
        """Return a limit as kubectl and helm take it."""
        return f"{seconds * self.patience:.0f}s"

    def until(self, true: Callable[[], bool], seconds: float, what: str) -> float:
        """Return after how many seconds `true` holds.

        Raises:
            StepError: it does not within `seconds`.

        """
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > seconds * self.patience:
                raise StepError(f"not within {self.limit(seconds)}: {what}")
            pause(PERIOD_SECONDS)
        return time.monotonic() - began

    def create(self) -> None:
        """Create it, under the restricted pod security standard."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, "labels": self.labels},
        }
        demand((self.kubectl, "create", "-f", "-"), text=json.dumps(manifest))

    def remove(self, seconds: float = 180.0) -> None:
        """Remove it with all that is in it, if it is there."""
        words = ("delete", "namespace", self.name, "--ignore-not-found", "--wait")
        demand((self.kubectl, *words), seconds * self.patience)


def is_ready(item: dict[str, Any]) -> bool:
    """Tell whether a pod or node says that it is ready."""
    conditions = item.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
