"""Runs an experiment on a release on Kubernetes, from the runner's pod."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from seawall.chaos.experiment.faults import Crash
from seawall.chaos.experiment.reading import Loaded
from seawall.chaos.experiment.schema import Experiment
from seawall.chaos.runner.core import Core
from seawall.chaos.runner.driver import Driver, Hear
from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.planning import CLIENT, PLANE, PROCESS, terrain_of
from seawall.chaos.runner.protocols import Actuator, Probe
from seawall.chaos.runner.records import Began
from seawall.errors import LocalError
from seawall.testbed.chaos.cluster_journal import REPORT, VERDICT, ConfigMapJournal
from seawall.testbed.chaos.cluster_sites import (
    ClusterSites,
    open_sites,
    recover_states,
    require_allowed,
)
from seawall.testbed.chaos.conclusion import conclude
from seawall.testbed.chaos.flood import FloodActuator
from seawall.testbed.chaos.ledgers import SiteLedgers
from seawall.testbed.chaos.load import OpenLoad
from seawall.testbed.chaos.local import (
    clients_of,
    clock_from_now,
    expected_of,
    flooders,
    plane_of,
    preflight,
    refuse,
    schedule_of,
    task_of,
    until_ready,
)
from seawall.testbed.chaos.platform import LocalPlatform
from seawall.testbed.chaos.pods import PodActuator, PodProbe
from seawall.testbed.chaos.probes import Eyes
from seawall.testbed.chaos.run_directory import RunDirectory
from seawall.testbed.chaos.terrain import terrain
from seawall.testbed.cluster_api import KubernetesObjects
from seawall.testbed.experiment.outcome import Result
from seawall.testbed.observer import Observer

KUBERNETES: Final = "kubernetes"


@dataclass(slots=True, kw_only=True)
class ClusterRun:
    """How to run.

    Attributes:
        objects: the namespace of the release.
        release: its name, as its pods' labels have it.
        home: where files of the run go.
        journal: where its records go.
        stop: ends the run early, with a rollback.
        hear: is told what is done.
        lease_seconds: how long a fault outlives its runner at most.

    """

    objects: KubernetesObjects
    release: str
    home: RunDirectory
    journal: ConfigMapJournal
    stop: asyncio.Event
    hear: Hear
    lease_seconds: int = 30

    @property
    def selector(self) -> str:
        """Return what selects the pods of the release's sites."""
        return f"app.kubernetes.io/instance={self.release},seawall.dev/site=true"


def journal_of(objects: KubernetesObjects, release: str, run: str) -> ConfigMapJournal:
    """Return where the records of a run go."""
    labels = {"app.kubernetes.io/name": "seawall", "app.kubernetes.io/instance": release}
    return ConfigMapJournal(objects, f"{release}-{run}".lower(), labels)


@dataclass(slots=True, kw_only=True)
class ClusterPlatform(LocalPlatform):
    """Implements `chaos.runner.protocols.Platform`; what it looks at are pods, not processes."""

    cluster: ClusterSites
    selector: str

    @property
    def place(self) -> str:
        """Return namespace and release."""
        return f"{self.cluster.objects.namespace}/{self.selector}"

    def probe(self, fault: int, injections: tuple[Injection, ...]) -> Probe:
        """Return a probe for a fault that is about to begin."""
        if isinstance(self.experiment.spec.faults[fault].detail, Crash):
            hit = [injection.site for injection in injections]
            return PodProbe(self.cluster, self.selector, hit)
        return LocalPlatform.probe(self, fault, injections)


async def run_cluster(loaded: Loaded, run: ClusterRun) -> Result:
    """Run an experiment; whatever happens, its faults are reverted, or end by their leases.

    Raises:
        LocalError: CHAOS_NAMESPACE, CHAOS_UNSUPPORTED, CHAOS_SITES, CHAOS_TARGET, CHAOS_TASK;
            nothing was injected.
        OperationalError: CHAOS_MOUNT, PKI_API, SITE_START, CHAOS_LOAD, CHAOS_TIME.

    """
    refuse(loaded)
    await asyncio.to_thread(require_allowed, run.objects)
    experiment = loaded.experiment
    async with AsyncExitStack() as stack:
        sites = await stack.enter_async_context(open_sites(run.objects, run.home.sites))
        _require_size(sites, experiment.spec.topology.sites)
        observer = await stack.enter_async_context(Observer(sites.chain.genesis))
        await until_ready(observer, len(sites.names))
        await recover_states(sites, observer)
        clock = clock_from_now()
        clients = clients_of(sites, experiment, task_of(sites, experiment))
        load = await stack.enter_async_context(
            OpenLoad(clients, experiment.spec.workload, experiment.spec.seed, clock)
        )
        flooding = await stack.enter_async_context(FloodActuator(flooders(sites, experiment)))
        pods = await stack.enter_async_context(PodActuator(sites))
        plane = plane_of(sites, experiment)
        eyes = Eyes(
            observer=observer,
            processes=sites.processes,
            samples=load.samples,
            clock=clock,
            plane=plane,
            flooding=flooding,
        )
        actuators: dict[str, Actuator] = {PLANE: plane, PROCESS: pods, CLIENT: flooding}
        platform = _platform(experiment, run, sites, eyes, actuators, load)
        await preflight(loaded, platform)
        await run.journal.write(_began(experiment, run, platform, clock()))
        far = terrain_of(experiment, run.home.name)
        await stack.enter_async_context(terrain(far, plane, run.journal, clock))
        core = Core(schedule_of(experiment, run.lease_seconds))
        await Driver(core, platform, clock, run.hear).run(run.stop)
    return conclude(loaded, KUBERNETES, core, load, platform.ledgers, platform.primaries_of)


def _platform(
    experiment: Experiment,
    run: ClusterRun,
    sites: ClusterSites,
    eyes: Eyes,
    actuators: dict[str, Actuator],
    load: OpenLoad,
) -> ClusterPlatform:
    return ClusterPlatform(
        experiment=experiment,
        run=run.home.name,
        sites=sites,
        cluster=sites,
        selector=run.selector,
        eyes=eyes,
        actuators=actuators,
        journal=run.journal,
        workload=load,
        ledgers=SiteLedgers(
            observer=eyes.observer,
            chain=sites.chain,
            home=run.home.path,
            expected=expected_of(experiment, sites.names, load),
            clock=eyes.clock,
        ),
        primaries_of={},
        name=KUBERNETES,
    )


def _began(
    experiment: Experiment, run: ClusterRun, platform: ClusterPlatform, now_us: int
) -> Began:
    return Began(
        at_us=now_us,
        run=run.home.name,
        experiment=experiment.metadata.name,
        platform=KUBERNETES,
        place=platform.place,
    )


async def publish(run: ClusterRun) -> None:
    """Put verdict and report of a run that is done beside its journal.

    Raises:
        OperationalError: PKI_API.

    """
    for name in (VERDICT, REPORT):
        path = run.home.path / name
        if path.is_file():
            await run.journal.attach(name, path.read_text("utf-8"))


def _require_size(sites: ClusterSites, wanted: int) -> None:
    found = len(sites.names)
    if wanted != found:
        hint = f"the release has {found} sites, and the experiment {wanted}"
        raise LocalError("CHAOS_SITES", hint, field="spec.topology.sites")
    for site in range(found):
        sites.pods(site)
