"""The invariants of what every later block must have in its history.

Numbers are those of docs/protocol.md, section 9.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from seawall.consensus.engine import Output
from seawall.domain.block import VerifiedBlock
from seawall.sim.checkers import verdicts
from seawall.sim.checking import Checker
from seawall.sim.union import Slot, UnionDag
from seawall.sim.union_votes import UnionVotes

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

ROUNDS_BELOW: Final = 6
"""A new block is compared with what blocks have in common in so many rounds below it."""


class Certain(Checker):
    """I5: after a direct commit each block above the decide round reaches a certificate for it."""

    invariant = "I5"

    def __init__(self, votes: UnionVotes) -> None:
        """Start without verdicts."""
        self._votes = votes
        self._direct: dict[Slot, str] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Add what became durable in a step that a crash cut short."""
        self._votes.see(world, seat)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Keep what honest seats commit directly."""
        self._votes.see(world, seat)
        if seat.author not in world.faulty:
            for slot, digest, direct in verdicts(output):
                if direct and digest:
                    self._direct.setdefault(slot, digest)

    def on_end(self, world: "World") -> None:
        """Judge every direct commit by all blocks of the run."""
        votes, wave = self._votes, world.plan.parameters.wave_length
        union = UnionDag(world.committee, wave)
        for block in votes.blocks:
            union.add(block)
        for slot, digest in self._direct.items():
            leaders = [ref for ref in union.at_slot(slot) if ref.digest.hex() == digest]
            certificates = 0
            for ref in union.at_round(slot[0] + wave - 1):
                if any(union.certifies(ref, leader) for leader in leaders):
                    certificates |= 1 << votes.numbers[ref]
            for number, block in enumerate(votes.blocks):
                above = block.ref.round >= slot[0] + wave
                if above and not votes.past[number] & certificates:
                    detail = (
                        f"round {slot[0]}, author {slot[1]} was committed directly, yet round "
                        f"{block.ref.round}, author {block.ref.author} reaches no certificate"
                    )
                    raise world.violation(self.invariant, detail)


class CommonCore(Checker):
    """I15: some honest block of round r is in the history of every block from round r + 2 on.

    Each new block is held against the rounds right below it: what is in the history of all
    blocks of a round is in that of all later ones.
    """

    invariant = "I15"

    def __init__(self, votes: UnionVotes) -> None:
        """Start without blocks."""
        self._votes = votes
        self._common: dict[int, int] = {}
        self._honest: dict[int, int] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Look at what became durable in a step that a crash cut short."""
        self._look(world, self._votes.see(world, seat))

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Look at what nobody had accepted before."""
        del output
        self._look(world, self._votes.see(world, seat))

    def _look(self, world: "World", new: Sequence[VerifiedBlock]) -> None:
        for block in new:
            number = self._votes.numbers[block.ref]
            if block.ref.author not in world.faulty:
                self._honest[block.ref.round] = self._honest.get(block.ref.round, 0) | 1 << number
            past = self._votes.past[number]
            for below in range(max(1, block.ref.round - ROUNDS_BELOW), block.ref.round - 1):
                common = self._common.get(below, self._honest.get(below, 0)) & past
                self._common[below] = common
                if not common:
                    detail = f"no honest block of round {below} is below all of {block.ref.round}"
                    raise world.violation(self.invariant, detail)
