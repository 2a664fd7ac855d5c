"""A laptop as a platform: sites in processes below one directory."""

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.chaos.experiment.schema import Experiment
from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.planning import (
    CLIENT,
    PLANE,
    PROCESS,
    hit_directions,
    injections_of,
)
from seawall.chaos.runner.protocols import Actuator, Journal, Probe
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.errors import LocalError
from seawall.testbed.chaos.flood import FloodActuator
from seawall.testbed.chaos.ledgers import SiteLedgers
from seawall.testbed.chaos.load import OpenLoad
from seawall.testbed.chaos.plane import PlaneActuator
from seawall.testbed.chaos.probes import Eyes, probe_of
from seawall.testbed.chaos.process import ProcessActuator
from seawall.testbed.chaos.sites import LocalSites

LOCAL = "local"


def actuators_of(
    sites: LocalSites, flooding: FloodActuator, *, seed: int, experiment: str
) -> dict[str, Actuator]:
    """Return the actuators of a local network, by name."""
    plane = PlaneActuator(sites.fault_plane, seed=seed, experiment=experiment)
    return {PLANE: plane, PROCESS: ProcessActuator(sites), CLIENT: flooding}


@dataclass(slots=True, kw_only=True)
class LocalPlatform:
    """Implements `chaos.runner.protocols.Platform`.

    Attributes:
        experiment: what is run.
        run: name of the run, the first part of its injections' ids.
        sites: the network.
        eyes: what probes look with.
        actuators: by name.
        journal, workload, ledgers: as the protocol has them.
        primaries_of: the leaders at the time at which each fault was resolved.

    """

    experiment: Experiment
    run: str
    sites: LocalSites
    eyes: Eyes
    actuators: dict[str, Actuator]
    journal: Journal
    workload: OpenLoad
    ledgers: SiteLedgers
    primaries_of: dict[int, tuple[int, ...]]
    name: str = LOCAL

    @property
    def place(self) -> str:
        """Return the directory of the network."""
        return str(self.sites.directory.path.resolve())

    def resolve(self, fault: int, primaries: Sequence[int]) -> tuple[Injection, ...]:
        """Return what a fault is, site by site."""
        self.primaries_of[fault] = tuple(primaries)
        found = injections_of(self.experiment, fault, self.run, primaries)
        self.ledgers.expected.excused += [one.site for one in found if one.stays]
        return found

    async def primaries(self) -> tuple[int, ...]:
        """Return the leaders of the highest round that any site has reached."""
        views = await self.eyes.observer.look()
        chain = self.sites.chain
        if chain.genesis.coin is not None:
            return ()
        leaders = PermutationLeaders(
            chain.genesis.committee(chain.origin), chain.genesis.consensus.leaders_per_round
        )
        return leaders.leaders(max((view.round for view in views if view.up), default=1))

    def actuator(self, name: str) -> Actuator:
        """Return the actuator of this name.

        Raises:
            LocalError: CHAOS_ACTUATOR.

        """
        if name not in self.actuators:
            hint = f"choose among {', '.join(self.actuators)}"
            raise LocalError("CHAOS_ACTUATOR", hint)
        return self.actuators[name]

    def probe(self, fault: int, injections: tuple[Injection, ...]) -> Probe:
        """Return a probe for a fault that is about to begin."""
        directions = hit_directions(self.experiment, fault, self.primaries_of[fault])
        detail = self.experiment.spec.faults[fault].detail
        return probe_of(detail, injections, directions, self.eyes)
