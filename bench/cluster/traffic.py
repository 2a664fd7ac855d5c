"""The load: a pod of the image that pushes updates until it is told to stop."""

import json
from pathlib import Path
from string import Template
from typing import Any, Final

from bench.cluster.kube import Namespace, StepError
from bench.cluster.release import RELEASE

SCRIPT: Final = Path(__file__).with_name("load.py")
POD: Final = Path(__file__).with_name("load.yaml")
WORK: Final = "/var/load"
STARTED_SECONDS_MAX: Final = 90.0
PROGRESS_SECONDS_MAX: Final = 90.0
DONE_SECONDS_MAX: Final = 480.0
LINES_MAX: Final = 400
CONTRIBUTORS: Final = 6
OTHERS: Final = 8


class Traffic:
    """One run of the load; `number` chooses its contributors, so that runs share none."""

    def __init__(self, namespace: Namespace, image: str, number: int, rate: float) -> None:
        """Prepare it; nothing runs yet."""
        self.namespace = namespace
        self.name = f"load-{number}"
        self._image = image
        # The first ones sign for `helm test`, and load the sites in chaos experiments.
        self._first = OTHERS + number * CONTRIBUTORS
        self._rate = rate

    def start(self) -> str:
        """Start the pod and wait until updates are acknowledged."""
        text = SCRIPT.read_text("utf-8")
        script = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name},
            "data": {SCRIPT.name: text},
        }
        self.namespace.kube("create", "-f", "-", text=json.dumps(script))
        self.namespace.kube("create", "-f", "-", text=self._pod())
        spent = self.namespace.until(
            lambda: self.acknowledged() > 0, STARTED_SECONDS_MAX, "an acknowledged update"
        )
        return f"{self._rate:.0f} updates/s, the first committed after {spent:.0f} s"

    def acknowledged(self) -> int:
        """Return how many updates were acknowledged so far, 0 before the first report."""
        counts = self._last("progress")
        return 0 if counts is None else int(counts["acknowledged"])

    def goes_on(self, seconds: float = PROGRESS_SECONDS_MAX) -> float:
        """Return after how many seconds more updates than now are acknowledged.

        Raises:
            StepError: none is within `seconds`.

        """
        now = self.acknowledged()
        return self.namespace.until(
            lambda: self.acknowledged() > now, seconds, "updates go on being committed"
        )

    def stop(self) -> dict[str, Any]:
        """End the load; return its result once every acknowledged update was looked up."""
        words = ("python3", "-c", f"open('{WORK}/STOP', 'w').close()")
        self.namespace.kube("exec", self.name, "--", *words)
        self.namespace.until(
            lambda: self._phase() in ("Succeeded", "Failed"),
            DONE_SECONDS_MAX,
            "a result of the load",
        )
        result = self._last("result")
        if result is None:
            said = self.namespace.kube("logs", self.name, "--tail=8")
            raise StepError(f"the load ended without a result: {said}")
        self.namespace.kube("delete", f"pod/{self.name}", f"configmap/{self.name}")
        return result

    def _phase(self) -> str:
        return str(self.namespace.read("pod", self.name)["status"].get("phase"))

    def _last(self, kind: str) -> dict[str, Any] | None:
        if self._phase() == "Pending":
            return None
        said = self.namespace.kube("logs", self.name, f"--tail={LINES_MAX}")
        for line in reversed(said.splitlines()):
            document = json.loads(line) if line.startswith("{") else {}
            if kind in document:
                found: dict[str, Any] = document[kind]
                return found
        return None

    def _pod(self) -> str:
        text = Template(POD.read_text("utf-8"))
        return text.substitute(
            NAME=self.name,
            IMAGE=self._image,
            RELEASE=RELEASE,
            WORK=WORK,
            RATE=self._rate,
            FIRST=self._first,
            COUNT=CONTRIBUTORS,
        )
