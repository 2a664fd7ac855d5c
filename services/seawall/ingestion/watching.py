"""News of updates that this process may never have seen: from memory, then from the ledger."""

from collections.abc import Iterable
from typing import Final

from seawall.crypto.hashing import DIGEST_BYTES
from seawall.errors import PeerError
from seawall.formats import entry as entries
from seawall.ingestion.batch import History
from seawall.ingestion.following import cut_reason, taint_reason
from seawall.ingestion.progress import Progress
from seawall.ingestion.streams import Outbox
from seawall.ingestion.update import Event, Stage

WATCH_MAX: Final = 1024


class Watching:
    """Answers who asks for updates by id."""

    def __init__(self, progress: Progress, history: History) -> None:
        """Know what `progress` remembers and `history` can look up."""
        self._progress = progress
        self._history = history

    async def watch(self, update_ids: tuple[bytes, ...], outbox: Outbox, until: Stage) -> None:
        """Report updates to an outbox; look those up that are not in memory.

        Raises:
            PeerError: QUOTA_SINKS.
            OperationalError: RPC_*, DEADLINE.

        """
        for update_id in update_ids:
            outbox.expect(update_id)
        outbox.sender_is_done()
        for update_id in update_ids:
            if outbox.closed:
                return
            self._progress.watch(update_id, outbox)
            if self._progress.find(update_id) is None:
                await self._look_up(update_id, until)

    async def latest(self, update_id: bytes) -> Event | None:
        """Return the newest event of an update, None for one that nobody here knows of.

        Raises:
            PeerError: QUOTA_SINKS.
            OperationalError: RPC_*, DEADLINE.

        """
        outbox = Outbox(events_max=len(Stage))
        try:
            await self.watch((update_id,), outbox, Stage.AGGREGATED)
            heard = outbox.heard()
        finally:
            outbox.closed = True
            self.forget((update_id,), outbox)
        return heard[-1][1] if heard else None

    def forget(self, update_ids: tuple[bytes, ...], outbox: Outbox) -> None:
        """Stop reporting to an outbox."""
        self._progress.unwatch(update_ids, outbox)

    async def _look_up(self, update_id: bytes, until: Stage) -> None:
        """Take over what the ledger knows of an update."""
        try:
            index = await self._history.entry_of(update_id)
        except PeerError as refusal:
            self._progress.refused(update_id, refusal)
            return
        if index is None:
            return
        self._progress.recall(update_id, index)
        if until < Stage.AGGREGATED:
            return
        decision = await self._history.decision_on(update_id)
        if decision is not None:
            self._take_decision(update_id, entries.parse(decision))

    def _take_decision(self, update_id: bytes, decision: entries.Entry) -> None:
        """Report which version an update went into, or why into none."""
        if isinstance(decision, entries.VersionEntry):
            self._progress.decided(update_id, decision.version, None)
        elif isinstance(decision, entries.UpdateEntry):
            self._progress.decided(update_id, 0, taint_reason(decision.taint))
        elif isinstance(decision, (entries.CutEntry, entries.DroppedEntry)):
            for one in decision.dropped:
                if one.update_id == update_id.hex():
                    self._progress.decided(update_id, decision.version, cut_reason(one.reason))


def watched(update_ids: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the ids to watch, each once.

    Raises:
        PeerError: WATCH_COUNT, RPC_DIGEST.

    """
    wanted = tuple(dict.fromkeys(update_ids))
    if len(wanted) > WATCH_MAX:
        raise PeerError("WATCH_COUNT", f"watch at most {WATCH_MAX} updates", field="update_ids")
    if any(len(one) != DIGEST_BYTES for one in wanted):
        raise PeerError("RPC_DIGEST", "a digest has 32 bytes", field="update_ids")
    return wanted
