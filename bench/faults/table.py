"""The faults by name: how each is done to running sites, ended again, and seen to be real."""

import asyncio
import random
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from bench.faults.network import FaultNetwork
from bench.faults.specs import SCRIPTS, SPECS
from seawall.api.v1 import fault_plane_pb2
from seawall.runtime.crash import EXIT_CODE, POINTS
from seawall.testbed.judging import convicted
from seawall.testbed.observer import SiteView

VICTIM = 3
"""The site to which faults of one site are done."""

CRASH_SKIPS = 2
"""Passes through a crash point before the process ends there."""

CRASH_SECONDS_MAX = 60.0
OLD_SECONDS = 5.0
"""By how much a restored copy is older than what it replaces, at least."""

KILL_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class Scene:
    """One fault on one network; `hold_seconds` is how long what has a duration lasts."""

    network: FaultNetwork
    choices: random.Random
    hold_seconds: float
    victim: int = VICTIM
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name of the site to which the fault is done."""
        return self.network.names[self.victim]

    @property
    def data(self) -> Path:
        """Return its data directory."""
        return self.network.directory.data(self.name)


Step: TypeAlias = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault.

    Attributes:
        prepare: what must be done long before it.
        strike: does it; returns when it is done.
        confirm: raises RuntimeError when it is not real.
        heal: ends it.
        prove: raises RuntimeError when recovery did not go the way that it had to.
        apart: needs a network namespace for each site.
        settings: lines of the settings of the site to which it is done, or of every one.
        everywhere: `settings` are for every site.
        lies: that site is Byzantine, so nothing is asked of it afterwards.

    """

    strike: Step
    heal: Step
    prepare: Step | None = None
    confirm: Step | None = None
    prove: Step | None = None
    apart: bool = False
    settings: tuple[str, ...] = ()
    everywhere: bool = False
    lies: bool = False


# --- processes and disks -----------------------------------------------------------------------


async def kill(scene: Scene) -> None:
    """End the process by SIGKILL and keep it down."""
    scene.network.supervisor.kill(scene.name, hold=True)
    await scene.network.supervisor.ended(scene.name)


async def release(scene: Scene) -> None:
    """Let the process start again."""
    scene.network.supervisor.release(scene.name)


async def kill_at_random(scene: Scene) -> None:
    """Kill one site after the other, each as soon as the last one has been let go."""
    supervisor = scene.network.supervisor
    end = asyncio.get_running_loop().time() + scene.hold_seconds
    while asyncio.get_running_loop().time() < end:
        name = scene.choices.choice(scene.network.names)
        supervisor.kill(name, hold=True)
        await supervisor.ended(name)
        supervisor.release(name)
        await asyncio.sleep(KILL_PAUSE_SECONDS * scene.choices.random())


async def nothing(scene: Scene) -> None:
    """Do nothing: the fault has ended by itself."""
    del scene


def crash(point: str) -> Step:
    """Return the step that lets a site end at a crash point and keeps it down."""

    async def strike(scene: Scene) -> None:
        supervisor, name = scene.network.supervisor, scene.name
        await kill(scene)
        starts = supervisor.child(name).starts
        supervisor.release(name, once=("--crash-at", f"{point}:{CRASH_SKIPS}"))
        await supervisor.started(name, more_than=starts)
        supervisor.hold(name)
        try:
            async with asyncio.timeout(CRASH_SECONDS_MAX):
                code = await supervisor.ended(name)
        except TimeoutError:
            raise RuntimeError(f"the site never came past {point}") from None
        if code != EXIT_CODE:
            raise RuntimeError(f"the site ended with {code}, not at {point}")

    return strike


async def stop(scene: Scene) -> None:
    """Stop the process by SIGSTOP: its connections stand, and nothing answers."""
    scene.network.supervisor.signal(scene.name, signal.SIGSTOP)


async def resume(scene: Scene) -> None:
    """Let a stopped process go on."""
    scene.network.supervisor.signal(scene.name, signal.SIGCONT)


async def lose_disk(scene: Scene) -> None:
    """End the process and remove all that it kept."""
    await kill(scene)
    scene.notes["disk_lost"] = scene.network.logged(scene.name, "disk_lost")
    shutil.rmtree(scene.data)


async def copy_disk(scene: Scene) -> None:
    """Keep a copy of the data directory, as a backup would, and let the site go on without it."""
    await kill(scene)
    shutil.copytree(scene.data, _copy_of(scene))
    await release(scene)
    await scene.network.level()
    await asyncio.sleep(OLD_SECONDS)


async def restore_copy(scene: Scene) -> None:
    """End the process and put the old copy in place of its data directory."""
    await kill(scene)
    scene.notes["disk_lost"] = scene.network.logged(scene.name, "disk_lost")
    shutil.rmtree(scene.data)
    _copy_of(scene).rename(scene.data)


async def prove_disk_lost(scene: Scene) -> None:
    """Demand that the site noticed that it had signed blocks of which it knows nothing."""
    if scene.network.logged(scene.name, "disk_lost") <= scene.notes["disk_lost"]:
        raise RuntimeError("the site went on as if its disk had not been lost")


def _copy_of(scene: Scene) -> Path:
    return scene.data.with_name("data.old")


# --- partitions --------------------------------------------------------------------------------


Pairs: TypeAlias = Sequence[tuple[int, int]]


def both(pairs: Pairs) -> Pairs:
    """Return these pairs and their opposites."""
    return (*pairs, *((target, source) for source, target in pairs))


SHAPES: Mapping[str, Pairs] = {
    "one": both([(3, 0), (3, 1), (3, 2)]),
    "one-deaf": [(0, 3), (1, 3), (2, 3)],
    "one-mute": [(3, 0), (3, 1), (3, 2)],
    "halves": both([(0, 2), (0, 3), (1, 2), (1, 3)]),
    "bridge": both([(0, 2), (0, 3)]),
    "ring": both([(0, 2), (1, 3)]),
}
"""What is dropped on the way from the first to the second of four sites.

`one` is alone; a deaf one hears nothing, a mute one is not heard. `halves` have no quorum. With a
`bridge`, site 1 sees all and site 0 only that. In a `ring` each site sees all but the opposite one.
"""


def partition(shape: str) -> Fault:
    """Return the partition of this shape."""
    pairs = SHAPES[shape]

    async def strike(scene: Scene) -> None:
        assert scene.network.namespaces is not None
        await scene.network.namespaces.cut(pairs)

    async def confirm(scene: Scene) -> None:
        spaces = scene.network.namespaces
        assert spaces is not None
        every = [(a, b) for a in range(spaces.sites) for b in range(spaces.sites) if a != b]
        probes = [spaces.reaches(a, b, scene.network.peer_port(b)) for a, b in every]
        for pair, reached in zip(every, await asyncio.gather(*probes), strict=True):
            # A connection needs both ways.
            if reached is (pair in pairs or pair[::-1] in pairs):
                raise RuntimeError(f"sites {pair[0]} and {pair[1]} are not cut as they should be")

    async def heal(scene: Scene) -> None:
        assert scene.network.namespaces is not None
        await scene.network.namespaces.mend()

    return Fault(strike=strike, confirm=confirm, heal=heal, apart=True)


# --- cut links ---------------------------------------------------------------------------------


LEASE_SECONDS = 300
LINKS = "links"
"""Name of the fault at every site."""

CUT_SECONDS_MAX = 30.0
CHAOS = ("chaos.enabled = true",)


def cut_links(shape: str) -> Fault:
    """Return the partition of this shape between replicas alone, by the sites' fault planes."""
    pairs = SHAPES[shape]
    sources = list(dict.fromkeys(source for source, _ in pairs))

    async def strike(scene: Scene) -> None:
        for source in sources:
            targets = [target for site, target in pairs if site == source]
            fault = fault_plane_pb2.FaultSpec(id=LINKS, lease_seconds=LEASE_SECONDS)
            fault.partition.peers.extend(targets)
            fault.partition.direction = fault_plane_pb2.PARTITION_DIRECTION_OUTBOUND
            async with scene.network.fault_plane(source) as plane:
                await plane.Apply(fault_plane_pb2.ApplyRequest(fault=fault))

    async def confirm(scene: Scene) -> None:
        def cut(views: tuple[SiteView, ...]) -> bool:
            return not any(
                views[a].up and views[b].up and b in views[a].connected for a, b in both(pairs)
            )

        try:
            await scene.network.until(cut, CUT_SECONDS_MAX)
        except TimeoutError:
            raise RuntimeError("links that are cut are still up") from None

    async def heal(scene: Scene) -> None:
        for source in sources:
            async with scene.network.fault_plane(source) as plane:
                await plane.Revert(fault_plane_pb2.RevertRequest(id=LINKS))

    return Fault(strike=strike, confirm=confirm, heal=heal, settings=CHAOS, everywhere=True)


# --- the fault plane -----------------------------------------------------------------------------


PLANE = "plane"
"""Name of a fault at the site to which it is done."""


def by_plane(spec: fault_plane_pb2.FaultSpec) -> Fault:
    """Return the fault that a site's fault plane does to it."""
    return Fault(strike=applying(spec), confirm=confirm_strikes, heal=revert, settings=CHAOS)


def applying(spec: fault_plane_pb2.FaultSpec) -> Step:
    """Return the step that has the site do this to itself."""

    async def strike(scene: Scene) -> None:
        fault = fault_plane_pb2.FaultSpec()
        fault.CopyFrom(spec)
        fault.id, fault.lease_seconds = PLANE, LEASE_SECONDS
        async with scene.network.fault_plane(scene.victim) as plane:
            await plane.Apply(fault_plane_pb2.ApplyRequest(fault=fault), wait_for_ready=True)

    return strike


async def confirm_strikes(scene: Scene) -> None:
    """Demand that the fault has struck; a freeze has when it is over."""
    async with scene.network.fault_plane(scene.victim) as plane, asyncio.timeout(CUT_SECONDS_MAX):
        while True:
            answer = await plane.List(fault_plane_pb2.ListRequest(), wait_for_ready=True)
            if not answer.faults or sum(answer.strikes):
                return
            await scene.network.look()


async def revert(scene: Scene) -> None:
    """End the fault, unless it has ended by itself."""
    async with scene.network.fault_plane(scene.victim) as plane:
        answer = await plane.List(fault_plane_pb2.ListRequest(), wait_for_ready=True)
        if answer.faults:
            await plane.Revert(fault_plane_pb2.RevertRequest(id=PLANE))


async def fill_disk(scene: Scene) -> None:
    """Let the site find its disk full: it ends, and another process takes its place."""
    starts = scene.network.supervisor.child(scene.name).starts
    full = fault_plane_pb2.FaultSpec(disk=fault_plane_pb2.DiskFault(full=True))
    await applying(full)(scene)
    async with asyncio.timeout(CRASH_SECONDS_MAX):
        await scene.network.supervisor.started(scene.name, more_than=starts)


async def lie_and_kill(scene: Scene) -> None:
    """Let the disk keep nothing for a time, then kill the process."""
    scene.notes["disk_lost"] = scene.network.logged(scene.name, "disk_lost")
    lying = fault_plane_pb2.FaultSpec(disk=fault_plane_pb2.DiskFault(lying=True))
    await applying(lying)(scene)
    await confirm_strikes(scene)
    await asyncio.sleep(KILL_PAUSE_SECONDS)
    await kill(scene)


# --- lies --------------------------------------------------------------------------------------


TWINS = ("equivocate", "two_chains")
"""Behaviours that leave two signed blocks for one slot."""


def byzantine(behaviour: str) -> Fault:
    """Return the fault of a site that behaves so from its start."""
    members = ", ".join(filter(None, (f'behaviour = "{behaviour}"', SCRIPTS[behaviour])))
    return Fault(
        strike=nothing,
        heal=nothing,
        prove=prove_evidence if behaviour in TWINS else prove_lying,
        settings=(*CHAOS, f"consensus.byzantine = [{{{members}}}]"),
        lies=True,
    )


async def prove_lying(scene: Scene) -> None:
    """Demand that the site said at its start what it would do."""
    if not scene.network.logged(scene.name, "replica_lies"):
        raise RuntimeError("the site did not follow its script")


async def prove_evidence(scene: Scene) -> None:
    """Demand that every other site reported the two blocks, and that its ledger says who it was."""
    await prove_lying(scene)
    others = [name for name in scene.network.names if name != scene.name]
    silent = [name for name in others if not scene.network.logged(name, "equivocation")]
    if silent:
        raise RuntimeError(f"{', '.join(silent)} reported no equivocation")
    with TemporaryDirectory() as home:
        ledgers = await scene.network.export(Path(home))
    for name in others:
        found = convicted(ledgers[name].entries)
        if found != (scene.name,):
            raise RuntimeError(f"{name} has evidence against {', '.join(found) or 'nobody'}")


FAULTS: Mapping[str, Fault] = {
    "kill": Fault(strike=kill, heal=release),
    "random-kills": Fault(strike=kill_at_random, heal=nothing),
    "stopped": Fault(strike=stop, heal=resume),
    "lost-disk": Fault(strike=lose_disk, heal=release, prove=prove_disk_lost),
    "old-copy": Fault(prepare=copy_disk, strike=restore_copy, heal=release, prove=prove_disk_lost),
    **{f"partition-{shape}": partition(shape) for shape in SHAPES},
    **{f"links-{shape}": cut_links(shape) for shape in SHAPES},
    **{f"plane-{name}": by_plane(spec) for name, spec in SPECS.items()},
    "plane-full-disk": Fault(strike=fill_disk, heal=nothing, settings=CHAOS),
    "plane-lying-disk": Fault(
        strike=lie_and_kill, heal=release, prove=prove_disk_lost, settings=CHAOS
    ),
    **{f"byzantine-{behaviour}": byzantine(behaviour) for behaviour in SCRIPTS},
    **{f"crash-{point}": Fault(strike=crash(point), heal=release) for point in POINTS},
}
"""Every fault; those of one site are done to the last one."""
