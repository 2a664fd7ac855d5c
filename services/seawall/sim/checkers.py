"""Invariants, checked after every step of every seat; a violation stops the run and is named.

Numbers are those of docs/protocol.md, section 9. Checkers look from outside: at what a replica
persists, sends and delivers. Only twins' authors, lost disks and hostile seats are excused.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from seawall.consensus.engine import Blocks, Output
from seawall.crypto.hashing import sha256
from seawall.domain.block import GENESIS_ROUND, Ref, VerifiedBlock
from seawall.domain.commit import Commit

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


class InvariantError(AssertionError):
    """An invariant does not hold: which one, what broke it, and at what virtual time."""

    def __init__(self, invariant: str, detail: str, now_us: int) -> None:
        """Keep the facts."""
        super().__init__(f"{invariant} at {now_us / 1e6:.6f} s: {detail}")
        self.invariant = invariant
        self.detail = detail


class Checker:
    """Sees everything that happens in a world; subclasses look at what they care about."""

    invariant = ""

    def on_start(self, world: "World", seat: "Seat") -> None:
        """A seat was built from its disk and has not worked yet."""

    def on_crash(self, world: "World", seat: "Seat") -> None:
        """A seat is about to stop."""

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """A step's records are durable; nothing of it has been sent yet."""

    def on_end(self, world: "World") -> None:
        """The run has reached its goal."""


class OneBlockPerRound(Checker):
    """I1: an honest author sends at most one own block per (epoch, round), across restarts."""

    invariant = "I1"

    def __init__(self) -> None:
        """Start without blocks."""
        self._own: dict[tuple[int, int, int], Ref] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Compare every own block that leaves with the one known for its round."""
        if seat.author in world.plan.faulty:
            return
        for block in own_blocks(seat.author, output):
            key = (block.block.epoch, block.ref.round, seat.author)
            known = self._own.setdefault(key, block.ref)
            if known != block.ref:
                detail = f"{seat.name} signed two blocks of round {block.ref.round}"
                raise world.violation(self.invariant, detail)


class CommonPrefix(Checker):
    """I7: commits are one sequence everywhere, complete above gc_round, no block twice.

    The first seat to deliver an index has its commit checked in full; every other one must
    deliver an equal commit. Deliveries of a seat are numbered without gaps; repetitions after a
    restart are equal (the second half of I13).
    """

    invariant = "I7"

    def __init__(self) -> None:
        """Start before the first commit."""
        self._commits: list[Commit] = []
        self._delivered: dict[Ref, int] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Check every delivery of an honest seat."""
        if not output.deliver or seat.author in world.plan.faulty:
            return
        height = seat.ledger.height
        for commit in output.deliver:
            if commit.index > height + 1:
                raise world.violation(
                    self.invariant, f"{seat.name} delivers {commit.index} after {height}"
                )
            height = max(height, commit.index)
            if commit.index > len(self._commits):
                problem = self._first(commit)
            else:
                problem = self._repeated(commit)
            if problem is not None:
                detail = f"{seat.name}, commit {commit.index}: {problem}"
                raise world.violation(self.invariant, detail)

    def _repeated(self, commit: Commit) -> str | None:
        known = self._commits[commit.index - 1]
        if known.digest != commit.digest:
            return "its digest differs from another seat's"
        if [b.ref for b in known.blocks] != [b.ref for b in commit.blocks]:
            return "equal digests, different blocks"
        return None

    def _first(self, commit: Commit) -> str | None:
        previous = self._commits[-1] if self._commits else None
        self._commits.append(commit)
        if previous is not None:
            if commit.previous_digest != previous.digest:
                return "does not extend the commit before it"
            if commit.leader.round < previous.leader.round:
                return "its leader is of an earlier round than the one before"
            if commit.clock_ms < previous.clock_ms:
                return "the ledger clock went back"
        return self._order_problem(commit) or self._content_problem(commit)

    def _order_problem(self, commit: Commit) -> str | None:
        digest = commit.leader.digest
        keys = [(b.ref.round, sha256(digest + b.ref.digest)) for b in commit.blocks]
        if keys != sorted(keys):
            return "blocks are out of order"
        if commit.leader not in [block.ref for block in commit.blocks]:
            return "the leader is not among its blocks"
        return None

    def _content_problem(self, commit: Commit) -> str | None:
        for block in commit.blocks:
            if block.ref in self._delivered:
                return f"delivers a block of commit {self._delivered[block.ref]} again"
            if block.ref.round <= commit.gc_round:
                return "delivers a block at or below gc_round"
            self._delivered[block.ref] = commit.index
        for block in commit.blocks:
            for parent in block.block.parents:
                floor = max(commit.gc_round, GENESIS_ROUND)
                if parent.round > floor and parent not in self._delivered:
                    return f"an ancestor of round {parent.round} is missing"
        return None


def own_blocks(author: int, output: Output) -> Iterable[VerifiedBlock]:
    """Return the author's blocks among all that this output sends."""
    for send in output.send:
        if isinstance(send.message, Blocks):
            for block in send.message.blocks:
                if block.ref.author == author:
                    yield block


def all_checkers() -> tuple[Checker, ...]:
    """Return a fresh one of every checker."""
    return (OneBlockPerRound(), CommonPrefix())
