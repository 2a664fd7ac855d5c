"""The state rules as ingestion asks for them: at the last height that quorum stake has reached.

Two refusals are looked at twice. One that comes from this site being behind what the contributor
has seen elsewhere passes by itself; and an update that stands in its own way is no replay, it is
committed.
"""

from collections.abc import Sequence
from typing import Final

from seawall.errors import OperationalError, PeerError
from seawall.formats.admission import AdmittedUpdate
from seawall.ingestion.batch import History
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.progress import Progress
from seawall.runtime.ledger_client import LedgerClient, Verdicts
from seawall.runtime.service import Context

AGAIN_SECONDS: Final = 0.05
"""How long to wait before an update that is ahead is judged again."""

_AHEAD: Final = ("REPLAY_BASE", "REPLAY_CHECKPOINT")
_OWN_WAY: Final = ("REPLAY_SEQ", "REPLAY_PAYLOAD")


class StateRules:
    """The own ledger's judgement of updates."""

    def __init__(
        self,
        context: Context,
        progress: Progress,
        ledger: LedgerClient,
        history: History,
        settings: IngestionSettings,
    ) -> None:
        """Ask `ledger`; `history` knows what became of earlier updates."""
        self._clock = context.clock
        self._admission = context.admission
        self._progress = progress
        self._ledger = ledger
        self._history = history
        self._patience_us = int(settings.patience_seconds * 1_000_000)

    async def judge(self, updates: Sequence[AdmittedUpdate]) -> Verdicts:
        """Return the verdicts at the last certified height; what passed is remembered.

        Raises:
            OperationalError: LEDGER_BEHIND, RPC_*, DEADLINE.

        """
        verdicts = await self._ledger.judge(self._progress.height, updates)
        if verdicts.later:
            hint = "the ledger of this site is behind its own checkpoint: try again"
            raise OperationalError("LEDGER_BEHIND", hint)
        if verdicts.height:
            passed = [one for at, one in enumerate(updates) if at not in verdicts.refused]
            self._admission.note_judged(verdicts.height, passed)
        return verdicts

    def is_ahead(self, update: AdmittedUpdate, refusal: PeerError, since_us: int) -> bool:
        """Say whether this site may soon know what the contributor has seen elsewhere."""
        return (
            refusal.code in _AHEAD
            and update.submission.checkpoint_size > self._progress.tree_size
            and self._clock.elapsed_us() - since_us < self._patience_us
        )

    async def is_committed(self, update: AdmittedUpdate, refusal: PeerError) -> bool:
        """Say whether a refused update is refused because it is committed, and note it then.

        Raises:
            OperationalError: RPC_*, DEADLINE.

        """
        if refusal.code not in _OWN_WAY:
            return False
        try:
            entry = await self._history.entry_of(update.update_id)
        except PeerError:
            return False
        if entry is None:
            return False
        self._progress.recall(update.update_id, entry)
        return True
