"""Where every update stands that this site knows of, and who wants to hear about it.

An update is in flight from its admission until it is committed or refused, and holds its claim that
long (`claims`). The same update again attaches to the first.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Iterable

from seawall.errors import PeerError, SeawallError
from seawall.formats.admission import AdmittedUpdate
from seawall.ingestion.claims import Claim, Claims
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.update import Event, Sink, Stage, Update

SINKS_MAX = 16
"""Streams that one update in flight reports to."""

VERSIONS_AHEAD_MAX = 64
"""Cuts of one process that wait for their version."""

EXPIRING_SLACK = 1024
"""Landed updates that may stand in the list of expiries."""


class Progress:
    """All updates that this site knows of; `room` is set when something leaves."""

    def __init__(self, settings: IngestionSettings, claims: Claims | None = None) -> None:
        """Know none; `claims` are those of this process."""
        self._settings = settings
        self._claims = Claims(settings.in_flight_contributor_max) if claims is None else claims
        self._in_flight: dict[bytes, Update] = {}
        self._expiring: list[tuple[int, bytes]] = []
        self._remembered: OrderedDict[bytes, Update] = OrderedDict()
        self._watched: dict[bytes, list[Sink]] = {}
        self._final: dict[bytes, None] = {}
        self._cuts: OrderedDict[tuple[str, int], tuple[bytes, ...]] = OrderedDict()
        self.room = asyncio.Event()
        self.bytes_in_flight = 0
        self.height = 0
        self.tree_size = 0

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def is_full(self) -> bool:
        """Say whether another update would exceed what may be in flight here."""
        return (
            len(self._in_flight) >= self._settings.in_flight_max
            or self.bytes_in_flight >= self._settings.in_flight_bytes_max
        )

    # --- asking ----------------------------------------------------------------------------------

    def find(self, update_id: bytes) -> Update | None:
        """Return an update that is in flight, or whose outcome is remembered."""
        return self._in_flight.get(update_id) or self._remembered.get(update_id)

    def check_conflict(self, admitted: AdmittedUpdate) -> None:
        """Refuse an update that another one in flight here rules out.

        Raises:
            PeerError: REPLAY_SEQ, REPLAY_PAYLOAD.

        """
        self._claims.check(Claim.of(admitted))

    # --- adding ----------------------------------------------------------------------------------

    def admit(self, admitted: AdmittedUpdate, payload: bytes, now_us: int) -> Update:
        """Take an update in flight; it is not in flight yet.

        Raises:
            PeerError: REPLAY_SEQ, REPLAY_PAYLOAD, QUOTA_CONTRIBUTOR, QUOTA_IN_FLIGHT.

        """
        claim = Claim.of(admitted)
        self._claims.take(claim)
        if self.is_full:
            self._claims.withdraw(claim)
            hint = "too much is on its way here: try again in a moment, or another site"
            raise PeerError("QUOTA_IN_FLIGHT", hint)
        self._claims.confirm(claim)
        update = Update(admitted.update_id, admitted, payload, now_us)
        self._remembered.pop(update.update_id, None)
        self._in_flight[update.update_id] = update
        self._note_expiry(admitted.submission.expires_height, update.update_id)
        self.bytes_in_flight += update.size_bytes
        for sink in self._watched.pop(update.update_id, ()):
            update.sinks.append((sink, 0))
        return update

    def attach(self, update: Update, sink: Sink, number: int) -> None:
        """Report the update to one more sink, from its current step on.

        Raises:
            PeerError: QUOTA_SINKS.

        """
        update.sinks = [one for one in update.sinks if not one[0].closed]
        if len(update.sinks) >= SINKS_MAX:
            raise PeerError("QUOTA_SINKS", "too many streams ask for this update")
        update.sinks.append((sink, number))
        if update.event is not None:
            sink.notify(number, update.event)

    def watch(self, update_id: bytes, sink: Sink) -> None:
        """Report an update to a sink whether or not it is known yet.

        Raises:
            PeerError: QUOTA_SINKS.

        """
        update = self.find(update_id)
        if update is not None:
            self.attach(update, sink, 0)
            return
        if update_id in self._final:
            sink.notify(0, Event(update_id, Stage.FINAL))
        waiting = self._watched.setdefault(update_id, [])
        waiting[:] = [one for one in waiting if not one.closed]
        if len(waiting) >= SINKS_MAX:
            raise PeerError("QUOTA_SINKS", "too many streams ask for this update")
        waiting.append(sink)

    def unwatch(self, update_ids: Iterable[bytes], sink: Sink) -> None:
        """Forget that a sink waits for updates that nobody has sent."""
        for update_id in update_ids:
            waiting = self._watched.get(update_id)
            if waiting is None:
                continue
            waiting[:] = [one for one in waiting if one is not sink]
            if not waiting:
                del self._watched[update_id]

    # --- steps of this site ----------------------------------------------------------------------

    def advance(self, updates: Iterable[Update], stage: Stage) -> None:
        """Report a step before the commit."""
        for update in updates:
            if update.stage < stage:
                self._step(update, Event(update.update_id, stage))

    def release(self, updates: Iterable[Update]) -> None:
        """Let go of the bytes of updates that other sites hold as well."""
        for update in updates:
            if update.size_bytes:
                self.bytes_in_flight -= update.size_bytes
                update.size_bytes = 0
                update.payload = b""
        self.room.set()

    def refuse(self, update: Update, refusal: SeawallError) -> None:
        """End an update that is in flight; one that is FINAL has its entry to come."""
        if update.stage == Stage.FINAL:
            return
        if update.is_open and update.update_id in self._in_flight:
            self._land(update, used=False)
            self._step(update, Event(update.update_id, Stage.REFUSED, refusal))

    # --- steps of consensus ----------------------------------------------------------------------

    def final(self, update_ids: Iterable[bytes]) -> None:
        """Note that this site's replica states updates to be FINAL; most are of other sites."""
        for update_id in update_ids:
            update = self._in_flight.get(update_id)
            if update is not None:
                self.advance((update,), Stage.FINAL)
            elif update_id not in self._remembered:
                self._final[update_id] = None
                for sink in self._watched.get(update_id, ()):
                    if not sink.closed:
                        sink.notify(0, Event(update_id, Stage.FINAL))
        while len(self._final) > self._settings.remembered_max:
            del self._final[next(iter(self._final))]

    # --- steps of the ledger ---------------------------------------------------------------------

    def committed(self, update_id: bytes, entry_index: int) -> Update | None:
        """Note an update's entry; return the update when somebody here knows it."""
        event = Event(update_id, Stage.COMMITTED, None, entry_index)
        update = self._in_flight.get(update_id)
        if update is not None:
            self._land(update, used=True)
        else:
            self._final.pop(update_id, None)
            update = self._remembered.get(update_id)
            if update is None:
                waiting = self._watched.pop(update_id, None)
                if waiting is None:
                    return None
                update = Update(update_id, None, b"", 0)
                update.sinks = [(sink, 0) for sink in waiting]
                self._remember(update)
            elif update.stage in (Stage.COMMITTED, Stage.AGGREGATED):
                return update
        self._step(update, event)
        return update

    def recall(self, update_id: bytes, entry_index: int) -> Update:
        """Return an update of an earlier life of this process as committed, and remember it."""
        update = self._in_flight.get(update_id) or self._remembered.get(update_id)
        if update is None:
            update = Update(update_id, None, b"", 0)
            update.sinks = [(sink, 0) for sink in self._watched.pop(update_id, ())]
            self._remember(update)
        self.committed(update_id, entry_index)
        return update

    def overtaken(self, contributor: bytes, seq: int, payload: bytes, update_id: bytes) -> None:
        """End updates in flight that the acceptance of another one rules out.

        An equal payload that consensus has may still be accepted, with taint.
        """
        other = self._claims.by_seq(contributor, seq)
        if other is not None and other != update_id and other in self._in_flight:
            hint = "another update with this number was committed: use each number once"
            self.refuse(self._in_flight[other], PeerError("REPLAY_EQUIVOCATION", hint, field="seq"))
        other = self._claims.by_payload(contributor, payload)
        rival = self._in_flight.get(other) if other is not None else None
        if rival is not None and other != update_id and not rival.handed:
            hint = "this contributor's payload was committed with another update"
            self.refuse(rival, PeerError("REPLAY_PAYLOAD", hint, field="payloadDigest"))

    def undecided(self, update_id: bytes) -> Update | None:
        """Return an update of this site's batches that a verdict left undecided, once a batch.

        Who watches an update of another site hears nothing of it: that site tries again.
        """
        update = self._in_flight.get(update_id)
        if update is None or not update.handed or update.stage >= Stage.FINAL:
            return None
        update.handed = False
        return update

    def refused(self, update_id: bytes, refusal: SeawallError) -> None:
        """End an update that was delivered and not accepted."""
        update = self._in_flight.get(update_id)
        if update is not None:
            self.refuse(update, refusal)
            return
        for sink in self._watched.pop(update_id, ()):
            sink.notify(0, Event(update_id, Stage.REFUSED, refusal))

    def cut(self, task: str, version: int, update_ids: Iterable[bytes]) -> None:
        """Note which updates a version will be made of."""
        known = tuple(one for one in update_ids if one in self._remembered)
        if known:
            self._cuts[task, version] = known
            if len(self._cuts) > VERSIONS_AHEAD_MAX:
                self._cuts.popitem(last=False)

    def decided(self, update_id: bytes, version: int, reason: SeawallError | None) -> None:
        """Note which version a committed update went into, or why a cut left it out for good."""
        update = self._remembered.get(update_id)
        if update is not None and update.stage == Stage.COMMITTED and update.event is not None:
            entry = update.event.entry_index
            self._step(update, Event(update_id, Stage.AGGREGATED, reason, entry, version))

    def usable(self, task: str, version: int) -> None:
        """Note that a version is usable."""
        for update_id in self._cuts.pop((task, version), ()):
            self.decided(update_id, version, None)

    def rise(self, height: int, tree_size: int) -> None:
        """Note that everything up to a commit is known, and end what has expired by then.

        What consensus has may still be accepted: its verdict decides.
        """
        self.height = height
        self.tree_size = tree_size
        while self._expiring and self._expiring[0][0] <= height:
            _, update_id = heapq.heappop(self._expiring)
            update = self._in_flight.get(update_id)
            if update is not None and not update.handed:
                hint = "sign again with a later expiry and a new number"
                self.refuse(update, PeerError("REPLAY_EXPIRED", hint, field="expiresHeight"))

    # --- parts -----------------------------------------------------------------------------------

    def _land(self, update: Update, *, used: bool) -> None:
        """Take an update out of flight and remember its outcome; `used` up its number, or not."""
        admitted = update.admitted
        assert admitted is not None, "what is in flight was admitted"
        del self._in_flight[update.update_id]
        self._claims.drop(Claim.of(admitted), used=used)
        self.release((update,))
        update.admitted = None
        self._remember(update)

    def _note_expiry(self, height: int, update_id: bytes) -> None:
        """Remember when an update expires, and forget those that are not in flight any more."""
        heapq.heappush(self._expiring, (height, update_id))
        if len(self._expiring) > 2 * len(self._in_flight) + EXPIRING_SLACK:
            self._expiring = [one for one in self._expiring if one[1] in self._in_flight]
            heapq.heapify(self._expiring)

    def _remember(self, update: Update) -> None:
        self._remembered[update.update_id] = update
        if len(self._remembered) > self._settings.remembered_max:
            self._remembered.popitem(last=False)

    def _step(self, update: Update, event: Event) -> None:
        update.event = event
        for sink, number in update.sinks:
            if not sink.closed:
                sink.notify(number, event)
