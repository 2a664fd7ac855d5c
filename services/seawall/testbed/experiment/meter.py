"""Measures every update of a run: handed in, final at its site, committed at its site."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.codec import decode_records
from seawall.consensus.engine import Output
from seawall.domain.block import Batch, UpdateRecord
from seawall.domain.commit import Commit, Judgement
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.world import WALL_MS
from seawall.testbed.experiment.samples import Samples, Update

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


@dataclass(slots=True)
class _Waiting:
    """What a seat has accepted with commits that are not certified yet."""

    accepted: deque[tuple[int, Update]] = field(default_factory=deque)
    certified: int = 0


class Meter(Checker):
    """Watches a world from outside; hand it to the world among the checkers.

    Attributes:
        samples: what was measured; an update is among them once it is in a batch.
        crashes: how often each site has stopped.
        flooded: updates that dishonest contributors have handed in.
        skew_ms: by site, how far the timestamp of its last block is from the true time.

    """

    def __init__(self, honest: range, heal_us: int) -> None:
        """Take other contributors than these for dishonest; faults end at `heal_us`."""
        self.samples = Samples()
        self.crashes: dict[int, int] = {}
        self.flooded = 0
        self.skew_ms: dict[int, int] = {}
        self._honest = honest
        self._heal_us = heal_us
        self._handed_in: dict[bytes, deque[tuple[int, int]]] = {}
        self._batches: dict[tuple[int, int], list[Update]] = {}
        self._waiting: dict[int, _Waiting] = {}

    def on_crash(self, world: "World", seat: "Seat") -> None:
        """Count the crash."""
        del world
        self.crashes[seat.index] = self.crashes.get(seat.index, 0) + 1

    def on_update(self, world: "World", owner: int, record: UpdateRecord) -> None:
        """Take note of when an update was handed in."""
        self.samples.handed_in_us.append(world.now_us)
        self.flooded += owner not in self._honest
        waiting = self._handed_in.setdefault(record.update_id, deque())
        waiting.append((world.now_us, owner))

    def on_batch(self, world: "World", seat: "Seat", batch: Batch) -> None:
        """Take note of which updates are in a batch."""
        del world
        members: list[Update] = []
        for record in decode_records(batch.records_bytes):
            submitted_us, owner = self._handed_in[record.update_id].popleft()
            honest = owner in self._honest
            members.append(Update(site=seat.author, submitted_us=submitted_us, is_honest=honest))
        self._batches[batch.site, batch.number] = members
        self.samples.updates.extend(members)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Take note of what a seat's replica states."""
        if seat.index >= world.committee.size:
            # A second process under a site's name: its word counts for nothing.
            return
        now_us = world.now_us
        for block in own_blocks(seat.author, output, proposed=True):
            true_ms = WALL_MS + now_us // 1000
            self.skew_ms[seat.author] = block.block.timestamp_ms - true_ms
        for final in output.final:
            if final.block.author == seat.author:
                for update in self._members(final.batch, final.positions):
                    update.final_us = update.final_us or now_us
        waiting = self._waiting.setdefault(seat.index, _Waiting())
        for commit in output.deliver:
            self._deliver(seat, commit, waiting, now_us)
        for checkpoint in output.certify:
            waiting.certified = max(waiting.certified, checkpoint.index)
        self._settle(waiting, now_us)

    def _deliver(self, seat: "Seat", commit: Commit, waiting: _Waiting, now_us: int) -> None:
        self.samples.heights.append((now_us, seat.index, commit.index))
        for block in commit.blocks:
            for batch in block.block.batches:
                members = self._batches.get((batch.site, batch.number), [])
                self._resume(seat, members, now_us)
        for verdict in commit.verdicts:
            is_own = verdict.block.author == seat.author
            if is_own and verdict.judgement is Judgement.ACCEPT:
                members = self._members(verdict.batch, verdict.positions)
                waiting.accepted.extend((commit.index, update) for update in members)

    def _members(self, batch: Batch, positions: tuple[int, ...]) -> list[Update]:
        members = self._batches.get((batch.site, batch.number), [])
        return [members[position] for position in positions if position < len(members)]

    def _resume(self, seat: "Seat", members: list[Update], now_us: int) -> None:
        if any(update.submitted_us >= self._heal_us for update in members):
            self.samples.resumed_us.setdefault(seat.index, now_us)

    def _settle(self, waiting: _Waiting, now_us: int) -> None:
        """Give a time to what stands under commits that are certified now."""
        while waiting.accepted and waiting.accepted[0][0] <= waiting.certified:
            update = waiting.accepted.popleft()[1]
            update.committed_us = update.committed_us or now_us
