"""Sites of limited capacity: what messages, signatures and updates cost, and an uplink.

A site has two cores. One runs the replica: messages, signatures, the engine. The other runs its
ledger, one commit after the other. Everything that it sends goes through one uplink. The defaults
are measurements of real sites, docs/performance.md; docs/simulator.md says which.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.codec import RECORD_BYTES, record_count
from seawall.consensus.engine import ALL_PEERS, Blocks, Event, Message, Output, Received, Submitted
from seawall.domain.block import Batch, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.machinery import Machinery
from seawall.sim.network import SECOND_US
from seawall.sim.plan import Plan
from seawall.sim.seat import Seat
from seawall.sim.world import World

FRAME_BYTES = 128
"""What a message adds to the bytes of its blocks: its envelope, TLS, TCP and IP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Microseconds of one core per piece of work, and bytes a second of a site's uplink.

    On the replica's core: `message_us` to send or to receive one, `signature_us` to check one,
    `signing_us` to make one, `round_us` for all else that an own block takes, `order_us` for
    each update in a block. On the ledger's core: `commit_us` and, for each update, `execute_us`.
    A record of the simulation stands for `grain` updates: their bytes and their cost.
    """

    message_us: int = 110
    signature_us: int = 54
    signing_us: int = 22
    round_us: int = 3_000
    order_us: int = 5
    commit_us: int = 1_500
    execute_us: int = 60
    uplink_bytes_per_second: int = 12_500_000
    grain: int = 16


class CapacityWorld(World):
    """A world whose seats take time for what they do."""

    def __init__(
        self,
        plan: Plan,
        machinery: Machinery,
        capacity: Capacity,
        *,
        checkers: Sequence[Checker] = (),
    ) -> None:
        """Give every seat the same capacity."""
        super().__init__(plan, machinery, checkers=checkers)
        self._capacity = capacity
        self._ledger_free_us = [0] * len(self.seats)
        self._uplink_free_us = [0] * len(self.seats)
        self.core_busy_us = [0] * len(self.seats)
        self.ledger_busy_us = [0] * len(self.seats)

    def working_us(self, seat: Seat, events: Sequence[Event], output: Output) -> int:
        """Return what reading these events and writing this output takes."""
        capacity = self._capacity
        spent_us = 0
        for event in events:
            match event:
                case Received(message=Blocks(blocks=blocks)):
                    spent_us += capacity.message_us + sum([self._reading_us(one) for one in blocks])
                case Received():
                    spent_us += capacity.message_us
                case Submitted(batches=batches):
                    spent_us += capacity.order_us * self.updates_in(batches)
                case _:
                    pass
        peers = len(self.network.peers[seat.index])
        for send in output.send:
            spent_us += capacity.message_us * (peers if send.peer == ALL_PEERS else 1)
        for block in own_blocks(seat.author, output, proposed=True):
            signatures = 1 + len(block.block.commit_votes)
            spent_us += capacity.round_us + capacity.signing_us * signatures
        self.core_busy_us[seat.index] += spent_us
        return spent_us

    def ledger_us(self, seat: Seat, commit: Commit) -> int:
        """Return the wait for all earlier commits and for this one."""
        capacity = self._capacity
        updates = sum([self.updates_in(block.block.batches) for block in commit.blocks])
        takes_us = capacity.commit_us + capacity.execute_us * updates
        begins_us = max(self.now_us, self._ledger_free_us[seat.index])
        self._ledger_free_us[seat.index] = begins_us + takes_us
        self.ledger_busy_us[seat.index] += takes_us
        return begins_us + takes_us - self.now_us

    def leaving_us(self, seat: Seat, message: Message) -> int:
        """Return when the last byte has gone through the uplink."""
        size = FRAME_BYTES
        if isinstance(message, Blocks):
            size += sum([self._size_bytes(block) for block in message.blocks])
        takes_us = size * SECOND_US // self._capacity.uplink_bytes_per_second
        begins_us = max(self.now_us, self._uplink_free_us[seat.index])
        self._uplink_free_us[seat.index] = begins_us + takes_us
        return begins_us + takes_us

    def updates_in(self, batches: Iterable[Batch]) -> int:
        """Return how many updates the records of these batches stand for."""
        records = sum([record_count(batch.records_bytes) for batch in batches])
        return records * self._capacity.grain

    def _reading_us(self, block: VerifiedBlock) -> int:
        """Return what checking and taking in another's block costs."""
        content = block.block
        attestations = sum([len(batch.certificate) for batch in content.batches])
        signatures = 1 + attestations + len(content.commit_votes)
        updates = self.updates_in(content.batches)
        return self._capacity.signature_us * signatures + self._capacity.order_us * updates

    def _size_bytes(self, block: VerifiedBlock) -> int:
        """Return the bytes of a block in which every record stands for `grain` of its size."""
        updates = self.updates_in(block.block.batches)
        return len(block.raw) + (updates - updates // self._capacity.grain) * RECORD_BYTES
