"""Search the fast path for violations: `python -m seawall.sim.fastpath.search --minutes 10`.

First the enumerations and the family of runs with garbage collection, then random runs until the
time is up, then every old rule, which must be caught. Exit code 0 means: no violation, every old
rule caught. An enumeration that the time cuts short is shown as such.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from seawall.sim.fastpath.checks import ViolationError
from seawall.sim.fastpath.collection import family
from seawall.sim.fastpath.drawing import SHAPES
from seawall.sim.fastpath.exhaustive import LONG, SHORT, Enumeration
from seawall.sim.fastpath.rules import Rules
from seawall.sim.fastpath.scenarios import SCENARIOS, Scenario, draw_of, hunt
from seawall.sim.fastpath.script import replay

SHOWN_EVERY_S: Final = 20.0
LONG_MINUTES_MIN: Final = 5.0
SEEDS_MAX: Final = 2_000
"""Within how many seeds an old rule must be caught."""


@dataclass(slots=True)
class Tally:
    """What random runs have shown, for one (w, W, D)."""

    runs: int = 0
    blocks: int = 0
    commits: int = 0
    final: int = 0
    verdicts: Counter[tuple[str, int]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, seed: int) -> None:
        """Run one seed under the protocol."""
        draw = draw_of(seed)
        try:
            draw.run()
        except ViolationError as violation:
            self.violations.append(f"seed {seed}: {violation}")
        checks = draw.stage.checks
        self.runs += 1
        self.blocks += len(draw.stage.dag.blocks)
        self.commits += len(checks.commits)
        self.final += len(checks.final)
        self.verdicts.update((verdict.judgement, verdict.rule) for verdict in checks.verdicts)


class Clock:
    """Tells how much of the time is spent, and when to show progress again."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self.began = time.monotonic()
        self.ends = self.began + seconds
        self.shown = self.began

    def over(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() >= self.ends

    def part(self, share: float) -> Callable[[], bool]:
        """Return what says when a share of the remaining time is spent."""
        now = time.monotonic()
        ends = now + share * max(0.0, self.ends - now)
        return lambda: time.monotonic() >= ends

    def show(self, line: str, *, now: bool = False) -> None:
        """Write a line of progress, at most one every so often unless `now`."""
        if now or time.monotonic() - self.shown >= SHOWN_EVERY_S:
            self.shown = time.monotonic()
            show(f"  {self.shown - self.began:>5.0f} s  {line}")


def show(line: str) -> None:
    """Write one line to the terminal at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def enumerate_all(clock: Clock, *, long: bool) -> tuple[list[str], bool]:
    """Run the enumerations; return their table and whether none broke anything."""
    lines = [f"{'enumerated':<44} {'states':>8} {'blocks':>9} {'leaders':>8} {'FINAL':>7} outcome"]
    clean = True
    for name, bounds in (LONG if long else SHORT).items():
        outcome = Enumeration(bounds, Rules(), clock.part(0.4)).run()
        told = outcome.violation or (
            "none broken" if outcome.complete else "cut short, none broken"
        )
        clean = clean and outcome.violation is None
        numbers = f"{outcome.states:>8} {outcome.blocks:>9} {outcome.leaders:>8} {outcome.final:>7}"
        lines.append(f"{name:<44} {numbers} {told}")
        clock.show(f"enumerated: {name}: {told}", now=True)
    return lines, clean


def collect_all(clock: Clock, *, whole: bool) -> tuple[list[str], bool]:
    """Run the family with garbage collection; return its line and whether it broke nothing."""
    broken: list[str] = []
    runs = 0
    for member in family(whole=whole):
        if clock.over():
            break
        violation = replay(member.script(), Rules())
        runs += 1
        if violation is not None:
            broken.append(f"{member}: {violation}")
        clock.show(f"garbage collection: {runs} runs, {len(broken)} violations")
    return [f"garbage collection: {runs} runs, {len(broken)} violations", *broken], not broken


def draw_all(clock: Clock, first_seed: int) -> tuple[list[str], bool]:
    """Run random seeds until the time is up; return the table and whether none broke anything."""
    tallies = {shape: Tally() for shape in SHAPES}
    for seed in count(first_seed):
        if clock.over():
            break
        tallies[SHAPES[seed % len(SHAPES)]].add(seed)
        bad = sum(len(tally.violations) for tally in tallies.values())
        final = sum(tally.final for tally in tallies.values())
        clock.show(f"drawn: {seed + 1 - first_seed} runs, {final} FINAL, {bad} violations")
    kinds = (("ACCEPT", 1), ("DUPLICATE", 1), ("REJECT", 2), ("REJECT", 3), ("REJECT", 4))
    columns = " ".join(f"{f'{kind.lower()} {rule}':>11}" for kind, rule in kinds)
    lines = [f"(w, W, D)    runs    blocks  commits    FINAL {columns} violations"]
    for shape, tally in tallies.items():
        verdicts = " ".join(f"{tally.verdicts[kind]:>11}" for kind in kinds)
        numbers = f"{tally.runs:>7} {tally.blocks:>9} {tally.commits:>8} {tally.final:>8}"
        lines.append(f"{shape!s:<9} {numbers} {verdicts} {len(tally.violations):>10}")
        lines += tally.violations
    return lines, not any(tally.violations for tally in tallies.values())


def catch(name: str, scenario: Scenario) -> tuple[str, bool]:
    """Return the line that says what caught an old rule, and whether anything did."""
    if scenario.runs is None:
        found = hunt(scenario, iter(range(SEEDS_MAX)))
        told = "MISSED" if found is None else f"{scenario.breaks} by seed {found[0]}"
        return f"{name:<30} {told}", found is not None
    for number, script in enumerate(scenario.runs(), 1):
        if scenario.old(script) is not None and scenario.new(script) is None:
            return f"{name:<30} {scenario.breaks} by run {number} made for it", True
    return f"{name:<30} MISSED", False


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, search, print the tables, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seawall.sim.fastpath.search")
    parser.add_argument("--minutes", type=float, default=1.0, help="time for all but old rules")
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the first random run")
    options = parser.parse_args(arguments)
    clock = Clock(60 * options.minutes)
    long = options.minutes >= LONG_MINUTES_MIN
    parts = [
        enumerate_all(clock, long=long),
        collect_all(clock, whole=long),
        draw_all(clock, options.seed),
    ]
    caught = [catch(name, scenario) for name, scenario in SCENARIOS.items()]
    parts.append(
        (
            [f"{'old rule':<30} caught", *(line for line, _ in caught)],
            all(fine for _, fine in caught),
        )
    )
    for lines, _ in parts:
        show("")
        for line in lines:
            show(line)
    return 0 if all(clean for _, clean in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
