"""What happens in one simulated run: a committee, a network, faults at given times, and a goal.

A plan is a value: together with an engine it determines the run to the last byte.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from seawall.domain.parameters import ConsensusParameters
from seawall.sim.coin import CoinKind
from seawall.sim.disk import CrashPoint
from seawall.sim.network import MILLISECOND_US, SECOND_US, Delay, LogNormalDelay, Loss


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
    `wipe` loses its disk.
    """

    at_us: int
    seat: int
    point: CrashPoint | None = None
    sends: int = 0
    own_block: bool = False
    restart_after_us: int | None = SECOND_US
    wipe: bool = False


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


Fault = Crash | Partition | Sight | LossChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a stopped seat; part of what a scenario does by hand, beside faults."""

    at_us: int
    seat: int


Move = Fault | Start


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
    `coin` names the leaders where `parameters` call for asynchrony. `owners` says what contributors
    do with their numbers.
    """

    seed: int
    profile: str = ""
    stakes: tuple[int, ...] = (1, 1, 1, 1)
    parameters: ConsensusParameters = FAST_PARAMETERS
    coin: CoinKind = CoinKind.NONE
    delay: Delay = field(default_factory=LogNormalDelay)
    loss: Loss = field(default_factory=Loss)
    twins: tuple[int, ...] = ()
    hostile: tuple[int, ...] = ()
    faults: tuple[Fault, ...] = ()
    heal_us: int = 0
    commits: int = 30
    limit_us: int = 120 * SECOND_US
    sync_us: int = 2 * MILLISECOND_US
    ledger_us: int = 3 * MILLISECOND_US
    submit_every_us: int = 50 * MILLISECOND_US
    owners: Owners = field(default_factory=Owners)
    clock_offsets_ms: tuple[int, ...] = ()
    passing: Passing = Passing.ONCE

    @property
    def authors(self) -> tuple[int, ...]:
        """Return the author behind each seat."""
        return (*range(len(self.stakes)), *self.twins)

    @property
    def faulty(self) -> frozenset[int]:
        """Return the authors that are not honest at some time: twins, hostile, lost disks."""
        wiped = {
            self.authors[fault.seat]
            for fault in self.faults
            if isinstance(fault, Crash) and fault.wipe
        }
        return frozenset(wiped.union(self.twins, self.hostile))

    def asynchronous(self, wave_length: int, coin: CoinKind = CoinKind.KEYED_HASH) -> "Plan":
        """Return this plan with leaders from a coin, and so with equal stakes."""
        return replace(
            self,
            stakes=(1,) * len(self.stakes),
            parameters=self.parameters.asynchronous(wave_length),
            coin=coin,
        )
