"""A site moved by hand, links whose delays a scenario sets, and an onlooker for messages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from seawall.codec import seal_block
from seawall.consensus.engine import (
    Blocks,
    Event,
    Identity,
    Instant,
    Message,
    Output,
    Received,
    Send,
    Status,
)
from seawall.domain.block import Block, BlockFlags, CoinShares, Ref, VerifiedBlock
from seawall.domain.committee import Committee
from seawall.sim.byzantine import Starver
from seawall.sim.checking import Checker
from seawall.sim.network import MILLISECOND_US

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


@dataclass(slots=True)
class Steered:
    """Delays by direction, zone to zone, that a scenario changes as it goes."""

    usual_us: int = 20 * MILLISECOND_US
    of: dict[tuple[str, str], int] = field(default_factory=dict)

    def sample_us(self, random: Random, source_zone: str, target_zone: str) -> int:
        """Return the delay of this direction."""
        del random
        return self.of.get((source_zone, target_zone), self.usual_us)


class Puppet:
    """Holds every block that it is sent, and says what it is told to say and nothing else."""

    def __init__(self, identity: Identity, committee: Committee) -> None:
        """Start silent."""
        self._identity = identity
        self._committee = committee
        self._outbox: list[Send] = []
        self.held: dict[tuple[int, int], Ref] = {}

    def step(self, event: Event, now: Instant) -> Output:
        """Take blocks in, and hand over what waits to be sent."""
        del now
        if isinstance(event, Received) and isinstance(event.message, Blocks):
            self.held.update((block.ref.slot, block.ref) for block in event.message.blocks)
        sends = tuple(self._outbox)
        self._outbox.clear()
        return Output(send=sends)

    def status(self) -> Status:
        """Return that it orders nothing."""
        return Starver(self._identity, self._committee, lambda _: ()).status()

    def say(self, peer: int, *blocks: VerifiedBlock) -> None:
        """Send these blocks to one peer with the next step."""
        self._outbox.append(Send(peer, Blocks(blocks)))

    def make(self, round_: int, parents: Sequence[Ref], wall_ms: int) -> VerifiedBlock:
        """Return an empty block, signed."""
        content = Block(
            epoch=self._committee.epoch,
            round=round_,
            author=self._identity.index,
            timestamp_ms=wall_ms,
            flags=BlockFlags.NONE,
            parents=tuple(parents),
            batches=(),
            transactions=(),
            rejects=(),
            vote_cutoff=round_ - 1,
            coin_shares=CoinShares(),
            commit_votes=(),
        )
        sealed = seal_block(content, self._committee.origin, self._identity.consensus_key)
        return VerifiedBlock(block=content, ref=sealed.ref, raw=sealed.raw, valid_votes=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message, and how many commits each seat had when it left."""

    source: int
    peer: int
    message: Message
    heights: tuple[int, ...]


class Onlooker(Checker):
    """Keeps every message of one kind, and the names of what seats observe."""

    def __init__(self, kind: type[Message]) -> None:
        """Start before the first message."""
        self._kind = kind
        self.sent: list[Sent] = []
        self.observed: list[tuple[int, str]] = []

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Note what leaves."""
        self.observed.extend((seat.index, seen.name) for seen in output.observe)
        for send in output.send:
            if isinstance(send.message, self._kind):
                heights = world.outcome().commits
                self.sent.append(
                    Sent(source=seat.index, peer=send.peer, message=send.message, heights=heights)
                )
