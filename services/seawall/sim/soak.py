"""Search for violations for an hour or so: `python -m seawall.sim.soak`, or `make soak`.

Runs the controls, hunts every mutant, tries all Twins schedules of the small scopes, and then
random schedules over three modes (w = 3 with timeouts, w = 4 and 5 with a coin), each of at least
50 committed leaders. The first violation of each invariant is shrunk. Exit code 0 means: no
violation, every mutant caught, every control as it must be.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from seawall.sim.controls import CONTROLS
from seawall.sim.hunting import Hunt, hunt
from seawall.sim.mutants import MUTANTS
from seawall.sim.shrink import judge_of, replay_of, shrink
from seawall.sim.sweep import (
    CHUNK,
    Job,
    Progress,
    Report,
    jobs_of,
    mutant_table,
    run_job,
    show,
    table,
)
from seawall.sim.twins import SCOPES, Groups, Scope, schedules, try_schedule

MODES: Final = (("sync", None), ("async", 4), ("async", 5))
SCHEDULES: Final = 20_001
COMMITS: Final = 50
SHORT_SCHEDULES: Final = 600
SHORT_TWINS_EVERY: Final = 60
SHORT_MUTANTS: Final = ("quorum_off_by_one", "open_slot_passed_over", "share_skipped")
SHRINK_TRIES: Final = 100

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much a soak does; `minutes` ends the random schedules, done or not."""

    schedules: int
    commits: int
    first_seed: int
    processes: int
    minutes: float | None
    twins_every: int
    mutants: tuple[str, ...]


def spread(
    run: Callable[[Task], Result], tasks: Sequence[Task], processes: int
) -> Iterator[Result]:
    """Run tasks, in this process or over fresh ones; results come in the order of completion."""
    if processes <= 1:
        yield from map(run, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run, tasks, chunksize=CHUNK)


def run_hunt(which: tuple[str, str]) -> Hunt:
    """Hunt one mutant (engine, name)."""
    return hunt(*which)


def run_twins(which: tuple[Scope, int, tuple[Groups, ...]]) -> tuple[str, str | None, str]:
    """Try one Twins schedule: return (scope, violation, command that replays it)."""
    scope, twin, cuts = which
    tried = try_schedule(scope, twin, cuts)
    again = "" if tried.violation is None else replay_of(tried.plan, scope.engine)
    return scope.name, tried.violation, again


def soak_controls() -> bool:
    """Run all controls; return whether each shows what it must."""
    well = True
    for name, control in CONTROLS.items():
        found = control()
        well &= found.passed
        show(f"  {name:<28} {'pass' if found.passed else 'FAIL'}  {found.detail}")
    return well


def soak_mutants(names: Iterable[str], processes: int) -> bool:
    """Hunt these mutants with every engine of theirs; return whether each was caught."""
    hunts = [(engine, name) for name in names for engine in MUTANTS[name].engines]
    found = list(spread(run_hunt, hunts, processes))
    for line in mutant_table(sorted(found, key=lambda one: one.mutant)):
        show(f"  {line}")
    return all(one.invariant is not None for one in found)


def soak_twins(every: int, processes: int) -> bool:
    """Try the schedules of all scopes, or each so-manieth; return whether all were well."""
    tasks = [
        (scope, twin, cuts)
        for scope in SCOPES
        for twin, cuts in list(schedules(scope.rounds))[::every]
    ]
    progress = Progress("Twins schedules", len(tasks))
    counts = {scope.name: [0, 0] for scope in SCOPES}
    for name, violation, again in spread(run_twins, tasks, processes):
        counts[name][0] += 1
        counts[name][1] += violation is not None
        if violation is not None:
            show(f"VIOLATION {violation}\n  replay: {again}")
        progress.step(bad=violation is not None)
    for name, (tried, bad) in counts.items():
        show(f"  {name:<24} {tried:>6} schedules, {bad} violations")
    return not any(bad for _, bad in counts.values())


def jobs_by_mode(extent: Extent) -> list[Job]:
    """Return the random schedules, modes interleaved; each mode has seeds of its own."""
    share = -(-extent.schedules // len(MODES))
    by_mode = [
        jobs_of(engine, share, extent.commits, extent.first_seed + place * share, wave_length)
        for place, (engine, wave_length) in enumerate(MODES)
    ]
    return [job for row in zip(*by_mode, strict=True) for job in row]


def soak_schedules(extent: Extent) -> list[Report]:
    """Run random schedules until all are done or the time is up."""
    jobs = jobs_by_mode(extent)
    ends = None if extent.minutes is None else time.monotonic() + 60 * extent.minutes
    progress = Progress("schedules", len(jobs))
    reports: list[Report] = []
    for report in spread(run_job, jobs, extent.processes):
        reports.append(report)
        if report.violation is not None:
            show(f"VIOLATION {report.violation}\n  replay: {report.job.replay}")
        progress.step(bad=report.violation is not None)
        if ends is not None and time.monotonic() >= ends:
            show(f"  the time is up after {len(reports)} of {len(jobs)} schedules")
            break
    return reports


def show_smallest(reports: Iterable[Report]) -> None:
    """Shrink the first violation of each invariant and show the command of what is left."""
    first: dict[str, Job] = {}
    for report in reports:
        if report.invariant is not None:
            first.setdefault(report.invariant, report.job)
    for invariant, job in first.items():
        found = shrink(job.plan(), invariant, judge_of(job.engine), tries_max=SHRINK_TRIES)
        show(f"smallest for {invariant} after {found.tries} tries:")
        show(f"  replay: {replay_of(found.plan, job.engine)}")


def soak(extent: Extent) -> bool:
    """Do all of it and print the tables; return whether all was well."""
    show("controls")
    well = soak_controls()
    show(f"mutants: {len(extent.mutants)}")
    well &= soak_mutants(extent.mutants, extent.processes)
    show("Twins, systematically")
    well &= soak_twins(extent.twins_every, extent.processes)
    show(f"random schedules of at least {extent.commits} committed leaders")
    reports = soak_schedules(extent)
    for engine, wave_length in MODES:
        mode = Job(engine=engine, profile="", seed=0, commits=0, wave_length=wave_length).mode
        show(f"mode {mode}")
        for line in table([one for one in reports if one.job.mode == mode]):
            show(line)
    show_smallest(reports)
    return well and all(report.violation is None for report in reports)


def extent_of(arguments: Sequence[str] | None = None) -> Extent:
    """Return what a command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m seawall.sim.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=None, help="end random schedules then")
    parser.add_argument("--schedules", type=int, default=None, help=f"default {SCHEDULES}")
    parser.add_argument("--commits", type=int, default=COMMITS, help="committed leaders of each")
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the first schedule")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument("--short", action="store_true", help="two to three minutes, for CI")
    options = parser.parse_args(arguments)
    usual = SHORT_SCHEDULES if options.short else SCHEDULES
    return Extent(
        schedules=usual if options.schedules is None else options.schedules,
        commits=options.commits,
        first_seed=options.seed,
        processes=options.processes,
        minutes=options.minutes,
        twins_every=SHORT_TWINS_EVERY if options.short else 1,
        mutants=SHORT_MUTANTS if options.short else tuple(MUTANTS),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, soak, return the exit code."""
    started = time.monotonic()
    well = soak(extent_of(arguments))
    show(f"{'all was well' if well else 'NOT all was well'}, {time.monotonic() - started:.0f} s")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
