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
from seawall.sim.plan import Passing
from seawall.sim.profiles import SHARES, plan_of

CHUNK: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One schedule to run."""

    engine: str
    profile: str
    seed: int
    commits: int

    @property
    def replay(self) -> str:
        """Return the one command that runs this schedule again."""
        return (
            f"python -m seawall.sim.replay --engine {self.engine} --profile {self.profile} "
            f"--seed {self.seed} --commits {self.commits}"
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
    verified_bytes: bool
    own_send_crashes: int


def run_job(job: Job) -> Report:
    """Run one schedule with all checkers."""
    plan = plan_of(job.profile, job.seed, commits=job.commits, engine=job.engine)
    world = world_of(plan, honest_machinery(job.engine), checkers=all_checkers())
    violation = None
    started = time.process_time()
    try:
        world.run()
    except InvariantError as error:
        violation = error.summary
    heights = [seat.ledger.height for seat in world.honest() if seat.replica is not None]
    return Report(
        job=job,
        leaders=min(heights, default=0),
        steps=world.steps,
        elapsed_us=world.now_us,
        cpu_s=time.process_time() - started,
        violation=violation,
        verified_bytes=plan.passing is not Passing.REFERENCE,
        own_send_crashes=world.own_send_crashes,
    )


def jobs_of(engine: str, schedules: int, commits: int, first_seed: int) -> list[Job]:
    """Return the schedules of a sweep, profiles interleaved by their shares."""
    order = [profile for profile, share in SHARES.items() for _ in range(share)]
    stride = 37
    return [
        Job(
            engine=engine,
            profile=order[(number * stride) % len(order)],
            seed=first_seed + number,
            commits=commits,
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
    started = time.monotonic()
    reports: list[Report] = []
    every = max(1, len(jobs) // 20)
    for report in run_all(jobs, processes):
        reports.append(report)
        if report.violation is not None:
            show(f"VIOLATION {report.violation}\n  replay: {report.job.replay}")
        if len(reports) % every == 0:
            bad = sum(1 for one in reports if one.violation is not None)
            spent = time.monotonic() - started
            show(f"  {len(reports):>6}/{len(jobs)} schedules, {bad} violations, {spent:.0f} s")
    return reports


def table(reports: Sequence[Report]) -> list[str]:
    """Return the lines of the final table, one per profile and one for all."""
    head = f"{'profile':<10} {'schedules':>9} {'leaders min':>11} {'median':>7} "
    lines = [head + f"{'bytes':>5} {'steps':>9} {'CPU s':>6} {'violations':>10}"]
    groups = [(name, [r for r in reports if r.job.profile == name]) for name in SHARES]
    for name, group in (*groups, ("all", list(reports))):
        if group:
            leaders = [report.leaders for report in group]
            bad = sum(1 for report in group if report.violation is not None)
            steps = sum(report.steps for report in group)
            cpu_s = sum(report.cpu_s for report in group)
            verified = sum(report.verified_bytes for report in group) / len(group)
            lines.append(
                f"{name:<10} {len(group):>9} {min(leaders):>11} {median(leaders):>7.0f} "
                f"{verified:>5.0%} {steps:>9} {cpu_s:>6.0f} {bad:>10}"
            )
    between = sum(1 for report in reports if report.own_send_crashes)
    lines.append("bytes: schedules whose blocks are encoded, decoded and verified on their way")
    lines.append(f"{between} schedules have a crash while an own block was being sent")
    return lines


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
