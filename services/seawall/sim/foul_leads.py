"""A site that is honest but around the rounds that it leads, where it costs the others time."""

from collections.abc import Sequence

from seawall.consensus.byzantine.engine import byzantine
from seawall.consensus.byzantine.site import Behaviour, Site, is_own_news
from seawall.consensus.engine import Blocks, Send
from seawall.consensus.engines import EngineFactory


class FoulLeads(Behaviour):
    """Shows a leading block to one peer only, and the blocks after it to nobody for two rounds.

    The votes on that leader are as many as the blames, so nobody can see them clear, and all
    wait for this site's next block until their timers end; such a slot is not decided directly.
    """

    def __init__(self, peer: int) -> None:
        """Start honest."""
        self._peer = peer
        self._led = 0
        self._held: list[Send] = []

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Redirect news of a leading block; hold what follows until the others have gone on."""
        kept: list[Send] = []
        if site.core.clock.round > self._led + 2:
            kept, self._held = self._held, []
        for send in sends:
            round_ = _round(send, site.own)
            if round_ is None:
                kept.append(send)
            elif self._led and round_ <= self._led + 2:
                self._held.append(send)
            elif site.own in (site.core.schedule.leaders(round_) or ()):
                self._led = round_
                kept.append(Send(self._peer, send.message))
            else:
                kept.append(send)
        return kept


def leading_foully(honest: EngineFactory, peer: int) -> EngineFactory:
    """Return a factory of sites whose leading blocks this peer alone gets in time."""
    return byzantine(honest, lambda: [FoulLeads(peer)])


def _round(send: Send, own: int) -> int | None:
    """Return the round of the own blocks that this tells everybody of, if it does."""
    message = send.message
    if not (is_own_news(send, own) and isinstance(message, Blocks)):
        return None
    return max(block.ref.round for block in message.blocks)
