"""Exports what one seat accepted and committed, for programs that share nothing with this one.

The format is described in docs/simulator.md: blocks in the order in which the seat accepted
them, the leaders of every round, and the commits that the seat made of them.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from seawall.codec import decode_records
from seawall.consensus.engine import Output
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.sim.checking import Checker

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

FORMAT = 1


class TraceRecorder(Checker):
    """Watches one seat; hand it to a world among the checkers, then ask for `trace`."""

    def __init__(self, seat: int) -> None:
        """Watch this seat."""
        self._seat = seat
        self._blocks: dict[Ref, VerifiedBlock] = {}
        self._commits: dict[int, Commit] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Keep what became durable in a step that a crash cut short."""
        if seat.index == self._seat:
            for block in world.accepted:
                self._blocks.setdefault(block.ref, block)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Keep newly accepted blocks and commits."""
        if seat.index != self._seat:
            return
        for block in world.accepted:
            self._blocks.setdefault(block.ref, block)
        for commit in output.deliver:
            self._commits.setdefault(commit.index, commit)

    def trace(self, world: "World") -> dict[str, Any]:
        """Return the trace as plain values."""
        parameters = world.plan.parameters
        highest = max((ref.round for ref in self._blocks), default=0)
        return {
            "format": FORMAT,
            "parameters": {
                "stakes": list(world.plan.stakes),
                "w": parameters.wave_length,
                "W": parameters.accept_window,
                "D": parameters.finality_delay,
                "gc_depth": parameters.gc_depth,
                "epoch": world.committee.epoch,
                "coin_shares_max": 8,
            },
            "leaders": {
                str(number): list(world.machinery.leaders(world.committee, world.plan, number))
                for number in range(1, highest + 1)
            },
            "events": [{"block": _block(block)} for block in self._blocks.values()],
            "expected": {
                "commits": [_commit(self._commits[index]) for index in sorted(self._commits)],
                "verdicts": [],
                "final": [],
                "burnt": None,
            },
        }

    def json(self, world: "World") -> bytes:
        """Return the trace as JSON."""
        return msgspec.json.encode(self.trace(world))


def _ref(ref: Ref) -> list[int | str]:
    return [ref.round, ref.author, ref.digest.hex()]


def _block(block: VerifiedBlock) -> dict[str, Any]:
    content = block.block
    return {
        "ref": _ref(block.ref),
        "parents": [_ref(parent) for parent in content.parents],
        "batches": [
            [
                [record.contributor.hex(), record.seq, record.update_id.hex()]
                for record in decode_records(batch.records_bytes)
            ]
            for batch in content.batches
        ],
        "rejects": [[_ref(reject.target), list(reject.indices)] for reject in content.rejects],
        "vote_cutoff": content.vote_cutoff,
        "closing": bool(content.flags),
        "epoch": content.epoch,
        "coin_shares": [content.coin_shares.first_round, len(content.coin_shares.shares)],
    }


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "index": commit.index,
        "leader": _ref(commit.leader),
        "gc_round": commit.gc_round,
        "delivered": [_ref(block.ref) for block in commit.blocks],
    }
