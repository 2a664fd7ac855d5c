"""Run one schedule again: `python -m seawall.sim.replay --profile twins --seed 7`.

Or any other run by `--plan`, with the JSON that an error printed, or a file that holds it. Prints
how it ended; `--transcript FILE` writes every event as text, `--trace FILE --site K` what
one seat saw and concluded, as JSON. With `--mutant NAME` the schedule runs on a broken replica.
Exit code 0 means no violation, 1 a violation.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from seawall.sim.adversary import world_of
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import FACTORIES, honest_machinery
from seawall.sim.mutants import MUTANTS
from seawall.sim.plan import Start
from seawall.sim.profiles import PROFILES, plan_of
from seawall.sim.rerun import Rerun, decode
from seawall.sim.trace import TraceRecorder
from seawall.sim.world import World


def read_rerun(text: str) -> Rerun:
    """Return the run in a JSON text, or in the file of this name."""
    try:
        return decode(text if text.lstrip().startswith("{") else Path(text).read_bytes())
    except (OSError, ValueError) as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault


def repeat(world: World, rerun: Rerun) -> None:
    """Do what was done before, each move at its time, and go on as far as then."""
    for move in rerun.moves:
        if move.at_us > world.now_us:
            world.advance(move.at_us)
        if isinstance(move, Start):
            world.start(move.seat, copy_of=move.copy_of)
        else:
            world.apply(move)
    if rerun.until_us is None:
        world.run()
    else:
        world.advance(rerun.until_us)
    if rerun.finished:
        world.finish()


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    found = argparse.ArgumentParser(prog="python -m seawall.sim.replay", description=__doc__)
    found.add_argument("--engine", choices=sorted(FACTORIES), default="sync")
    which = found.add_mutually_exclusive_group(required=True)
    which.add_argument("--profile", choices=sorted(PROFILES))
    which.add_argument("--plan", type=read_rerun, metavar="JSON|FILE")
    found.add_argument("--seed", type=int, default=0, help="of the profile's plan")
    found.add_argument("--commits", type=int, default=30)
    found.add_argument("--wave-length", type=int, choices=(4, 5), default=None)
    found.add_argument("--mutant", choices=sorted(MUTANTS), default=None)
    found.add_argument("--transcript", type=Path, default=None, metavar="FILE")
    found.add_argument("--trace", type=Path, default=None, metavar="FILE")
    found.add_argument("--site", type=int, default=0, help="seat whose trace is written")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the schedule, return the exit code."""
    options = parser().parse_args(arguments)
    rerun = options.plan
    if rerun is None:
        named = plan_of(
            options.profile,
            options.seed,
            commits=options.commits,
            engine=options.engine,
            wave_length=options.wave_length,
        )
        rerun = Rerun(plan=named)
    plan = rerun.plan
    machinery = honest_machinery(options.engine)
    broken: AbstractContextManager[None] = nullcontext()
    if options.mutant is not None:
        plan, machinery = MUTANTS[options.mutant].change(plan, machinery)
        broken = MUTANTS[options.mutant].installed()
    recorder = TraceRecorder(options.site)
    code = 0
    world = world_of(
        plan,
        machinery,
        checkers=(*all_checkers(), recorder),
        transcript=options.transcript is not None,
    )
    try:
        with broken:
            repeat(world, rerun)
        message = "no violation"
    except InvariantError as error:
        code, message = 1, f"VIOLATION {error.summary}"
    if options.transcript is not None:
        options.transcript.write_text(world.log.text(), encoding="utf-8")
    if options.trace is not None:
        options.trace.write_bytes(recorder.json(world))
    outcome = world.outcome()
    sys.stdout.write(
        f"{message}\nstakes {plan.stakes} twins {plan.twins} commits {outcome.commits} "
        f"virtual time {outcome.elapsed_us / 1e6:.3f} s, {outcome.steps} events\n"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
