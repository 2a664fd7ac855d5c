"""The one behaviour about invalid blocks: whoever gets one must refuse it."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from seawall.consensus.byzantine.site import Behaviour, Site, is_own_news, news
from seawall.consensus.engine import Blocks, Send
from seawall.domain.block import Block

FORGERIES: Final = 3


class Forge(Behaviour):
    """Tells everybody of one invalid block beside each own one.

    In turn: parents that do not start with the own chain, too few of them, another's name.
    """

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Add a forgery for each own block that is news."""
        forged: list[Send] = []
        for send in sends:
            message = send.message
            if is_own_news(send, site.own) and isinstance(message, Blocks):
                for block in message.blocks:
                    content = _forged(block.block, site.committee.size)
                    forged.extend(news(site.sign(content), site.peers))
        return [*sends, *forged]


def _forged(block: Block, size: int) -> Block:
    match block.round % FORGERIES:
        case 0:
            return replace(block, parents=(*block.parents[1:], block.parents[0]))
        case 1:
            return replace(block, parents=block.parents[:1])
        case _:
            return replace(block, author=(block.author + 1) % size, batches=())
