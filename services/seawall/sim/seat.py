"""One running replica of a world: its process, disk, ledger and clock."""

from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from seawall.consensus.byzantine.engine import byzantine
from seawall.consensus.byzantine.site import Behaviour
from seawall.consensus.byzantine.table import scripted
from seawall.consensus.engine import Engine, Event, Identity, Instant
from seawall.consensus.replica import Replica
from seawall.sim.clock import Clock
from seawall.sim.coin import coin_secret
from seawall.sim.disk import SEND_POINTS, Disk
from seawall.sim.plan import Crash
from seawall.sim.population import ModelLedger, keys_of
from seawall.sim.switched import Switched

if TYPE_CHECKING:
    from seawall.sim.world import World


@dataclass(slots=True, eq=False, kw_only=True)
class Seat:
    """A place for one replica. `incarnation` counts its starts and stops; timers of old ones die.

    The disk and the ledger outlive a crash, everything else is lost. `wipes` counts disks that were
    lost or had lied: what the seat has promised is void then. `behaviours` are how it lies for the
    time being, `lies` how often it did. `busy` means that a step's
    records are being synced; events gather in `inbox` meanwhile, which is the group commit.
    """

    index: int
    author: int
    clock: Clock
    disk: Disk
    ledger: ModelLedger = field(default_factory=ModelLedger)
    replica: Replica | None = None
    engine: Engine | None = None
    inbox: list[Event] = field(default_factory=list)
    busy: bool = False
    queued: bool = False
    incarnation: int = 0
    timer: int = 0
    armed: Crash | None = None
    wipes: int = 0
    behaviours: tuple[Behaviour, ...] = ()
    lies: int = 0

    @property
    def name(self) -> str:
        """Return a short name: seat and author."""
        return f"seat {self.index} (author {self.author})"

    def instant(self, now_us: int) -> Instant:
        """Return this seat's view of the time."""
        return self.clock.instant(now_us)

    def start(self, world: "World") -> None:
        """Build the engine from what the disk kept."""
        self.incarnation += 1
        self.engine = self.rebuild(world)
        self.replica = world.machinery.replica(self.engine, self.disk)

    def rebuild(self, world: "World") -> Engine:
        """Return a fresh engine in the state that the durable records describe."""
        machinery = world.machinery
        factory = machinery.engine
        if self.author in world.plan.twins:
            factory = machinery.twin
        elif self.author in world.plan.hostile:
            scripts = world.plan.hostile[self.author]
            factory = scripted(machinery.engine, scripts) if scripts else machinery.hostile
        elif self.author in world.plan.scripted:
            factory = byzantine(factory, lambda: (Switched(self),))
        keys = keys_of(self.author)
        return factory(
            identity=Identity(
                index=self.author,
                consensus_key=keys.consensus,
                cosigner_key=keys.cosigner,
                coin_secret=coin_secret(world.committee, self.author),
            ),
            committee=machinery.committee(world.committee),
            parameters=world.plan.parameters,
            recovered=tuple(self.disk.durable),
            history=self.ledger,
        )

    def stop(self, random: Random, *, torn: bool = True) -> None:
        """Lose the process and what the disk had not synced."""
        self.incarnation += 1
        self.replica = None
        self.engine = None
        self.inbox.clear()
        self.busy = False
        self.queued = False
        self.armed = None
        lost = self.disk.lost_records
        self.disk.crash(random, torn=torn)
        self.wipes += self.disk.lost_records > lost

    def lose_disk(self) -> None:
        """Replace the disk by an empty one, and the ledger with it."""
        self.disk.wipe()
        self.ledger = ModelLedger()
        self.wipes += 1

    def copy(self, other: "Seat") -> None:
        """Take over what another seat's disk and ledger hold now."""
        self.lose_disk()
        self.disk.durable.extend(other.disk.durable)
        self.ledger = deepcopy(other.ledger)

    def arm(self, fault: Crash) -> None:
        """Crash at the next step that reaches the fault's point."""
        self.armed = fault
        if fault.point not in SEND_POINTS:
            self.disk.armed = fault.point
