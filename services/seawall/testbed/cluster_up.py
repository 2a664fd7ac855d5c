"""Puts a release of the chart onto a cluster: one that is there, or a new one by kind."""

from pathlib import Path
from typing import Final

import msgspec

from seawall.testbed.kubectl import HELM, KIND, KUBECTL

KIND_SECONDS_MAX: Final = 600.0
INSTALL_SECONDS_MAX: Final = 300
KIND_CLUSTER: Final = "seawall"
"""As k8s/kind/cluster.yaml names it."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release goes: its name, namespace, chart, values, and image as repository:tag."""

    release: str
    namespace: str
    chart: Path
    values: tuple[Path, ...]
    image: str

    def words(self) -> tuple[str, ...]:
        """Return the words of helm."""
        files = [word for path in self.values for word in ("--values", str(path))]
        repository, _, tag = self.image.rpartition(":")
        image = [f"--set=image.repository={repository}", f"--set=image.tag={tag}"]
        return (
            *("upgrade", "--install", self.release, str(self.chart)),
            *("--namespace", self.namespace, "--create-namespace"),
            *files,
            *(image if self.image else ()),
            *("--wait", f"--timeout={INSTALL_SECONDS_MAX}s"),
        )


def create_kind(config: Path, image: str) -> bool:
    """Create the cluster of a kind configuration unless it is there, and load the image into it.

    Returns whether it was created. kubectl speaks to it from then on.

    Raises:
        LocalError: CLUSTER_PROGRAM.
        OperationalError: CLUSTER_COMMAND.

    """
    there = KIND_CLUSTER in KIND.run("get", "clusters").split()
    if not there:
        KIND.run("create", "cluster", f"--config={config}", "--wait=120s", seconds=KIND_SECONDS_MAX)
    else:
        KUBECTL.run("config", "use-context", f"kind-{KIND_CLUSTER}")
    KIND.run("load", "docker-image", image, f"--name={KIND_CLUSTER}", seconds=KIND_SECONDS_MAX)
    return not there


def install(placement: Placement) -> str:
    """Install a release, or upgrade the one that is there; return what the chart says then.

    Raises:
        LocalError: CLUSTER_PROGRAM.
        OperationalError: CLUSTER_COMMAND with the end of what helm said.

    """
    return HELM.run(*placement.words(), seconds=INSTALL_SECONDS_MAX + 30.0)


def remove(release: str, namespace: str) -> str:
    """Uninstall a release; keys, genesis and volumes stay.

    Raises:
        LocalError: CLUSTER_PROGRAM.
        OperationalError: CLUSTER_COMMAND.

    """
    words = ("uninstall", release, f"--namespace={namespace}", "--wait")
    return HELM.run(*words, seconds=INSTALL_SECONDS_MAX)
