"""The actuator that ends pods and keeps them away, and the probe that sees whether they are gone.

A StatefulSet starts a pod again as soon as it is gone, so keeping a site down is to delete its pods
again. Nothing of that is left in the cluster: when the runner dies, the site comes back by itself.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from seawall.chaos.runner.injection import Confirmation, Injection
from seawall.chaos.runner.planning import WIPE
from seawall.errors import OperationalError, SeawallError
from seawall.testbed.chaos.cluster_sites import ClusterSites
from seawall.testbed.cluster_api import POD, VOLUME

AGAIN_SECONDS: Final = 0.5
"""How soon a pod that has come back is deleted again; none gets ready in that time."""

VOLUME_OF: Final = "data-{pod}"
"""Name of a pod's volume claim, as the chart's StatefulSets have it."""


class PodActuator:
    """Implements `chaos.runner.protocols.Actuator`; an asynchronous context manager."""

    def __init__(self, sites: ClusterSites) -> None:
        """Act on the pods of these sites."""
        self._sites = sites
        self._down: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._keeping = self._group.create_task(self._keep(), name="pods-down")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._keeping.cancel()
        await self._group.__aexit__(None, None, None)

    async def apply(self, injection: Injection, lease_seconds: int) -> None:
        """Delete a site's pods without grace, with their volumes for `wipe`; keep them away."""
        del lease_seconds
        self._down[injection.id] = injection.site
        if injection.kind == WIPE:
            await asyncio.to_thread(self._wipe, injection.site)
        await asyncio.to_thread(self._kill, injection.site)

    async def renew(self, injection: Injection, lease_seconds: int) -> None:
        """Do nothing: what keeps them away is this process."""
        del lease_seconds
        if injection.id not in self._down:
            raise OperationalError("CHAOS_HOLD", "the site is not kept down any more")

    async def revert(self, injection: Injection) -> None:
        """Let the pods come back."""
        self._down.pop(injection.id, None)

    async def active(self, site: int) -> tuple[str, ...]:
        """Return the ids of what keeps a site down."""
        return tuple([name for name, down in self._down.items() if down == site])

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            for site in dict.fromkeys(self._down.values()):
                try:
                    await asyncio.to_thread(self._kill, site)
                except SeawallError:
                    # Asked again at once; a site that comes back meanwhile is seen by the probe.
                    continue

    def _kill(self, site: int) -> None:
        for pod in self._sites.pods(site):
            self._sites.objects.delete(POD, pod, grace_seconds=0)

    def _wipe(self, site: int) -> None:
        # A claim that is in use goes when its pod does.
        for pod in self._sites.pods(site):
            self._sites.objects.delete(VOLUME, VOLUME_OF.format(pod=pod))


async def evict(sites: ClusterSites, site: int) -> tuple[str, ...]:
    """Ask the pods of a site to leave, as a drain does; return those that their budget keeps.

    Raises:
        OperationalError: PKI_API.

    """
    return tuple(
        [pod for pod in sites.pods(site) if not await asyncio.to_thread(sites.objects.evict, pod)]
    )


class PodProbe:
    """A crash is real when none of the pods that ran before it is there and ready.

    Asks the API server, which hears of it from the kubelets, not from the runner.
    """

    def __init__(self, sites: ClusterSites, selector: str, hit: Sequence[int]) -> None:
        """Look at the pods of these sites among those that match the selector."""
        self._sites = sites
        self._selector = selector
        self._hit = tuple(hit)
        self._before: dict[str, str] = {}

    async def begin(self) -> None:
        """Note which pods are there."""
        self._before = await asyncio.to_thread(self._ready)

    async def look(self) -> Confirmation:
        """Say of how many sites all pods have gone."""
        now = await asyncio.to_thread(self._ready)
        gone = [
            site
            for site in self._hit
            if self._known(site) and not any(pod in now for pod in self._sites.pods(site))
        ]
        evidence = f"no pod of {len(gone)} of {len(self._hit)} sites is ready any more"
        return Confirmation(is_seen=bool(gone) and len(gone) == len(self._hit), evidence=evidence)

    def _known(self, site: int) -> bool:
        return all(pod in self._before for pod in self._sites.pods(site))

    def _ready(self) -> dict[str, str]:
        """Return name and uid of every pod that is ready."""
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in self._sites.objects.pods(self._selector)
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in pod.get("status", {}).get("conditions", ())
            )
        }
