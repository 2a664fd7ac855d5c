"""Families of random plans: a profile and a seed name exactly one plan.

Every plan keeps the stake of faulty authors (twins, liars, lost disks) below one third; crashes
with an intact disk and partitions may hit anybody, even all at once. All faults but lies end by
`heal_us`, so every plan must reach its goal afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from seawall.consensus.byzantine.table import Script
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.coin import CoinKind
from seawall.sim.deceit import draw_scripts
from seawall.sim.disk import SEND_POINTS, CrashPoint
from seawall.sim.network import (
    MILLISECOND_US,
    SECOND_US,
    Delay,
    FixedDelay,
    LogNormalDelay,
    Loss,
    ZoneDelay,
)
from seawall.sim.plan import Crash, Fault, LossChange, Owners, Partition, Passing, Plan, Sight

WINDOW_US: Final = 900 * MILLISECOND_US
"""Faults fall into this first part of a run, in which some thirty leaders commit."""

TRUE_COIN_ONE_IN: Final = 32
"""One of so many schedules with a coin has threshold BLS, the others a keyed hash."""

SIZE_MAX: Final = 10
"""The largest committee of the profiles with liars; the others have four to seven sites."""


@dataclass(slots=True)
class Draft:
    """A plan while it is being drawn."""

    random: Random
    stakes: tuple[int, ...]
    twins: tuple[int, ...]
    faults: list[Fault]
    has_coin: bool = False
    hostile: dict[int, tuple[Script, ...]] = field(default_factory=dict)
    heal_us: int = 0

    @property
    def seats(self) -> int:
        """Return the number of seats, twins included."""
        return len(self.stakes) + len(self.twins)

    def instant(self) -> int:
        """Draw a time for a fault."""
        return self.random.randrange(20 * MILLISECOND_US, WINDOW_US)

    def ends(self, time_us: int) -> None:
        """Let the plan heal no earlier than this."""
        self.heal_us = max(self.heal_us, time_us)


def _stakes(random: Random, size_max: int = 7, *, equal: bool = False) -> tuple[int, ...]:
    size = random.randint(4, size_max)
    if random.randrange(2) or equal:
        return (1,) * size
    stakes = [random.randint(1, 4) for _ in range(size)]
    largest = stakes.index(max(stakes))
    stakes[largest] = min(stakes[largest], (sum(stakes) - stakes[largest] - 1) // 2)
    return tuple(stakes)


def _faulty(random: Random, stakes: tuple[int, ...]) -> tuple[int, ...]:
    """Draw authors whose stake together stays below one third; as many as fit, at least one."""
    order = list(range(len(stakes)))
    random.shuffle(order)
    chosen: list[int] = []
    for author in order:
        if 3 * (sum(stakes[other] for other in chosen) + stakes[author]) < sum(stakes):
            chosen.append(author)
    return tuple(chosen)


def _add_crashes(draft: Draft) -> None:
    random = draft.random
    for _ in range(random.randint(1, 5)):
        at_us, back_us = (
            draft.instant(),
            random.randrange(20 * MILLISECOND_US, 600 * MILLISECOND_US),
        )
        together = random.randrange(7) == 0
        seats = range(draft.seats) if together else (random.randrange(draft.seats),)
        for seat in seats:
            point = random.choice((None, *CrashPoint))
            draft.faults.append(
                Crash(
                    at_us=at_us + random.randrange(5 * MILLISECOND_US),
                    seat=seat,
                    point=point,
                    sends=random.randrange(4),
                    own_block=point in SEND_POINTS and random.randrange(4) > 0,
                    restart_after_us=back_us + random.randrange(100 * MILLISECOND_US),
                )
            )
        draft.ends(at_us + back_us + 300 * MILLISECOND_US)


def _add_lost_disk(draft: Draft) -> None:
    """Lose one disk, of a seat that is no twin's, when that keeps the faults below one third."""
    random = draft.random
    faulty = (*draft.twins, *draft.hostile)
    spent = sum(draft.stakes[author] for author in faulty)
    fitting = [
        author
        for author, stake in enumerate(draft.stakes)
        if author not in faulty and 3 * (spent + stake) < sum(draft.stakes)
    ]
    if fitting:
        at_us = draft.instant()
        draft.faults.append(
            Crash(
                at_us=at_us,
                seat=random.choice(fitting),
                restart_after_us=300 * MILLISECOND_US,
                wipe=True,
            )
        )
        draft.ends(at_us + SECOND_US)


def _add_partitions(draft: Draft) -> None:
    random = draft.random
    for _ in range(random.randint(1, 3)):
        at_us = draft.instant()
        until_us = at_us + random.randrange(100 * MILLISECOND_US, 700 * MILLISECOND_US)
        seats = list(range(draft.seats))
        random.shuffle(seats)
        cut = random.randint(1, len(seats) - 1)
        draft.faults.append(Partition(at_us=at_us, groups=(tuple(sorted(seats[:cut])),)))
        draft.faults.append(Partition(at_us=until_us))
        draft.ends(until_us)


def _add_sights(draft: Draft) -> None:
    """Let every seat see one twin, the other, or both, changing a few times.

    It begins when the twins have asked everybody, in vain, for blocks of their own.
    """
    random = draft.random
    size = len(draft.stakes)
    if not draft.twins:
        return
    at_us = random.randrange(50 * MILLISECOND_US, 250 * MILLISECOND_US)
    while at_us < WINDOW_US:
        blind = []
        for number, author in enumerate(draft.twins):
            pair = (author, size + number)
            for seat in range(draft.seats):
                hidden = random.choice((0, 0, 1, 1, None))
                if seat not in pair and hidden is not None:
                    blind.append((pair[hidden], seat))
        draft.faults.append(Sight(at_us=at_us, blind=tuple(blind)))
        at_us += random.randrange(50 * MILLISECOND_US, 400 * MILLISECOND_US)
    draft.faults.append(Sight(at_us=at_us))
    draft.ends(at_us)


def _add_loss(draft: Draft) -> None:
    random = draft.random
    loss = Loss(retransmit=random.choice((0.01, 0.05, 0.2)), reset=random.choice((0, 0.002, 0.02)))
    draft.faults.append(LossChange(at_us=0, loss=loss))
    draft.faults.append(LossChange(at_us=WINDOW_US, loss=Loss()))
    draft.ends(WINDOW_US)


def _honest(draft: Draft) -> None:
    del draft


def _crash(draft: Draft) -> None:
    _add_crashes(draft)
    if draft.random.randrange(5) == 0:
        _add_lost_disk(draft)


def _twins(draft: Draft) -> None:
    draft.twins = _faulty(draft.random, draft.stakes)
    _add_sights(draft)


def _split(draft: Draft) -> None:
    """Cut the network in two, with one twin of each pair on either side: where forks come from."""
    random = draft.random
    draft.twins = _faulty(random, draft.stakes)
    size = len(draft.stakes)
    honest = [seat for seat in range(size) if seat not in draft.twins]
    random.shuffle(honest)
    side = honest[: random.randint(1, len(honest) - 1)]
    at_us = random.randrange(100 * MILLISECOND_US, 300 * MILLISECOND_US)
    until_us = at_us + random.randrange(200 * MILLISECOND_US, 700 * MILLISECOND_US)
    draft.faults.append(Partition(at_us=at_us, groups=(tuple(sorted((*side, *draft.twins))),)))
    draft.faults.append(Partition(at_us=until_us))
    draft.ends(until_us)


def _add_liars(draft: Draft) -> None:
    """Make as many authors as fit faulty, in a larger committee: liars by script, and twins."""
    random = draft.random
    draft.stakes = _stakes(random, SIZE_MAX, equal=draft.has_coin)
    faulty = _faulty(random, draft.stakes)
    liars = random.randint(1, len(faulty))
    for author in sorted(faulty[:liars]):
        scripts = draw_scripts(random, author, len(draft.stakes), has_coin=draft.has_coin)
        draft.hostile[author] = scripts
    draft.twins = tuple(sorted(faulty[liars:]))
    _add_sights(draft)


def _byzantine(draft: Draft) -> None:
    random = draft.random
    _add_liars(draft)
    if random.randrange(3) == 0:
        _add_partitions(draft)
    if random.randrange(3) == 0:
        _add_crashes(draft)
    if random.randrange(5) == 0:
        _add_loss(draft)


def _mix(draft: Draft) -> None:
    random = draft.random
    if random.randrange(5) > 1:
        _add_liars(draft)
    if random.randrange(5) > 1:
        _add_partitions(draft)
    if random.randrange(5) > 1:
        _add_loss(draft)
    if random.randrange(5) == 0:
        _add_lost_disk(draft)
    _add_crashes(draft)


PROFILES: Final[Mapping[str, Callable[[Draft], None]]] = {
    "honest": _honest,
    "crash": _crash,
    "partition": _add_partitions,
    "twins": _twins,
    "split": _split,
    "loss": _add_loss,
    "byzantine": _byzantine,
    "mix": _mix,
}

SHARES: Final[Mapping[str, int]] = {
    "honest": 6,
    "crash": 14,
    "partition": 10,
    "twins": 14,
    "split": 12,
    "loss": 4,
    "byzantine": 20,
    "mix": 20,
}
"""How many of every hundred schedules of a sweep use each profile."""


def plan_of(
    profile: str,
    seed: int,
    *,
    commits: int = 30,
    engine: str = "sync",
    wave_length: int | None = None,
) -> Plan:
    """Return the one plan that this profile and seed name for an engine.

    `wave_length` is for leaders from a coin, 4 or 5; without it the seed draws one.
    """
    random = Random(f"{profile}/{seed}")
    stakes = _stakes(random)
    has_coin = engine == "async"
    if has_coin:
        stakes = (1,) * len(stakes)
    draft = Draft(random=random, stakes=stakes, twins=(), faults=[], has_coin=has_coin)
    PROFILES[profile](draft)
    draft.faults.sort(key=lambda fault: fault.at_us)
    plan = Plan(
        seed=seed,
        profile=profile,
        stakes=draft.stakes,
        twins=draft.twins,
        hostile=draft.hostile,
        faults=tuple(draft.faults),
        heal_us=draft.heal_us,
        delay=_delay(random),
        commits=commits,
        sync_us=random.choice((0, 500, 2_000, 8_000)),
        passing=_passing(draft),
        clock_offsets_ms=tuple(random.randint(-500, 500) for _ in range(draft.seats)),
    )
    if has_coin:
        true_coin = random.randrange(TRUE_COIN_ONE_IN) == 0
        coin = CoinKind.THRESHOLD_BLS if true_coin else CoinKind.KEYED_HASH
        plan = plan.asynchronous(wave_length or random.choice((4, 5)), coin)
    later = Random(f"{profile}/{seed}/owners")
    return replace(plan, owners=_owners(later), parameters=_parameters(later, plan.parameters))


def _passing(draft: Draft) -> Passing:
    """Draw how blocks travel: a forgery is refused only where its bytes are verified."""
    drawn = draft.random.choice((Passing.ONCE, *[Passing.REFERENCE] * 3))
    forges = any(one.behaviour == "forge" for scripts in draft.hostile.values() for one in scripts)
    return Passing.ONCE if forges else drawn


def _owners(random: Random) -> Owners:
    """Draw what contributors do with their numbers; in one plan of five nobody misuses one."""
    return Owners(
        equivocating=random.choice((0, 2, 4, 4, 8)),
        copied=random.choice((0, 10, 30)),
        expiring=random.choice((0, 10)),
        resubmitting=random.randrange(2) == 0,
        spread_us=random.choice((30, 300)) * MILLISECOND_US,
    )


def _parameters(random: Random, parameters: ConsensusParameters) -> ConsensusParameters:
    """Let one plan in three collect garbage early: runs are shorter than the usual depth."""
    if random.randrange(3):
        return parameters
    least = parameters.accept_window + parameters.finality_delay + 3
    return replace(parameters, gc_depth=least + random.randrange(8))


def _delay(random: Random) -> Delay:
    return random.choice(
        (
            FixedDelay(delay_us=random.choice((1, 10, 40)) * MILLISECOND_US),
            LogNormalDelay(median_us=random.choice((5, 30)) * MILLISECOND_US),
            ZoneDelay(
                median_us={
                    "eu>us": 40 * MILLISECOND_US,
                    "us>eu": 45 * MILLISECOND_US,
                    "eu>ap": 90 * MILLISECOND_US,
                    "ap>eu": 80 * MILLISECOND_US,
                }
            ),
        )
    )
