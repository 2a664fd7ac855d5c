"""What a mutant is: one broken rule, the schedules that show it, and who must catch it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TypeAlias

from seawall.sim.machinery import Machinery
from seawall.sim.plan import Plan

Replacement: TypeAlias = tuple[ModuleType, str, object]
Change: TypeAlias = Callable[[Plan, Machinery], tuple[Plan, Machinery]]


def nothing(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Change neither plan nor parts."""
    return plan, parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One broken rule: what it changes, which schedules show it, and who must catch it.

    `caught_by` lists every invariant that must catch it when its checker runs alone
    (`ASSERT`: an assertion of the replica itself; `I16`: no progress); `seeds_max` is within
    how many seeds.
    """

    summary: str
    profile: str
    caught_by: tuple[str, ...]
    seeds_max: int = 20
    change: Change = nothing
    replacements: tuple[Replacement, ...] = ()
    engines: tuple[str, ...] = ("async", "sync")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the broken classes in place of the true ones, and back again."""
        true = [(module, name, getattr(module, name)) for module, name, _ in self.replacements]
        try:
            for module, name, broken in self.replacements:
                setattr(module, name, broken)
            yield
        finally:
            for module, name, value in true:
                setattr(module, name, value)
