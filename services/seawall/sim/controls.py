"""Runs that must go wrong, or must not, under an adversary beyond what a protocol can bear.

`python -m seawall.sim.controls` runs all of them. Where more than f sites lie, a fork is possible,
and the control passes when a checker reports it. Where an adversary knows the leaders, nothing
commits, and the same adversary fails against the coin.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from seawall.sim.adversary import world_of
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import Machinery, honest_machinery
from seawall.sim.network import SECOND_US, FixedDelay
from seawall.sim.plan import FAST_PARAMETERS, Aim, Partition, Plan
from seawall.sim.round_robin import LEADERS_PER_ROUND, round_robin_machinery

BOUND_US: Final = SECOND_US
"""How long the aiming adversary may hold a message where nobody waits for leaders."""

STARVED_ROUNDS: Final = 100
COIN_COMMITS: Final = 50
COIN_ROUNDS_PER_COMMIT_MAX: Final = 2
TIMEOUT_MS_MAX: Final = 1000
ATTACK_US: Final = 30 * SECOND_US
RECOVERY_US: Final = 3 * SECOND_US
RECOVERED_COMMITS: Final = 50
SPLIT_US: Final = 200_000
FORKS: Final = ("I6", "I7", "I8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a control showed, and whether that is what it must show."""

    passed: bool
    detail: str


def aimed(seed: int, until_us: int = 1000 * SECOND_US) -> Plan:
    """Return four sites under an adversary that aims at the one leader of each round."""
    return Plan(
        seed=seed,
        parameters=replace(FAST_PARAMETERS, leaders_per_round=LEADERS_PER_ROUND),
        delay=FixedDelay(),
        adversary=Aim(bound_us=BOUND_US, until_us=until_us),
        commits=COIN_COMMITS,
        limit_us=1000 * SECOND_US,
    )


def round_robin_starves(seed: int = 1) -> Finding:
    """With w = 4 and leaders by turns, no slot is decided directly and nothing commits."""
    plan = aimed(seed)
    plan = replace(plan, parameters=plan.parameters.asynchronous(4))
    world = world_of(plan, round_robin_machinery(), checkers=all_checkers())
    rounds = 0
    while rounds < STARVED_ROUNDS and world.now_us < plan.limit_us:
        world.advance(world.now_us + SECOND_US)
        rounds = min(seat.engine.status().round for seat in world.seats if seat.engine)
    commits = max(world.outcome().commits)
    return Finding(
        passed=rounds >= STARVED_ROUNDS and commits == 0,
        detail=f"{commits} commits in {rounds} rounds",
    )


def coin_commits(wave_length: int, seed: int = 1) -> Finding:
    """Under the same adversary a coin commits, and needs at most two rounds a commit."""
    plan = aimed(seed).asynchronous(wave_length)
    world = world_of(plan, honest_machinery("async"), checkers=all_checkers())
    world.run()
    commits = world.seats[0].ledger.commits
    rounds = commits[-1].leader.round
    return Finding(
        passed=rounds <= COIN_ROUNDS_PER_COMMIT_MAX * len(commits),
        detail=f"{len(commits)} commits in {rounds} rounds",
    )


def timeouts_recover(seed: int = 1) -> Finding:
    """With w = 3 nothing commits while messages are held, and commits return with calm."""
    plan = replace(
        aimed(seed),
        parameters=replace(FAST_PARAMETERS, leader_timeout_ms_max=TIMEOUT_MS_MAX),
        adversary=Aim(bound_us=5_000 * TIMEOUT_MS_MAX, until_us=ATTACK_US),
    )
    world = world_of(plan, honest_machinery("sync"), checkers=all_checkers())
    world.advance(ATTACK_US)
    starved = max(world.outcome().commits)
    world.advance(ATTACK_US + RECOVERY_US)
    commits = min(world.outcome().commits)
    return Finding(
        passed=starved == 0 and commits >= RECOVERED_COMMITS,
        detail=f"{starved} commits in {ATTACK_US // SECOND_US} s of attack, "
        f"{commits} in the {RECOVERY_US // SECOND_US} s after",
    )


def twins_above_f(size: int) -> Plan:
    """Return sites of which f + 1 have twins, and a network with a quorum on either side."""
    twins = tuple(range((size - 1) // 3 + 1))
    honest = size - len(twins)
    side = (*twins, *range(len(twins), len(twins) + honest // 2))
    split = Partition(at_us=SPLIT_US, groups=(side,))
    return Plan(
        seed=1, stakes=(1,) * size, twins=twins, faults=(split,), commits=30, delay=FixedDelay()
    )


def fork_is_reported(plan: Plan, engine: str = "sync") -> Finding:
    """Above f a checker of verdicts or commits names the fork."""
    checkers = [one for one in all_checkers() if one.invariant in FORKS]
    parts: Machinery = honest_machinery(engine)
    try:
        world_of(plan, parts, checkers=checkers).run()
    except InvariantError as error:
        return Finding(passed=error.invariant in FORKS, detail=f"reported: {error.summary}")
    return Finding(passed=False, detail="no fork was reported")


CONTROLS: Final[Mapping[str, Callable[[], Finding]]] = {
    "round_robin_starves": round_robin_starves,
    "coin_commits_at_w4": lambda: coin_commits(4),
    "coin_commits_at_w5": lambda: coin_commits(5),
    "timeouts_recover": timeouts_recover,
    "2_twins_of_4_fork": lambda: fork_is_reported(twins_above_f(4)),
    "3_twins_of_7_fork": lambda: fork_is_reported(twins_above_f(7)),
    "2_twins_of_4_fork_with_coin": lambda: fork_is_reported(
        twins_above_f(4).asynchronous(5), "async"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the controls, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seawall.sim.controls", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(CONTROLS))
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in CONTROLS]
    if unknown:
        parser.error(f"no control {unknown[0]}")
    code = 0
    for name in options.names or CONTROLS:
        found = CONTROLS[name]()
        code |= not found.passed
        sys.stdout.write(f"{name:<28} {'pass' if found.passed else 'FAIL'}  {found.detail}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
