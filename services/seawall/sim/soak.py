"""Sweep on and on with new seeds: `python -m seawall.sim.soak --minutes 60`.

Goes round by round of schedules, each with more committed leaders than a sweep in CI, so that
garbage collection takes part. Stops at the first violation, or when the time is up.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from seawall.sim.machinery import FACTORIES
from seawall.sim.sweep import collect, jobs_of, show, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, soak until the time is up, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seawall.sim.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this long")
    parser.add_argument("--schedules", type=int, default=500, help="schedules of one round")
    parser.add_argument("--commits", type=int, default=200, help="committed leaders of each")
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the first schedule")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    options = parser.parse_args(arguments)
    ends = time.monotonic() + 60 * options.minutes
    first_seed = options.seed
    while True:
        for engine in sorted(FACTORIES):
            show(f"engine {engine}, seeds from {first_seed}")
            jobs = jobs_of(engine, options.schedules, options.commits, first_seed)
            reports = collect(jobs, options.processes)
            for line in table(reports):
                show(line)
            if any(report.violation is not None for report in reports):
                return 1
        first_seed += options.schedules
        if time.monotonic() >= ends:
            return 0


if __name__ == "__main__":
    sys.exit(main())
