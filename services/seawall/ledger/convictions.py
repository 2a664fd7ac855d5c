"""Evidence against validators: the first slot of each that it filled twice.

Once a validator: what it does afterwards proves nothing new, and it could fill the log. The table
of those who have an entry follows from the entries, so the tree covers it.
"""

from typing import TYPE_CHECKING

from seawall.domain.commit import Twins
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.store import Table

if TYPE_CHECKING:
    from seawall.ledger.execution import Execution


def convict(execution: "Execution", twins: Twins) -> None:
    """Append evidence that a validator has signed two blocks of one round, once a validator."""
    key = rows.key_of(twins.second.author)
    if execution.lookup(Table.CONVICTIONS, key) is not None:
        return
    entry = execution.append(
        entries.EvidenceEntry(
            commit=execution.delivery.index,
            first=twins.first.digest.hex(),
            kind="twins",
            number=twins.second.round,
            second=twins.second.digest.hex(),
            signatures=(twins.first_signature.hex(), twins.second_signature.hex()),
            subject=execution.committee.members[twins.second.author].name,
            task="",
        )
    )
    execution.batch.put(Table.CONVICTIONS, key, rows.key_of(entry))
