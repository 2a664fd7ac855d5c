"""Run many random schedules and print what they showed: `python -m seawall.sim.sweep`.

Every schedule is named by a profile and a seed. Exit code 0 means: no violation, every schedule
reached its goal, every mutant was caught.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from seawall.sim.adversary import world_of
from seawall.sim.checking import InvariantError
from seawall.sim.hunting import Hunt, hunt
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import FACTORIES, honest_machinery
from seawall.sim.mutants import MUTANTS
from seawall.sim.plan import Passing, Plan
from seawall.sim.profiles import SHARES, plan_of

CHUNK: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One schedule to run; `wave_length` None leaves the choice to the seed."""

    engine: str
    profile: str
    seed: int
    commits: int
    wave_length: int | None = None

    @property
    def mode(self) -> str:
        """Return the engine, with its wave length where one is asked for."""
        return self.engine if self.wave_length is None else f"{self.engine} {self.wave_length}"

    @property
    def replay(self) -> str:
        """Return the one command that runs this schedule again."""
        return (
            f"python -m seawall.sim.replay --engine {self.engine} --profile {self.profile} "
            f"--seed {self.seed} --commits {self.commits}"
            + ("" if self.wave_length is None else f" --wave-length {self.wave_length}")
        )

    def plan(self) -> Plan:
        """Return the plan that this names."""
        return plan_of(
            self.profile,
            self.seed,
            commits=self.commits,
            engine=self.engine,
            wave_length=self.wave_length,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one schedule showed: least commits of an honest seat, or the violation."""

    job: Job
    leaders: int
    steps: int
    elapsed_us: int
    cpu_s: float
    violation: str | None
    invariant: str | None
    sites: int
    faulty: int
    verified_bytes: bool
    own_send_crashes: int


def run_job(job: Job) -> Report:
    """Run one schedule with all checkers."""
    plan = job.plan()
    world = world_of(plan, honest_machinery(job.engine), checkers=all_checkers())
    violation = invariant = None
    started = time.process_time()
    try:
        world.run()
    except InvariantError as error:
        violation, invariant = error.summary, error.invariant
    heights = [seat.ledger.height for seat in world.honest() if seat.replica is not None]
    return Report(
        job=job,
        leaders=min(heights, default=0),
        steps=world.steps,
        elapsed_us=world.now_us,
        cpu_s=time.process_time() - started,
        violation=violation,
        invariant=invariant,
        sites=len(plan.stakes),
        faulty=len(plan.faulty),
        verified_bytes=plan.passing is not Passing.REFERENCE,
        own_send_crashes=world.own_send_crashes,
    )


def jobs_of(
    engine: str, schedules: int, commits: int, first_seed: int, wave_length: int | None = None
) -> list[Job]:
    """Return the schedules of a sweep, profiles interleaved by their shares."""
    order = [profile for profile, share in SHARES.items() for _ in range(share)]
    stride = 37
    return [
        Job(
            engine=engine,
            profile=order[(number * stride) % len(order)],
            seed=first_seed + number,
            commits=commits,
            wave_length=wave_length,
        )
        for number in range(schedules)
    ]


def run_all(jobs: Sequence[Job], processes: int) -> Iterator[Report]:
    """Run all schedules, in this process or over fresh ones; the order is that of completion."""
    if processes <= 1:
        yield from map(run_job, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run_job, jobs, chunksize=CHUNK)


def show(line: str, *, end: str = "\n") -> None:
    """Write one line to the terminal at once."""
    sys.stdout.write(line + end)
    sys.stdout.flush()


def collect(jobs: Sequence[Job], processes: int) -> list[Report]:
    """Run all schedules and show progress on the way, violations as they appear."""
    reports: list[Report] = []
    progress = Progress("schedules", len(jobs))
    for report in run_all(jobs, processes):
        reports.append(report)
        if report.violation is not None:
            show(f"VIOLATION {report.violation}\n  replay: {report.job.replay}")
        progress.step(bad=report.violation is not None)
    return reports


class Progress:
    """Shows how far a long search is, what it has found, and when it will be done."""

    def __init__(self, what: str, total: int) -> None:
        """Start counting now; a line is shown for every twentieth part."""
        self._what = what
        self._total = total
        self._every = max(1, total // 20)
        self._done = 0
        self._bad = 0
        self._started = time.monotonic()

    def step(self, *, bad: bool) -> None:
        """Count one."""
        self._done += 1
        self._bad += bad
        if self._done % self._every == 0 or self._done == self._total:
            spent = time.monotonic() - self._started
            left = spent / self._done * (self._total - self._done)
            show(
                f"  {self._done:>6}/{self._total} {self._what}, {self._bad} violations, "
                f"{spent:.0f} s, {left:.0f} s to go"
            )


def table(reports: Sequence[Report]) -> list[str]:
    """Return the lines of the final table, one per profile and one for all."""
    head = f"{'profile':<10} {'schedules':>9} {'sites':>5} {'faulty':>6} {'leaders min':>11} "
    lines = [head + f"{'median':>7} {'bytes':>5} {'steps':>9} {'CPU s':>6} {'violations':>10}"]
    groups = [(name, [r for r in reports if r.job.profile == name]) for name in SHARES]
    lines.extend(_row(name, group) for name, group in (*groups, ("all", reports)) if group)
    between = sum(1 for report in reports if report.own_send_crashes)
    lines.append("sites, faulty: from least to most; faulty stake is below one third in all")
    lines.append("bytes: schedules whose blocks are encoded, decoded and verified on their way")
    lines.append(f"{between} schedules have a crash while an own block was being sent")
    return lines


def _row(name: str, group: Sequence[Report]) -> str:
    leaders = [report.leaders for report in group]
    sites = [report.sites for report in group]
    faulty = [report.faulty for report in group]
    verified = sum(report.verified_bytes for report in group) / len(group)
    return (
        f"{name:<10} {len(group):>9} {f'{min(sites)}-{max(sites)}':>5} "
        f"{f'{min(faulty)}-{max(faulty)}':>6} {min(leaders):>11} {median(leaders):>7.0f} "
        f"{verified:>5.0%} {sum(report.steps for report in group):>9} "
        f"{sum(report.cpu_s for report in group):>6.0f} "
        f"{sum(1 for report in group if report.violation is not None):>10}"
    )


def mutant_table(hunts: Sequence[Hunt]) -> list[str]:
    """Return the lines that say which checker caught which mutant after how many seeds."""
    lines = [f"{'mutant':<28} {'caught by':<10} {'seeds':>5} {'allowed':>7}"]
    for found in hunts:
        caught = found.invariant or "MISSED"
        lines.append(f"{found.mutant:<28} {caught:<10} {found.seeds:>5} {found.seeds_max:>7}")
    return lines


def sweep(engine: str, schedules: int, commits: int, first_seed: int, processes: int) -> bool:
    """Run one sweep with its mutants and print both tables; return whether all was well."""
    jobs = jobs_of(engine, schedules, commits, first_seed)
    show(f"{schedules} schedules of at least {commits} committed leaders, engine {engine}")
    started = time.monotonic()
    reports = collect(jobs, processes)
    for line in table(reports):
        show(line)
    show(f"{time.monotonic() - started:.0f} s on {processes} processes")
    hunts = [hunt(engine, name) for name, one in MUTANTS.items() if engine in one.engines]
    for line in mutant_table(hunts):
        show(line)
    clean = all(report.violation is None for report in reports)
    return clean and all(found.invariant is not None for found in hunts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, sweep every asked engine, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seawall.sim.sweep", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000, help="how many schedules")
    parser.add_argument("--commits", type=int, default=30, help="committed leaders of each")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first schedule")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument("--engine", choices=sorted(FACTORIES), action="append", default=None)
    options = parser.parse_args(arguments)
    engines = options.engine or sorted(FACTORIES)
    results = [
        sweep(engine, options.schedules, options.commits, options.seed, options.processes)
        for engine in engines
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
