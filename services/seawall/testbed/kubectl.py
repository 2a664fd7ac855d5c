"""kubectl, and the other programs of a laptop that speaks to a cluster.

Whoever has a cluster has kubectl with its access set up: certificates, tokens, plugins of a cloud.
Pods have none of these, and speak HTTPS themselves: see `cluster_api`.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from seawall.errors import LocalError, OperationalError

SECONDS_MAX: Final = 30.0
SAID_BYTES_MAX: Final = 400
WHERE: Final = {
    "kubectl": "https://kubernetes.io/docs/tasks/tools/",
    "helm": "https://helm.sh/docs/intro/install",
    "kind": "https://kind.sigs.k8s.io",
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program on the path."""

    name: str

    def run(self, *words: str, seconds: float = SECONDS_MAX, text: str = "") -> str:
        """Return its standard output.

        Raises:
            LocalError: CLUSTER_PROGRAM when it is not on the path.
            OperationalError: CLUSTER_COMMAND with the end of what it said, or when it does not
                end in time.

        """
        done = self.finish(*words, seconds=seconds, text=text)
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[-SAID_BYTES_MAX:]
            hint = f"{self.name} {words[0]}: exit code {done.returncode}: {said}"
            raise OperationalError("CLUSTER_COMMAND", hint)
        return done.stdout

    def finish(
        self, *words: str, seconds: float = SECONDS_MAX, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Return how it ended, whatever its exit code.

        Raises:
            LocalError: CLUSTER_PROGRAM.
            OperationalError: CLUSTER_COMMAND when it does not end in time.

        """
        try:
            return subprocess.run(  # noqa: S603 - the program was found, words are no shell's
                [self.path(), *words],
                check=False,
                capture_output=True,
                text=True,
                input=text,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as fault:
            hint = f"{self.name} {words[0]} does not end within {seconds:g} s"
            raise OperationalError("CLUSTER_COMMAND", hint) from fault

    def follow(self, words: Sequence[str]) -> int:
        """Let it write to our own output, and return its exit code; ends when it does.

        Raises:
            LocalError: CLUSTER_PROGRAM.

        """
        return subprocess.call([self.path(), *words])  # noqa: S603 - as in finish

    def path(self) -> str:
        """Return where it is.

        Raises:
            LocalError: CLUSTER_PROGRAM.

        """
        found = shutil.which(self.name)
        if found is None:
            hint = f"{self.name} is not on the path: see {WHERE[self.name]}"
            raise LocalError("CLUSTER_PROGRAM", hint)
        return found


KUBECTL: Final = Program("kubectl")
HELM: Final = Program("helm")
KIND: Final = Program("kind")


def objects(*words: str) -> tuple[dict[str, Any], ...]:
    """Return the objects that `kubectl get` lists.

    Raises:
        LocalError: CLUSTER_PROGRAM.
        OperationalError: CLUSTER_COMMAND.

    """
    document = json.loads(KUBECTL.run("get", *words, "--output=json"))
    return tuple(document["items"])
