"""A site that votes twice: for once it signs a second block, with other votes in it.

Honest sites take nothing more from an author that they know to equivocate, so the chance comes
once. It is worth most when the others disagree: then this site's votes decide.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from seawall.consensus.byzantine.engine import byzantine
from seawall.consensus.byzantine.sending import Equivocate
from seawall.consensus.byzantine.site import Site, is_own_news
from seawall.consensus.engine import Blocks, Send
from seawall.consensus.engines import EngineFactory
from seawall.domain.block import VerifiedBlock


class TwoVotes(Equivocate):
    """Beside each own block that rejects something, signs one that rejects nothing.

    Some peers are told of it, the others of the first.
    """

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Split the news of own blocks with rejects; everything else is honest."""
        kept: list[Send] = []
        for send in sends:
            kept.extend(super().sends([send], site) if _rejects(send, site.own) else [send])
        return kept

    def _second(self, first: VerifiedBlock, site: Site) -> VerifiedBlock:
        """Return a block for the same slot, on the same parents, that accepts everything."""
        second = site.sign(replace(first.block, rejects=()))
        site.core.admit(second, solicited=True)
        return second


def voting_twice(honest: EngineFactory, peers: Sequence[int]) -> EngineFactory:
    """Return a factory of sites that tell these peers of the second votes."""
    return byzantine(honest, lambda: [TwoVotes(peers)])


def _rejects(send: Send, own: int) -> bool:
    """Return whether this tells everybody of own blocks that reject something."""
    message = send.message
    if not (is_own_news(send, own) and isinstance(message, Blocks)):
        return False
    return any(block.block.rejects for block in message.blocks)
