"""Runs an experiment on sites in processes: its own, or those of a network that is up."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.chaos.experiment.checks import targets_of
from seawall.chaos.experiment.faults import Byzantine, Flood
from seawall.chaos.experiment.reading import Loaded
from seawall.chaos.experiment.schema import Experiment
from seawall.chaos.runner.core import Core, Schedule
from seawall.chaos.runner.driver import Driver, Hear
from seawall.chaos.runner.journal import FileJournal
from seawall.chaos.runner.planning import (
    PLANE,
    PLANE_KINDS,
    liars,
    obstacles,
    terrain_of,
)
from seawall.chaos.runner.records import Began
from seawall.client import AsyncClient, Chain
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import LocalError, OperationalError
from seawall.testbed.chaos.conclusion import conclude
from seawall.testbed.chaos.flood import FloodActuator, Flooders
from seawall.testbed.chaos.ledgers import Expected, SiteLedgers
from seawall.testbed.chaos.load import PATIENCE, OpenLoad
from seawall.testbed.chaos.plane import PlaneActuator
from seawall.testbed.chaos.platform import LOCAL, LocalPlatform, actuators_of
from seawall.testbed.chaos.probes import Eyes
from seawall.testbed.chaos.run_directory import RunDirectory
from seawall.testbed.chaos.sites import LocalSites
from seawall.testbed.chaos.terrain import terrain
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.experiment.outcome import Result
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.supervisor import Supervisor, plans_of
from seawall.testbed.tasks import WIDE, wide_task

START_SECONDS_MAX: Final = 90.0
LOOK_SECONDS: Final = 0.2
CONTRIBUTORS_MAX: Final = 32
"""Clients of one machine; more contributors share the same rate among fewer of them."""

HEADER_BYTES: Final = 256
STALENESS_MAX: Final = 10_000
"""No base of a run is too old: whoever was cut off for long still hands in."""

TWINS: Final = ("equivocate", "two_chains")
"""Behaviours of which evidence must be in the ledgers."""

WAVE_LENGTH: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """How to run.

    Attributes:
        home: where its files go.
        network: directory of a network that is up; None to start one of its own.
        stop: ends the run early, with a rollback.
        hear: is told what is done.
        lease_seconds: how long a fault outlives its runner at most.

    """

    home: RunDirectory
    network: Path | None
    stop: asyncio.Event
    hear: Hear
    lease_seconds: int = 30


def refuse(loaded: Loaded) -> None:
    """Refuse an experiment that sites in processes cannot run.

    Raises:
        LocalError: CHAOS_UNSUPPORTED with line and column.

    """
    for problem in obstacles(loaded.experiment, PLANE_KINDS, LOCAL):
        raise loaded.refusal(problem)


async def run_local(loaded: Loaded, run: LocalRun) -> Result:
    """Run an experiment; whatever happens, what it started has ended and its faults are reverted.

    Raises:
        LocalError: CHAOS_UNSUPPORTED, CHAOS_SITES, CHAOS_TASK; nothing was injected.
        OperationalError: SITE_START, CHAOS_LOAD, CHAOS_TIME.

    """
    refuse(loaded)
    experiment = loaded.experiment
    async with AsyncExitStack() as stack:
        sites = await stack.enter_async_context(_sites(experiment, run))
        observer = await stack.enter_async_context(Observer(sites.chain.genesis))
        await until_ready(observer, experiment.spec.topology.sites)
        clock = clock_from_now()
        clients = clients_of(sites, experiment, task_of(sites, experiment))
        load = await stack.enter_async_context(
            OpenLoad(clients, experiment.spec.workload, experiment.spec.seed, clock)
        )
        flooding = await stack.enter_async_context(FloodActuator(flooders(sites, experiment)))
        eyes = Eyes(
            observer=observer,
            processes=sites.processes,
            samples=load.samples,
            clock=clock,
            plane=plane_of(sites, experiment),
            flooding=flooding,
        )
        platform = _platform(experiment, run, sites, eyes, load)
        await preflight(loaded, platform)
        journal = FileJournal(run.home.journal)
        began = Began(
            at_us=clock(),
            run=run.home.name,
            experiment=experiment.metadata.name,
            platform=LOCAL,
            place=platform.place,
        )
        await journal.write(began)
        far = terrain_of(experiment, run.home.name)
        plane = platform.actuator(PLANE)
        await stack.enter_async_context(terrain(far, plane, journal, clock))
        core = Core(schedule_of(experiment, run.lease_seconds))
        await Driver(core, platform, clock, run.hear).run(run.stop)
    return conclude(loaded, LOCAL, core, load, platform.ledgers, platform.primaries_of)


def schedule_of(experiment: Experiment, lease_seconds: int) -> Schedule:
    """Return when what happens in a run."""
    phases = experiment.spec.phases
    faults = [(fault.at, fault.ends_us(phases.hold)) for fault in experiment.spec.faults]
    return Schedule(
        baseline_us=phases.baseline,
        hold_us=phases.hold,
        recover_us=phases.recover,
        faults=tuple(faults),
        lease_seconds=lease_seconds,
    )


def expected_of(experiment: Experiment, names: tuple[str, ...], load: OpenLoad) -> Expected:
    """Return what the ledgers must show in the end."""
    convicted: dict[str, None] = {}
    for number, fault in enumerate(experiment.spec.faults):
        detail = fault.detail
        if isinstance(detail, Byzantine) and detail.behaviour in TWINS:
            targets = targets_of(experiment, number)["targets"]
            convicted.update(dict.fromkeys(names[site] for site in targets))
    excused = list(liars(experiment))
    return Expected(acknowledged=load.acknowledged, excused=excused, convicted=tuple(convicted))


def task_of(sites: LocalSites, experiment: Experiment) -> str:
    """Return the task that updates are for.

    Raises:
        LocalError: CHAOS_TASK.

    """
    names = [task.name for task in sites.chain.genesis.tasks]
    for name in (WIDE, experiment.spec.workload.task):
        if name in names:
            return name
    hint = f"the network has {', '.join(names)}"
    raise LocalError("CHAOS_TASK", hint, field="spec.workload.task")


def clients_of(
    sites: LocalSites, experiment: Experiment, task: str
) -> list[tuple[AsyncClient, int]]:
    """Return a client for each contributor, not entered yet, with the site that it prefers."""
    names = sites.names
    enrolled = _enrolled(sites)
    count = min(experiment.spec.workload.contributors, CONTRIBUTORS_MAX, len(enrolled))
    return [
        (
            AsyncClient(
                [names[number % len(names)]],
                task=task,
                genesis=sites.chain,
                key=sites.directory.contributor_key(enrolled[number]),
                limits=PATIENCE,
            ),
            number % len(names),
        )
        for number in range(count)
    ]


def flooders(sites: LocalSites, experiment: Experiment) -> Flooders:
    """Return what gives the clients of a flood: the last of those who are enrolled."""
    enrolled = _enrolled(sites)
    task = task_of(sites, experiment)

    def client(number: int, site: int) -> AsyncClient | None:
        place = len(enrolled) - 1 - number
        if place < min(experiment.spec.workload.contributors, CONTRIBUTORS_MAX):
            return None
        return AsyncClient(
            [sites.names[site]],
            others=False,
            task=task,
            genesis=sites.chain,
            key=sites.directory.contributor_key(enrolled[place]),
            limits=PATIENCE,
        )

    return client


def _enrolled(sites: LocalSites) -> list[str]:
    every = sites.chain.genesis.contributors
    return [one.name for one in every if "contributor" in one.roles]


def network_plan(experiment: Experiment) -> NetworkPlan:
    """Return the network that an experiment asks for."""
    spec = experiment.spec
    consensus = ConsensusParameters()
    if spec.engine.mode == "async":
        consensus = consensus.asynchronous(spec.engine.wave_length or WAVE_LENGTH)
    flooding = sum(
        fault.detail.contributors * len(targets_of(experiment, number)["targets"])
        for number, fault in enumerate(spec.faults)
        if isinstance(fault.detail, Flood)
    )
    columns = max(1, (spec.workload.payload - HEADER_BYTES) // 4)
    return NetworkPlan(
        sites=spec.topology.sites,
        chain="chaos",
        contributors=min(spec.workload.contributors, CONTRIBUTORS_MAX) + flooding,
        tasks=(wide_task(columns=columns, staleness_max=STALENESS_MAX),),
        consensus=consensus,
        zones=experiment.site_zones,
        chaos=True,
    )


@asynccontextmanager
async def _sites(experiment: Experiment, run: LocalRun) -> AsyncIterator[LocalSites]:
    """Have the sites: those of a running network, or new ones that end with the block."""
    if run.network is not None:
        directory = NetworkDirectory(run.network)
        if not directory.genesis.exists():
            hint = f"there is no network in {run.network}: name the directory of seawall up"
            raise LocalError("CHAOS_SITES", hint, field="--dir")
        sites = LocalSites(directory, Chain.read(directory.genesis))
        sites.require_running()
        wanted, found = experiment.spec.topology.sites, len(sites.names)
        if wanted != found:
            hint = f"the network has {found} sites, and the experiment {wanted}"
            raise LocalError("CHAOS_SITES", hint, field="--dir")
        async with sites:
            yield sites
        return
    made = make_network(run.home.sites, network_plan(experiment))
    plans = plans_of(made.directory, made.genesis)
    chain = Chain.read(made.directory.genesis)
    async with (
        Supervisor(made.directory, made.origin, plans),
        LocalSites(made.directory, chain) as sites,
    ):
        yield sites


def clock_from_now() -> Callable[[], int]:
    """Return a clock of microseconds that begins now."""
    start_ns = time.monotonic_ns()
    return lambda: (time.monotonic_ns() - start_ns) // 1_000


async def until_ready(observer: Observer, size: int) -> None:
    """Wait until every site answers, has a certified commit, and sees all others."""

    def ready(views: tuple[SiteView, ...]) -> bool:
        return all(view.up and view.certified and len(view.connected) == size - 1 for view in views)

    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not ready(await observer.look()):  # noqa: ASYNC110 - sites, not events
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError as fault:
        hint = "not every site is up and sees the others: seawall status and logs say more"
        raise OperationalError("SITE_START", hint) from fault


def _platform(
    experiment: Experiment,
    run: LocalRun,
    sites: LocalSites,
    eyes: Eyes,
    load: OpenLoad,
) -> LocalPlatform:
    name, seed = experiment.metadata.name, experiment.spec.seed
    return LocalPlatform(
        experiment=experiment,
        run=run.home.name,
        sites=sites,
        eyes=eyes,
        actuators=actuators_of(sites, eyes.flooding, seed=seed, experiment=name),
        journal=FileJournal(run.home.journal),
        workload=load,
        ledgers=SiteLedgers(
            observer=eyes.observer,
            chain=sites.chain,
            home=run.home.path,
            expected=expected_of(experiment, sites.names, load),
            clock=eyes.clock,
        ),
        primaries_of={},
    )


def plane_of(sites: LocalSites, experiment: Experiment) -> PlaneActuator:
    """Return the actuator for fault planes of these sites."""
    name, seed = experiment.metadata.name, experiment.spec.seed
    return PlaneActuator(sites.fault_plane, seed=seed, experiment=name)


async def preflight(loaded: Loaded, platform: LocalPlatform) -> None:
    """Ask every site whether it can do what will be asked of it; nothing is injected yet.

    Raises:
        LocalError: CHAOS_UNSUPPORTED.
        SeawallError: RPC_* where no fault plane answers.

    """
    for site in range(len(platform.sites.names)):
        kinds = await platform.eyes.plane.kinds(site)
        for problem in obstacles(loaded.experiment, kinds, platform.sites.names[site]):
            raise loaded.refusal(problem)
