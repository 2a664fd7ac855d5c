"""What a checker is: an onlooker that sees every start, crash and output of every seat."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from seawall.consensus.engine import ALL_PEERS, Blocks, Output, Send
from seawall.domain.block import Batch, UpdateRecord, VerifiedBlock

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


class InvariantError(AssertionError):
    """An invariant does not hold: which one, what broke it, and at what virtual time.

    `replay` is the one command that shows it again; empty when only the caller knows the run,
    as with a broken replica or a scenario's own attacker.
    """

    def __init__(self, invariant: str, detail: str, now_us: int, replay: str = "") -> None:
        """Keep the facts."""
        self.summary = f"{invariant} at {now_us / 1e6:.6f} s: {detail}"
        self.replay = replay
        super().__init__(self.summary + (f"\n  replay: {replay}" if replay else ""))
        self.invariant = invariant
        self.detail = detail


class Checker:
    """Sees everything that happens in a world; subclasses look at what they care about."""

    invariant = ""

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Look at a seat that was built from its disk and has not worked yet."""

    def on_crash(self, world: "World", seat: "Seat") -> None:
        """Look at a seat that is about to stop."""

    def on_update(self, world: "World", owner: int, record: UpdateRecord) -> None:
        """Look at an update that a contributor has just handed in."""

    def on_batch(self, world: "World", seat: "Seat", batch: Batch) -> None:
        """Look at a batch that a seat's services are about to hand to its replica."""

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Look at a step whose records are durable and of which nothing has been sent yet."""

    def on_end(self, world: "World") -> None:
        """Look once more when the run has reached its goal."""


def own_blocks(author: int, output: Output, *, proposed: bool = False) -> Iterable[VerifiedBlock]:
    """Return the author's blocks among all that this output sends.

    With `proposed` only those that go to everybody, not what answers one peer.
    """
    for send in output.send:
        if proposed and not is_proposal(author, send):
            continue
        if isinstance(send.message, Blocks):
            for block in send.message.blocks:
                if block.ref.author == author:
                    yield block


def is_proposal(author: int, send: Send) -> bool:
    """Return whether this tells everybody of a new block by the author."""
    message = send.message
    return (
        send.peer == ALL_PEERS
        and isinstance(message, Blocks)
        and any(block.ref.author == author for block in message.blocks)
    )
