"""How messages get from seat to seat in a world: links that come and go, sending, arriving."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from seawall.consensus.engine import (
    ALL_PEERS,
    Event,
    Message,
    Output,
    PeerDown,
    PeerUp,
    Received,
    Send,
)
from seawall.sim.checking import is_proposal
from seawall.sim.costless import Costless
from seawall.sim.disk import SEND_POINTS, CrashPoint
from seawall.sim.network import Network
from seawall.sim.passing import Passage

if TYPE_CHECKING:
    from seawall.sim.seat import Seat


class Wired(Costless, ABC):
    """The part of a world that carries messages. When what happens is the world's own matter."""

    network: Network
    passage: Passage
    seats: tuple["Seat", ...]
    own_send_crashes: int

    @abstractmethod
    def at(self, time_us: int, action: Callable[[], None]) -> None:
        """Do something at a virtual time."""

    @abstractmethod
    def push(self, seat: "Seat", event: Event) -> None:
        """Hand one event to a seat."""

    def refresh(self) -> None:
        """Bring the links in line with the facts, and tell both ends of every one that changed."""
        for a, b, up in self.network.refresh(self.now_us):
            for seat, other in ((a, b), (b, a)):
                author = self.network.authors[other]
                event = PeerUp(peer=author) if up else PeerDown(peer=author)
                self.push(self.seats[seat], event)
                if not up and self._sees_twin(seat, author):
                    self.push(self.seats[seat], PeerUp(peer=author))

    def _sees_twin(self, seat: int, author: int) -> bool:
        return any(
            self.network.is_up(seat, other)
            for other in self.network.peers[seat]
            if self.network.authors[other] == author
        )

    def _send_all(self, seat: "Seat", output: Output) -> bool:
        """Send everything; return False when an armed crash came first."""
        singles = [(to, send) for send in output.send for to in self._targets(seat, send.peer)]
        stop = self._crash_place(seat, singles) if singles else None
        for target, send in singles[:stop]:
            self.transmit(seat, target, send.message)
        return stop is None

    def _crash_place(self, seat: "Seat", singles: list[tuple[int, Send]]) -> int | None:
        """Return how many of these messages leave before an armed crash; None without one."""
        fault = seat.armed
        if fault is None or fault.point not in SEND_POINTS:
            return None
        own = [place for place, (_, send) in enumerate(singles) if is_proposal(seat.author, send)]
        counted = own if fault.own_block else list(range(len(singles)))
        sends = fault.sends + (fault.point is CrashPoint.AFTER_SEND)
        if not counted or (sends > len(counted) and not fault.own_block):
            return None
        self.own_send_crashes += bool(own)
        return counted[sends] if sends < len(counted) else len(singles)

    def _targets(self, seat: "Seat", peer: int) -> list[int]:
        return [
            other
            for other in self.network.peers[seat.index]
            if peer in (ALL_PEERS, self.network.authors[other])
        ]

    def transmit(self, seat: "Seat", target: int, message: Message) -> None:
        """Send one message over a seat's link; without one it is gone."""
        if not self.network.is_up(seat.index, target):
            return
        if self.network.hold(seat.index, target, message):
            return
        arrival = self.network.schedule(seat.index, target, self.leaving_us(seat, message))
        if arrival is None:
            self._break_link(seat.index, target)
            return
        time_us, generation = arrival
        self.at(time_us, partial(self._arrive, seat.index, target, generation, message))

    def _arrive(self, source: int, target: int, generation: int, message: Message) -> None:
        if not self.network.arrives(source, target, generation):
            return
        received = self.passage.admit(message)
        if received is None:
            self.network.reset(source, target, self.now_us)
            self._break_link(source, target)
            return
        event = Received(peer=self.network.authors[source], message=received)
        self.push(self.seats[target], event)

    def _break_link(self, source: int, target: int) -> None:
        repaired_us = self.network.repaired_us(source, target)
        assert repaired_us is not None, "a broken link is under repair"
        self.refresh()
        self.at(repaired_us, self.refresh)
