"""What happens in one simulated run: a committee, a network, faults at given times, and a goal.

A plan is a value: together with an engine it determines the run to the last byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from seawall.consensus.byzantine.table import Script
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.coin import CoinKind
from seawall.sim.disk import CrashPoint, DiskHealth
from seawall.sim.network import (
    MILLISECOND_US,
    SECOND_US,
    Delay,
    LogNormalDelay,
    Loss,
    Quality,
)


class Passing(StrEnum):
    """How blocks travel between seats.

    `REFERENCE` hands over the verified object; `ONCE` decodes and verifies the bytes of every
    distinct block once for the whole world; `ALWAYS` does so at every arrival, as real sites do.
    """

    REFERENCE = "reference"
    ONCE = "once"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Stop a seat; with a `point`, at the first step that reaches it after `at_us`.

    `sends` is how many single messages of that step leave before the crash (for the two send
    points); with `own_block` the step is the next one that sends a new own block, and only
    messages with that block are counted. `restart_after_us` None means that it never comes back.
    `wipe` loses its disk; `torn` leaves a random prefix of what was not synced, else none of it.
    """

    at_us: int
    seat: int
    point: CrashPoint | None = None
    sends: int = 0
    own_block: bool = False
    restart_after_us: int | None = SECOND_US
    wipe: bool = False
    torn: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """From `at_us` on only seats of the same group can talk; no groups: everybody can."""

    at_us: int
    groups: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """From `at_us` on exactly these pairs of seats cannot talk (replaces the previous pairs)."""

    at_us: int
    blind: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LossChange:
    """From `at_us` on messages are lost like this."""

    at_us: int
    loss: Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong with one direction between two seats."""

    source: int
    target: int
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksChange:
    """From `at_us` on exactly these links are ill (replaces what was before).

    Pairs in `cut` have no connection; a direction (source, target) in `stalled` delivers nothing,
    while the other one goes on; `flaws` slow a direction down.
    """

    at_us: int
    cut: tuple[tuple[int, int], ...] = ()
    stalled: tuple[tuple[int, int], ...] = ()
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskChange:
    """From `at_us` on a seat's disk is like this."""

    at_us: int
    seat: int
    health: DiskHealth = field(default_factory=DiskHealth)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """From `at_us` on a seat's wall clock is `offset_ms` off, and its clocks run too fast."""

    at_us: int
    seat: int
    offset_ms: int = 0
    drift_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptChange:
    """From `at_us` on a seat of `Plan.scripted` follows these scripts; none: it is honest."""

    at_us: int
    seat: int
    scripts: tuple[Script, ...] = ()


Fault = (
    Crash | Partition | Sight | LossChange | LinksChange | DiskChange | ClockChange | ScriptChange
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a stopped seat; part of what a scenario does by hand, beside faults.

    With `copy_of` its disk and ledger become those of another seat first, as when a second machine
    is set up from a running one.
    """

    at_us: int
    seat: int
    copy_of: int | None = None


Move = Fault | Start


class Arrival(StrEnum):
    """How updates come in: at random times, or in even steps."""

    POISSON = "poisson"
    CONSTANT = "constant"


class Conflict(StrEnum):
    """What a dishonest contributor does with an update.

    `EQUIVOCATE` hands another one with the same number to another site, `REPLAY` the same one.
    """

    NONE = "none"
    EQUIVOCATE = "equivocate"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """More updates for a time, from contributors of their own, to these sites."""

    begin_us: int
    end_us: int
    updates_per_second: float
    contributors: int
    sites: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Updates that contributors hand in, in an open loop, from the start until `until_us`.

    Each contributor has a site of its own; where that does not run, the next one takes the update.
    A site gathers for `batch_window_us` and then has the batch attested: bytes go to sites of stake
    V at `bytes_per_second`, and their signatures come back. The first `cheats` contributors do
    what `conflict` says. Those of `surges` come after all others, in their order.
    """

    updates_per_second: float
    until_us: int
    arrival: Arrival = Arrival.POISSON
    contributors: int = 20
    payload_size_bytes: int = 16_384
    cheats: int = 0
    conflict: Conflict = Conflict.NONE
    batch_window_us: int = 5 * MILLISECOND_US
    bytes_per_second: int = 12_500_000
    surges: tuple[Surge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Until `until_us` a network adversary keeps leaders from being decided directly.

    It sees all messages in flight and holds each back for at most `bound_us`; see `aiming`. With
    `bystanders` it holds the blocks of sites that do not lead, as an ally of the first hostile one.
    """

    bound_us: int
    until_us: int
    bystanders: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ByRound:
    """The network is cut anew in each of the first rounds; from `until_us` on it is whole.

    `rounds[r - 1]` are the groups of seats that can talk in round r; what others send is lost.
    """

    rounds: tuple[tuple[tuple[int, ...], ...], ...]
    until_us: int


Adversary = Aim | ByRound


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """How contributors misuse and repeat their numbers; all off is one update a number.

    The first `equivocating` contributors sign two or three digests under every other number of
    theirs and hand them to different sites. Of every hundred updates `copied` are handed to several
    sites as the same bytes, and `expiring` expire within a few commits. With `resubmitting` an
    update that was rejected is handed in again, as the same bytes, a few times. What is
    handed in later comes up to `spread_us` after the first.
    """

    equivocating: int = 0
    copied: int = 0
    expiring: int = 0
    resubmitting: bool = False
    spread_us: int = 300 * MILLISECOND_US


FAST_PARAMETERS = ConsensusParameters(round_delay_ms_min=20, round_delay_ms_idle=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. Seats 0..n-1 are the authors; seat n + i is the twin of `twins[i]`.

    The run ends well when, after `heal_us`, every seat that runs and is no twin has
    committed `commits` leaders; it must get there before `limit_us`. `clock_offsets_ms` shift
    the wall clocks of seats. `profile` is the family that `seed` drew this plan from, if any.
    `coin` names the leaders where `parameters` call for asynchrony. `hostile` authors follow their
    scripts from the first step on; one without scripts is the attacker that the machinery brings.
    `owners` says what contributors do with their numbers.

    `zones` places seats, in place of the committee's zones. `scripted` seats can lie when a
    `ScriptChange` says so. `excused` are authors whom faults that are injected by hand will make
    faulty. With a `load` updates come as it says, and `submit_every_us` is not used.
    """

    seed: int
    profile: str = ""
    stakes: tuple[int, ...] = (1, 1, 1, 1)
    parameters: ConsensusParameters = FAST_PARAMETERS
    coin: CoinKind = CoinKind.NONE
    delay: Delay = field(default_factory=LogNormalDelay)
    loss: Loss = field(default_factory=Loss)
    twins: tuple[int, ...] = ()
    hostile: Mapping[int, tuple[Script, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    adversary: Adversary | None = None
    heal_us: int = 0
    commits: int = 30
    limit_us: int = 120 * SECOND_US
    sync_us: int = 2 * MILLISECOND_US
    ledger_us: int = 3 * MILLISECOND_US
    submit_every_us: int = 50 * MILLISECOND_US
    owners: Owners = field(default_factory=Owners)
    clock_offsets_ms: tuple[int, ...] = ()
    passing: Passing = Passing.ONCE
    zones: tuple[str, ...] = ()
    scripted: tuple[int, ...] = ()
    excused: tuple[int, ...] = ()
    load: Load | None = None

    @property
    def authors(self) -> tuple[int, ...]:
        """Return the author behind each seat."""
        return (*range(len(self.stakes)), *self.twins)

    @property
    def faulty(self) -> frozenset[int]:
        """Return the authors that are not honest at some time: twins, hostile, lost disks, ..."""
        wiped = {
            self.authors[fault.seat]
            for fault in self.faults
            if isinstance(fault, Crash) and fault.wipe
        }
        return frozenset(wiped.union(self.twins, self.hostile, self.scripted, self.excused))

    def asynchronous(self, wave_length: int, coin: CoinKind = CoinKind.KEYED_HASH) -> "Plan":
        """Return this plan with leaders from a coin, and so with equal stakes."""
        return replace(
            self,
            stakes=(1,) * len(self.stakes),
            parameters=self.parameters.asynchronous(wave_length),
            coin=coin,
        )
