"""What this site wants ordered: batches and transactions, proposed again until delivered."""

from collections import deque
from typing import Final

from seawall.codec import RECORD_BYTES, record_count
from seawall.domain.block import Batch, Ref, VerifiedBlock
from seawall.domain.parameters import ConsensusParameters

_BATCH_BYTES: Final = 22
_ATTESTATION_BYTES: Final = 66
_TRANSACTION_BYTES: Final = 4
_RESERVED_BYTES: Final = 65_536
"""Kept free in each block for its header, parents, votes and signature."""

BLOCKS_QUEUED_MAX: Final = 16
"""The queue holds at most what fills this many blocks."""


class Payloads:
    """A bounded queue, and what own undelivered blocks carry."""

    def __init__(self, parameters: ConsensusParameters) -> None:
        self._parameters = parameters
        limit = parameters.block_size_bytes_max
        self._bytes_max = limit - min(_RESERVED_BYTES, limit // 2)
        self._batches: deque[Batch] = deque()
        self._transactions: deque[bytes] = deque()
        self._in_flight: dict[Ref, VerifiedBlock] = {}
        self._queued_updates = 0

    def __len__(self) -> int:
        """Return the number of batches and transactions that are not delivered."""
        in_flight = [len(b.block.batches) + len(b.block.transactions) for b in self._proposed()]
        return len(self._batches) + len(self._transactions) + sum(in_flight)

    def _proposed(self) -> list[VerifiedBlock]:
        """Return own blocks with payload that are not delivered, oldest first."""
        return list(self._in_flight.values())

    def has_queued(self) -> bool:
        """Return whether something waits for a block."""
        return bool(self._batches or self._transactions)

    def has_room(self) -> bool:
        """Return whether more may be submitted."""
        limit = BLOCKS_QUEUED_MAX
        return (
            self._queued_updates < limit * self._parameters.block_updates_max
            and len(self._batches) < limit * self._parameters.block_batches_max
            and len(self._transactions) < limit * self._parameters.block_transactions_max
        )

    def fits(self, batch: Batch) -> bool:
        """Return whether a batch is small enough for a block of its own."""
        updates = record_count(batch.records_bytes)
        return updates <= self._parameters.block_updates_max and _size(batch) <= self._bytes_max

    def fits_transaction(self, transaction: bytes) -> bool:
        """Return whether a transaction may stand in a block."""
        size = len(transaction)
        longest = self._parameters.transaction_size_bytes_max
        return 0 < size <= longest and size + _TRANSACTION_BYTES <= self._bytes_max

    def submit_batch(self, batch: Batch) -> None:
        """Queue a batch that fits."""
        self._batches.append(batch)
        self._queued_updates += record_count(batch.records_bytes)

    def submit_transaction(self, transaction: bytes) -> None:
        """Queue a transaction that fits."""
        self._transactions.append(transaction)

    def take(self, taken_bytes: int = 0) -> tuple[tuple[Batch, ...], tuple[bytes, ...]]:
        """Return what goes into the next block, oldest first, within its limits.

        `taken_bytes` are those that something else in the block needs.
        """
        parameters = self._parameters
        batches: list[Batch] = []
        transactions: list[bytes] = []
        room = self._bytes_max - taken_bytes
        updates = parameters.block_updates_max
        while self._transactions and len(transactions) < parameters.block_transactions_max:
            size = len(self._transactions[0]) + _TRANSACTION_BYTES
            if size > room:
                break
            room -= size
            transactions.append(self._transactions.popleft())
        while self._batches and len(batches) < parameters.block_batches_max:
            count, size = record_count(self._batches[0].records_bytes), _size(self._batches[0])
            if count > updates or size > room:
                break
            updates -= count
            room -= size
            self._queued_updates -= count
            batches.append(self._batches.popleft())
        return tuple(batches), tuple(transactions)

    def proposed(self, block: VerifiedBlock) -> None:
        """Remember what an own block carries until it is delivered."""
        if block.block.batches or block.block.transactions:
            self._in_flight[block.ref] = block

    def delivered(self, ref: Ref) -> None:
        """Forget the payload of an own block that a commit delivered."""
        self._in_flight.pop(ref, None)

    def dropped(self, gc_round: int) -> int:
        """Queue again what stood in own blocks that no commit can deliver any more.

        Returns the number of such blocks.
        """
        gone = [ref for ref in self._in_flight if ref.round <= gc_round]
        for ref in reversed(gone):
            block = self._in_flight.pop(ref).block
            self._batches.extendleft(reversed(block.batches))
            self._transactions.extendleft(reversed(block.transactions))
            self._queued_updates += sum(
                [record_count(batch.records_bytes) for batch in block.batches]
            )
        return len(gone)


def _size(batch: Batch) -> int:
    """Return the bytes that a batch takes in a block."""
    certificate = len(batch.certificate) * _ATTESTATION_BYTES
    return _BATCH_BYTES + certificate + record_count(batch.records_bytes) * RECORD_BYTES
