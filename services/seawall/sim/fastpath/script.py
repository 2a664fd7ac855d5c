"""Scripts: what happens in a modelled run, action by action, without any randomness.

The blocks of honest sites are not written down: they follow from the rules in force. The same
script therefore shows what an older rule lets happen and what the protocol makes of it. An action
that makes no sense where it stands is passed over, so that every part of a script is a script.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from seawall.sim.fastpath.checks import INVARIANTS, Checks, ViolationError
from seawall.sim.fastpath.dag import Block, Dag, Place, Update
from seawall.sim.fastpath.rules import Rules, Scope
from seawall.sim.fastpath.site import Site

Named: TypeAlias = tuple[str, int]
"""An instance, by the name of its block."""


class Propose(msgspec.Struct, frozen=True, tag="propose", omit_defaults=True):
    """An honest site makes its next block, and accepts it."""

    site: int
    name: str
    updates: tuple[tuple[str, str], ...] = ()
    doubts: tuple[Named, ...] = ()
    abstain_until: int = 0


class Forge(msgspec.Struct, frozen=True, tag="forge", omit_defaults=True):
    """The Byzantine author makes any block that is valid; nobody has it yet."""

    author: int
    name: str
    round: int
    parents: tuple[str, ...]
    updates: tuple[tuple[str, str], ...] = ()
    rejects: tuple[Named, ...] = ()
    vote_cutoff: int = 0


class Arrive(msgspec.Struct, frozen=True, tag="arrive"):
    """A block reaches a site, with those of its ancestors that the site lacks."""

    site: int
    name: str


class Restart(msgspec.Struct, frozen=True, tag="restart"):
    """A site stops and comes back with its journal."""

    site: int


Action: TypeAlias = Propose | Forge | Arrive | Restart


class Script(msgspec.Struct, frozen=True):
    """A whole run: the numbers of the epoch, who is Byzantine, and the actions in order."""

    scope: Scope
    faulty: tuple[int, ...]
    actions: tuple[Action, ...]


class Stage:
    """Carries actions out, one by one, and checks the invariants after each."""

    def __init__(
        self,
        scope: Scope,
        faulty: Sequence[int],
        rules: Rules,
        active: tuple[str, ...] = tuple(INVARIANTS),
    ) -> None:
        """Set up one honest site for every author that is not faulty."""
        self.dag = Dag(scope)
        self.rules = rules
        honest = [author for author in range(scope.authors) if author not in faulty]
        self.sites = {author: Site(self.dag, rules, author) for author in honest}
        self.checks = Checks(self.dag, active)

    def act(self, action: Action) -> bool:
        """Carry an action out; False when it makes no sense here. Raises ViolationError."""
        match action:
            case Propose():
                return self._propose(action)
            case Forge():
                return self._forge(action)
            case Arrive():
                return self._arrive(action)
            case Restart():
                self.sites[action.site].restart()
                return True

    def _propose(self, action: Propose) -> bool:
        site = self.sites[action.site]
        if action.name in self.dag.numbers:
            return False
        doubts = self._places(action.doubts)
        block = site.propose(action.name, _updates(action.updates), doubts, action.abstain_until)
        if block is None:
            return False
        assert self.dag.is_valid(block), "an honest block is valid"
        self.checks.on_own_block(site, block)
        site.last = self.dag.add(block)
        site.accept(site.last)
        self.checks.on_step(site)
        return True

    def _forge(self, action: Forge) -> bool:
        numbers = self.dag.numbers
        rejects = self._places(action.rejects, odd=True)
        known = all(parent in numbers for parent in action.parents)
        if action.name in numbers or not known:
            return False
        block = Block(
            name=action.name,
            round=action.round,
            author=action.author,
            parents=tuple(numbers[parent] for parent in action.parents),
            updates=_updates(action.updates),
            rejects=rejects,
            vote_cutoff=action.vote_cutoff,
        )
        if not self.dag.is_valid(block):
            return False
        self.dag.add(block)
        return True

    def _arrive(self, action: Arrive) -> bool:
        site = self.sites[action.site]
        number = self.dag.numbers.get(action.name)
        if number is None:
            return False
        for wanted in site.wants(number):
            site.accept(wanted)
            self.checks.on_step(site)
        return True

    def _places(self, named: Sequence[Named], *, odd: bool = False) -> tuple[Place, ...]:
        """Return instances by number; unknown blocks, and unless `odd` indices, are left out."""
        numbers, blocks = self.dag.numbers, self.dag.blocks
        return tuple(
            (numbers[name], index)
            for name, index in named
            if name in numbers and (odd or index < len(blocks[numbers[name]].updates))
        )


def _updates(updates: Sequence[tuple[str, str]]) -> tuple[Update, ...]:
    return tuple(Update(key=key, digest=digest) for key, digest in updates)


def replay(
    script: Script, rules: Rules, active: tuple[str, ...] = tuple(INVARIANTS)
) -> ViolationError | None:
    """Return the first violation of a script under these rules, if there is one."""
    stage = Stage(script.scope, script.faulty, rules, active)
    try:
        for action in script.actions:
            stage.act(action)
    except ViolationError as violation:
        return violation
    return None


def shrink(script: Script, rules: Rules, invariant: str) -> Script:
    """Return a script without any action that the violation does not need."""
    actions = list(script.actions)
    step = max(1, len(actions) // 2)
    while True:
        place, before = 0, len(actions)
        while place < len(actions):
            fewer = actions[:place] + actions[place + step :]
            smaller = Script(script.scope, script.faulty, tuple(fewer))
            if replay(smaller, rules, (invariant,)) is not None:
                actions = fewer
            else:
                place += step
        if step == 1 and len(actions) == before:
            return Script(script.scope, script.faulty, tuple(actions))
        step = max(1, step // 2)
