"""What a scripted site has at hand: its own keys, and all that its honest engine knows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.codec import sign_block
from seawall.consensus.dag.core import Core
from seawall.consensus.engine import ALL_PEERS, Blocks, Identity, Send
from seawall.domain.block import Block, VerifiedBlock
from seawall.domain.committee import Committee


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The inside of one engine. `core` is the engine's own: what it accepts there, it holds."""

    identity: Identity
    committee: Committee
    core: Core

    @property
    def own(self) -> int:
        """Return this site's index."""
        return self.identity.index

    @property
    def peers(self) -> list[int]:
        """Return all others."""
        return [peer for peer in range(self.committee.size) if peer != self.own]

    def sign(self, block: Block) -> VerifiedBlock:
        """Return a block under this site's name."""
        return sign_block(block, self.committee.origin, self.identity.consensus_key)


class Behaviour:
    """One way to lie. Both hooks change nothing unless a subclass says otherwise."""

    def content(self, block: Block, site: Site) -> Block:
        """Return what this site signs in place of the block that an honest one would sign."""
        del site
        return block

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Return what leaves in place of what an honest site would send in this step."""
        del site
        return sends


def is_own_news(send: Send, own: int) -> bool:
    """Return whether this tells everybody of blocks of this site."""
    message = send.message
    return (
        send.peer == ALL_PEERS
        and isinstance(message, Blocks)
        and all(block.ref.author == own for block in message.blocks)
    )


def news(block: VerifiedBlock, peers: Iterable[int]) -> list[Send]:
    """Return the messages that tell these peers of one block."""
    return [Send(peer, Blocks((block,))) for peer in peers]
