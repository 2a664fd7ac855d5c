"""What this site's services have handed in and no commit has delivered yet: the quota."""

from collections import Counter

from seawall.codec import record_count
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.dag.payloads import Payloads
from seawall.consensus.engine import Submitted
from seawall.consensus.verification import check_batch
from seawall.domain.block import Block
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import PeerError
from seawall.formats.jcs import parse_canonical

BLOCKS_AHEAD_MAX = 8
"""What would fill so many blocks may wait; half of what the replica itself would queue."""


class PendingSubmissions:
    """Counts batches, updates and transactions from their submission to their delivery."""

    def __init__(
        self,
        committee: Committee,
        own: int,
        parameters: ConsensusParameters,
        settings: ConsensusSettings,
    ) -> None:
        """Start with nothing pending at site `own`."""
        self._committee = committee
        self._own = own
        self._fits = Payloads(parameters)
        self._transaction_bytes_max = parameters.transaction_size_bytes_max
        self._batches_max = min(
            settings.pending_batches_max, BLOCKS_AHEAD_MAX * parameters.block_batches_max
        )
        self._updates_max = min(
            settings.pending_updates_max, BLOCKS_AHEAD_MAX * parameters.block_updates_max
        )
        self._transactions_max = min(
            settings.pending_transactions_max, BLOCKS_AHEAD_MAX * parameters.block_transactions_max
        )
        self._batches: dict[int, int] = {}
        self._transactions: Counter[bytes] = Counter()
        self._transaction_count = 0
        self.updates = 0

    def __len__(self) -> int:
        return len(self._batches) + self._transaction_count

    def check(self, submitted: Submitted) -> None:
        """Refuse what no block could carry, or what other sites would refuse a block for.

        Raises:
            PeerError: BATCH_* (see `check_batch`), BATCH_SITE, BATCH_LIMIT, TX_SIZE, JSON_*.

        """
        for batch in submitted.batches:
            if batch.site != self._own:
                raise PeerError("BATCH_SITE", f"this is site {self._own}", field="batches.site")
            if not self._fits.fits(batch):
                raise PeerError("BATCH_LIMIT", "form smaller batches", field="batches.records")
            check_batch(batch, self._committee)
        for transaction in submitted.transactions:
            if not self._fits.fits_transaction(transaction):
                hint = f"1 to {self._transaction_bytes_max} bytes"
                raise PeerError("TX_SIZE", hint, field="transactions")
            parse_canonical(transaction, size_max=self._transaction_bytes_max)

    def add(self, submitted: Submitted, *, accepts: bool) -> None:
        """Take note of a checked submission.

        Raises:
            PeerError: QUOTA_CONSENSUS when it does not fit, or nothing is accepted now.

        """
        updates = sum(record_count(batch.records_bytes) for batch in submitted.batches)
        if (
            not accepts
            or len(self._batches) + len(submitted.batches) > self._batches_max
            or self.updates + updates > self._updates_max
            or self._transaction_count + len(submitted.transactions) > self._transactions_max
        ):
            raise PeerError("QUOTA_CONSENSUS", "too much is waiting: hand in again in a moment")
        for batch in submitted.batches:
            self._batches[batch.number] = record_count(batch.records_bytes)
        self.updates = sum(self._batches.values())
        self._transactions.update(submitted.transactions)
        self._transaction_count += len(submitted.transactions)

    def delivered(self, block: Block) -> None:
        """Take note of a delivered own block."""
        for batch in block.batches:
            self.updates -= self._batches.pop(batch.number, 0)
        for transaction in block.transactions:
            if self._transactions[transaction] > 0:
                self._transactions[transaction] -= 1
                self._transaction_count -= 1
            if not self._transactions[transaction]:
                del self._transactions[transaction]
