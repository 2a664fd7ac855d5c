"""The invariants of what every later block must have in its history.

Numbers are those of docs/protocol.md, section 9.
"""

from typing import TYPE_CHECKING

from seawall.consensus.engine import Output
from seawall.sim.checkers import verdicts
from seawall.sim.checking import Checker
from seawall.sim.union import Slot, UnionDag
from seawall.sim.union_votes import UnionVotes

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


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
    """I15: some honest block of round r is in the history of every block from round r + 2 on."""

    invariant = "I15"

    def __init__(self, votes: UnionVotes) -> None:
        """Start without blocks."""
        self._votes = votes

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Add what became durable in a step that a crash cut short."""
        self._votes.see(world, seat)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Add what was accepted."""
        del output
        self._votes.see(world, seat)

    def on_end(self, world: "World") -> None:
        """Look from the last round down: what do all blocks so far have in common?"""
        votes = self._votes
        by_round: dict[int, list[int]] = {}
        honest: dict[int, int] = {}
        for number, block in enumerate(votes.blocks):
            by_round.setdefault(block.ref.round, []).append(number)
            if block.ref.author not in world.faulty:
                honest[block.ref.round] = honest.get(block.ref.round, 0) | 1 << number
        common = (1 << len(votes.blocks)) - 1
        for round_ in range(max(by_round, default=0), 2, -1):
            for number in by_round.get(round_, ()):
                common &= votes.past[number]
            if not common & honest.get(round_ - 2, 0):
                detail = f"no honest block of round {round_ - 2} is below all from {round_} on"
                raise world.violation(self.invariant, detail)
