"""How to see a run again: one command, from the plan and from what was done by hand beside it.

A plan drawn from a profile is named by profile and seed. Every other one is written out as JSON,
members that have their default left out, with the moves of the scenario and their times.
"""

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Final, get_type_hints

import msgspec

from seawall.sim.machinery import FACTORIES, Machinery, honest_machinery
from seawall.sim.network import FixedDelay, LogNormalDelay, ZoneDelay
from seawall.sim.plan import (
    Aim,
    ByRound,
    ClockChange,
    Crash,
    DiskChange,
    LinksChange,
    LossChange,
    Move,
    Partition,
    Plan,
    ScriptChange,
    Sight,
    Start,
)
from seawall.sim.profiles import plan_of

COMMAND: Final = "python -m seawall.sim.replay"

_DELAYS: Final = {kind.__name__: kind for kind in (FixedDelay, LogNormalDelay, ZoneDelay)}
_MOVES: Final = {
    kind.__name__: kind
    for kind in (
        ClockChange,
        Crash,
        DiskChange,
        LinksChange,
        LossChange,
        Partition,
        ScriptChange,
        Sight,
        Start,
    )
}
_ADVERSARIES: Final = {kind.__name__: kind for kind in (Aim, ByRound)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """A run that ended early: its plan, moves by hand in order, and how long it was driven.

    `until_us` None means that the plan ran to its goal; `finished` that it was judged as a whole
    where it had been driven to.
    """

    plan: Plan
    moves: tuple[Move, ...] = ()
    until_us: int | None = None
    finished: bool = False


def encode(rerun: Rerun) -> str:
    """Return a run as JSON."""
    return msgspec.json.encode(_plain(rerun), order="sorted").decode()


def decode(text: str | bytes) -> Rerun:
    """Return the run in a JSON text.

    Raises ValueError: it is no such text.
    """
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
        moves = tuple(_tagged(move, _MOVES) for move in members.get("moves", ()))
        plan = _plan(members["plan"])
        until_us = msgspec.convert(members.get("until_us"), int | None)
        finished = msgspec.convert(members.get("finished", False), bool)
    except (KeyError, TypeError, AttributeError, msgspec.MsgspecError) as fault:
        raise ValueError(f"not a plan: {fault!r}") from fault
    return Rerun(plan=plan, moves=moves, until_us=until_us, finished=finished)


def command(rerun: Rerun, machinery: Machinery) -> str:
    """Return the command line that shows a run again; empty when no command can.

    A run with a broken replica, an attacker or delays of a test's own is known to that test only.
    """
    plan = rerun.plan
    names = [name for name in sorted(FACTORIES) if honest_machinery(name) == machinery]
    if not names or type(plan.delay) not in _DELAYS.values():
        return ""
    parts = [COMMAND, "--engine", names[0]]
    drawn = _drawn_by(plan, names[0]) if rerun == Rerun(plan=plan) else None
    if drawn is not None:
        parts += drawn
    else:
        parts += ["--plan", shlex.quote(encode(rerun))]
    return " ".join(parts)


def _drawn_by(plan: Plan, engine: str) -> list[str] | None:
    """Return the options that name just this plan, if a profile and a seed do."""
    if not plan.profile:
        return None
    commits = plan.commits
    options = ["--profile", plan.profile, "--seed", f"{plan.seed}", "--commits", f"{commits}"]
    if plan == plan_of(plan.profile, plan.seed, commits=commits, engine=engine):
        return options
    wave = plan.parameters.wave_length
    if plan != plan_of(plan.profile, plan.seed, commits=commits, engine=engine, wave_length=wave):
        return None
    return [*options, "--wave-length", f"{wave}"]


def _plain(value: object) -> object:
    """Return a value in JSON's own types, with its kind where several may stand."""
    if isinstance(value, Mapping):
        return {f"{name}": _plain(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    members: dict[str, object] = {}
    kind = type(value).__name__
    if kind in _DELAYS or kind in _MOVES or kind in _ADVERSARIES:
        members["kind"] = kind
    for member in fields(value):
        held = getattr(value, member.name)
        default = member.default
        if member.default_factory is not MISSING:
            default = member.default_factory()
        if held != default:
            members[member.name] = _plain(held)
    return members


def _plan(members: dict[str, Any]) -> Plan:
    """Return the plan with these members."""
    kinds = get_type_hints(Plan)
    given: dict[str, Any] = {}
    for name, value in members.items():
        if name == "delay":
            given[name] = _tagged(value, _DELAYS)
        elif name == "adversary":
            given[name] = _tagged(value, _ADVERSARIES)
        elif name == "faults":
            given[name] = tuple(_tagged(fault, _MOVES) for fault in value)
        else:
            given[name] = msgspec.convert(value, kinds[name], str_keys=True)
    return Plan(**given)


def _tagged(members: dict[str, Any], kinds: Mapping[str, type]) -> Any:  # noqa: ANN401 - one of kinds
    """Return the value of the kind that its members name."""
    rest = {name: value for name, value in members.items() if name != "kind"}
    return msgspec.convert(rest, kinds[members["kind"]])
