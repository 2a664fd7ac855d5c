"""Makes a failing plan small: drops what it fails without, and prints the command of the rest.

A smaller plan counts when it violates the same invariant. The search goes over ever finer parts of
the faults, then over everything else, until a pass changes nothing or the tries are spent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from seawall.sim.adversary import world_of
from seawall.sim.checking import InvariantError
from seawall.sim.invariants import all_checkers
from seawall.sim.machinery import honest_machinery
from seawall.sim.mutants import MUTANTS
from seawall.sim.network import FixedDelay, Loss
from seawall.sim.plan import Crash, Fault, LossChange, Partition, Plan, Sight
from seawall.sim.rerun import COMMAND, Rerun, command

TRIES_MAX: Final = 200
SITES_MIN: Final = 4
LIVENESS: Final = ("I16", "I17")
"""Smaller plans must let the network come to rest for these: else they would always hold."""

Judge = Callable[[Plan], str | None]
"""Return the invariant that a plan violates, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """The smallest plan found, what it violates, and after how many runs."""

    plan: Plan
    invariant: str
    tries: int


def size_of(plan: Plan) -> int:
    """Return how much happens in a plan: sites, faults, twins, and scripts together."""
    scripts = sum(max(1, len(scripts)) for scripts in plan.hostile.values())
    return len(plan.stakes) + len(plan.faults) + len(plan.twins) + scripts


def judge_of(engine: str, mutant: str | None = None) -> Judge:
    """Return a judge that runs plans on true parts, or on those of a mutant."""

    def judge(plan: Plan) -> str | None:
        parts = honest_machinery(engine)
        try:
            if mutant is None:
                world_of(plan, parts, checkers=all_checkers()).run()
                return None
            plan, parts = MUTANTS[mutant].change(plan, parts)
            with MUTANTS[mutant].installed():
                world_of(plan, parts, checkers=all_checkers()).run()
        except InvariantError as error:
            return error.invariant
        return None

    return judge


def shrink(plan: Plan, invariant: str, judge: Judge, *, tries_max: int = TRIES_MAX) -> Shrunk:
    """Return the smallest plan found that violates this invariant under the judge."""
    tries = 0
    changed = True
    while changed and tries < tries_max:
        changed = False
        for kind in _KINDS:
            place = 0
            candidates = _candidates(kind, plan, invariant)
            while place < len(candidates) and tries < tries_max:
                tries += 1
                if judge(candidates[place]) == invariant:
                    plan, changed = candidates[place], True
                    candidates, place = _candidates(kind, plan, invariant), 0
                else:
                    place += 1
    return Shrunk(plan=plan, invariant=invariant, tries=tries)


def replay_of(plan: Plan, engine: str, mutant: str | None = None) -> str:
    """Return the one command that runs a plan again, on a mutant where one is named."""
    line = command(Rerun(plan=plan), honest_machinery(engine))
    assert line.startswith(COMMAND), "true parts and a plan's own delays always have a command"
    return line if mutant is None else f"{line} --mutant {mutant}"


def _candidates(kind: Callable[[Plan], Iterator[Plan]], plan: Plan, invariant: str) -> list[Plan]:
    """Return the smaller plans that may be tried."""
    return [one for one in kind(plan) if invariant not in LIVENESS or _comes_to_rest(one, plan)]


def _comes_to_rest(plan: Plan, before: Plan) -> bool:
    """Return whether cuts and losses end, as late as ever."""
    last: dict[type, Fault] = {type(fault): fault for fault in plan.faults}
    ill = False
    for fault in last.values():
        match fault:
            case Partition(groups=groups):
                ill |= bool(groups)
            case Sight(blind=blind):
                ill |= bool(blind)
            case LossChange(loss=loss):
                ill |= loss != Loss()
            case _:
                pass
    return not ill and plan.heal_us == before.heal_us


# --- what can be left out -------------------------------------------------------------------------


def _fewer_faults(plan: Plan) -> Iterator[Plan]:
    """Leave out parts of the faults, from one half down to single ones."""
    faults = plan.faults
    part = len(faults)
    while part:
        for start in range(0, len(faults), part):
            yield replace(plan, faults=faults[:start] + faults[start + part :])
        part //= 2


def _fewer_twins(plan: Plan) -> Iterator[Plan]:
    for place in range(len(plan.twins)):
        gone = len(plan.stakes) + place
        twins = plan.twins[:place] + plan.twins[place + 1 :]
        yield _without_seat(replace(plan, twins=twins), gone)


def _fewer_scripts(plan: Plan) -> Iterator[Plan]:
    for author, scripts in plan.hostile.items():
        yield replace(plan, hostile={k: v for k, v in plan.hostile.items() if k != author})
        for place in range(len(scripts) if len(scripts) > 1 else 0):
            rest = scripts[:place] + scripts[place + 1 :]
            yield replace(plan, hostile={**plan.hostile, author: rest})


def _fewer_sites(plan: Plan) -> Iterator[Plan]:
    """Leave out the last honest site, as long as what is faulty stays below one third."""
    last = len(plan.stakes) - 1
    stakes = plan.stakes[:-1]
    if last < SITES_MIN or last in plan.faulty:
        return
    smaller = _without_seat(replace(plan, stakes=stakes), last)
    if 3 * sum(stakes[author] for author in smaller.faulty) < sum(stakes):
        yield smaller


def _shorter(plan: Plan) -> Iterator[Plan]:
    if plan.commits > 1:
        yield replace(plan, commits=plan.commits // 2)


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Take the plainest value of everything that only adds variety."""
    plain: dict[str, object] = {
        "delay": FixedDelay(),
        "stakes": (1,) * len(plan.stakes),
        "sync_us": 0,
        "clock_offsets_ms": (),
        "submit_every_us": 0,
        "loss": Loss(),
        "adversary": None,
        "heal_us": max([fault.at_us for fault in plan.faults], default=0),
    }
    for name, value in plain.items():
        if getattr(plan, name) != value:
            yield replace(plan, **{name: value})  # type: ignore[arg-type]  # by name


_KINDS: Final = (_fewer_faults, _fewer_twins, _fewer_scripts, _fewer_sites, _shorter, _simpler)


def _without_seat(plan: Plan, gone: int) -> Plan:
    """Return the plan with one seat less: later seats move up, faults of that seat go with it."""

    def moved(seat: int) -> int:
        return seat - (seat > gone)

    faults: list[Fault] = []
    for fault in plan.faults:
        match fault:
            case Crash(seat=seat):
                if seat != gone:
                    faults.append(replace(fault, seat=moved(seat)))
            case Partition(groups=groups):
                kept = tuple(tuple(moved(one) for one in group if one != gone) for group in groups)
                faults.append(replace(fault, groups=kept))
            case Sight(blind=blind):
                pairs = tuple((moved(a), moved(b)) for a, b in blind if gone not in (a, b))
                faults.append(replace(fault, blind=pairs))
            case _:
                faults.append(fault)
    return replace(plan, faults=tuple(faults), clock_offsets_ms=())
