"""Collects what one step asks the outside to do."""

from typing import TYPE_CHECKING

from seawall.consensus.engine import Finality, Message, Observation, Output, Record, Send

if TYPE_CHECKING:
    from seawall.domain.commit import CertifiedCheckpoint, Commit


class Effects:
    """The output of the step in progress, field by field, in the order of the calls."""

    __slots__ = ("certify", "deliver", "final", "observations", "persist", "sends")

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        """Begin with nothing collected."""
        self.persist: list[Record] = []
        self.sends: list[Send] = []
        self.final: list[Finality] = []
        self.deliver: list[Commit] = []
        self.certify: list[CertifiedCheckpoint] = []
        self.observations: list[Observation] = []

    def send(self, peer: int, message: Message) -> None:
        """Ask to send a message to a peer, or to `ALL_PEERS`."""
        self.sends.append(Send(peer, message))

    def observe(self, name: str, **fields: int | str) -> None:
        """Report something worth counting or checking."""
        self.observations.append(Observation(name, fields))

    def take(self, wake_at_us: int | None) -> Output:
        """Return everything collected so far as one output, and start anew."""
        output = Output(
            persist=tuple(self.persist),
            send=tuple(self.sends),
            final=tuple(self.final),
            deliver=tuple(self.deliver),
            certify=tuple(self.certify),
            observe=tuple(self.observations),
            wake_at_us=wake_at_us,
        )
        self._start()
        return output
