"""Evidence against authors, checked from outside: who filled a slot twice, by the commits."""

from typing import TYPE_CHECKING, Final

from seawall.codec import block_signing_message, signature_of
from seawall.consensus.engine import Output
from seawall.crypto.signing import verify
from seawall.domain.commit import Commit, Twins
from seawall.sim.checking import Checker
from seawall.sim.plan import Plan

if TYPE_CHECKING:
    from seawall.domain.block import Ref
    from seawall.sim.seat import Seat
    from seawall.sim.union import Slot
    from seawall.sim.world import World

SIGNS_TWICE: Final = ("equivocate", "two_chains")
"""Behaviours that sign two blocks of one round; no other one does."""


class TwinsNamed(Checker):
    """TWINS: of two delivered blocks of a slot the commit of the later says so, at every site.

    So it does after a restart, and at whoever takes over commits. Nobody else is accused, and both
    signatures verify. What the slots held is followed through the whole run, without a window.
    """

    invariant = "TWINS"

    def __init__(self) -> None:
        """Start before the first commit."""
        self._known: list[tuple[Twins, ...]] = []
        self._slots: dict[Slot, dict[Ref, bytes]] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Compare every delivery of an honest seat with the first one of its index."""
        if seat.author in world.faulty:
            return
        for commit in output.deliver:
            if commit.index == len(self._known) + 1:
                self._known.append(commit.twins)
                problem = self._first(world, commit)
            elif commit.twins != self._known[commit.index - 1]:
                problem = "differs from what was delivered before"
            else:
                problem = None
            if problem is not None:
                detail = f"{seat.name}, twins of commit {commit.index}: {problem}"
                raise world.violation(self.invariant, detail)

    def _first(self, world: "World", commit: Commit) -> str | None:
        expected = self._expected(commit)
        if commit.twins != expected:
            return f"{len(commit.twins)} in place of {len(expected)}, or other ones"
        for twins in expected:
            author = twins.second.author
            if not may_sign_twice(world.plan, author):
                return f"author {author} is honest and signed round {twins.second.round} twice"
            member = world.committee.members[author]
            for ref, signature in (
                (twins.first, twins.first_signature),
                (twins.second, twins.second_signature),
            ):
                message = block_signing_message(world.committee.origin, world.committee.epoch, ref)
                if not verify(member.consensus_key, message, signature):
                    return f"a signature of author {author} does not verify"
        return None

    def _expected(self, commit: Commit) -> tuple[Twins, ...]:
        """Return what this commit must say; its blocks are known from here on."""
        found: list[Twins] = []
        for block in commit.blocks:
            signature = signature_of(block.raw)
            before = self._slots.setdefault(block.ref.slot, {})
            if before:
                first = min(before)
                found.append(Twins(first, before[first], block.ref, signature))
            before[block.ref] = signature
        return tuple(found)


def may_sign_twice(plan: Plan, author: int) -> bool:
    """Return whether a plan lets an author sign two blocks of one round.

    Twins and certain scripts do, and so may attackers that a test brings, and seats whose scripts
    or faults the plan does not know. Who loses its disk must not.
    """
    if author in (*plan.twins, *plan.scripted, *plan.excused):
        return True
    scripts = plan.hostile.get(author)
    if scripts is None:
        return False
    return not scripts or any(script.behaviour in SIGNS_TWICE for script in scripts)
