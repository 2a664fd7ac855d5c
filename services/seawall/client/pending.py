"""An update on its way, as the client knows it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from seawall.client.values import Event, Prepared, Stage

if TYPE_CHECKING:
    from seawall.client.stream import SubmitStream
    from seawall.client.upload import Upload
    from seawall.errors import SeawallError


class Pending:
    """An update on its way; `event` is the newest that is known of it.

    Each event is the word of one site, but for FINAL: `finals` are the sites that state it, or
    more, and `is_final` is set once they have validity stake, or a receipt proves the update.
    """

    def __init__(
        self, prepared: Prepared, listener: Callable[[Event], None] | None, until: Stage
    ) -> None:
        """Start at SENT; `listener` hears every further event once, up to the stage `until`."""
        self.prepared = prepared
        self.event = Event(prepared.update_id, Stage.SENT, -1)
        self.listener = listener
        self.until = until
        self.upload: Upload | None = None
        self.tried: list[int] = []
        self.due = 0.0
        self.busy = False
        self.stream: SubmitStream | None = None
        self.number = 0
        self.fault: SeawallError | None = None
        self.finals: dict[int, None] = {}
        self.is_final = False
        self._told_final = False
        self._waiters: list[tuple[Stage, asyncio.Future[Event]]] = []

    @property
    def settled(self) -> bool:
        """Say whether its bytes need not be kept any more: committed, or refused."""
        return self.event.stage >= Stage.COMMITTED

    @property
    def refused(self) -> bool:
        """Say whether it was refused."""
        return self.event.stage is Stage.REFUSED

    def future(self, stage: Stage) -> asyncio.Future[Event]:
        """Return a future of the event with which the update reaches `stage` or is refused."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        if self._has_reached(stage):
            future.set_result(self.event)
        else:
            self._waiters.append((stage, future))
        return future

    def advance(self, event: Event) -> bool:
        """Take an event; say whether it is news."""
        if self.refused or event.stage <= self.event.stage:
            return False
        if event.stage is Stage.REFUSED and self.settled:
            return False
        self.event = event
        self._wake()
        self._tell(event)
        return True

    def confirm(self) -> None:
        """Note that the update is FINAL beyond the word of one site."""
        self.is_final = True
        self._wake()

    def overhear(self, event: Event) -> None:
        """Tell the listener of a FINAL that too few sites have stated so far."""
        if event.stage > self.event.stage:
            self._tell(event)

    def _has_reached(self, stage: Stage) -> bool:
        if stage is Stage.FINAL:
            return self.refused or (self.is_final and self.event.stage >= stage)
        return self.event.stage >= stage

    def _wake(self) -> None:
        """Answer those who wait for no more than what is reached."""
        waiting = [(stage, one) for stage, one in self._waiters if not one.done()]
        self._waiters = [(stage, one) for stage, one in waiting if not self._has_reached(stage)]
        for stage, future in waiting:
            if self._has_reached(stage):
                future.set_result(self.event)

    def _tell(self, event: Event) -> None:
        is_again = event.stage is Stage.FINAL and self._told_final
        self._told_final |= event.stage is Stage.FINAL
        if self.listener is not None and not is_again:
            self.listener(event)
        if event.stage >= self.until:
            self.listener = None
