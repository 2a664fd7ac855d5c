"""Behaviours about who hears of own blocks, and when; the blocks themselves are honest."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from seawall.consensus.byzantine.site import Behaviour, Site, is_own_news, news
from seawall.consensus.engine import ALL_PEERS, BelowGc, Blocks, LatestReply, Message, Send
from seawall.domain.block import Ref, VerifiedBlock

_NOTHING: Final = Blocks(())


class Withhold(Behaviour):
    """Own blocks go to some peers only, or to nobody; others find nothing of them here either.

    Commits that carry them are served as ever: whoever has such a commit has the block.
    """

    def __init__(self, peers: Sequence[int] = ()) -> None:
        """Send own blocks to these peers only."""
        self._peers = tuple(peers)

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Leave own blocks out of whatever is for others."""
        kept: list[Send] = []
        for send in sends:
            if is_own_news(send, site.own):
                kept.extend([Send(peer, send.message) for peer in self._peers])
            elif send.peer in self._peers:
                kept.append(send)
            else:
                message = _only(send.message, lambda ref: ref.author != site.own)
                if message != _NOTHING:
                    kept.append(Send(send.peer, message))
        return kept


class Selective(Behaviour):
    """Each own block goes to one part of the others only: even rounds to some, odd to the rest.

    So nobody hears of two own blocks in a row from here: each part lacks just the parents of what
    it is told, and finds them only with the other part.
    """

    def __init__(self, peers: Sequence[int]) -> None:
        """Let these peers have the blocks of even rounds, the others those of odd rounds."""
        self._peers = tuple(peers)

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Send to each peer what is meant for it, news and answers alike."""
        kept: list[Send] = []
        for send in sends:
            targets = site.peers if is_own_news(send, site.own) else [send.peer]
            for peer in targets:
                if peer == ALL_PEERS:
                    kept.append(send)
                    continue
                message = _only(send.message, self._meant_for(peer, site.own))
                if message != _NOTHING:
                    kept.append(Send(peer, message))
        return kept

    def _meant_for(self, peer: int, own: int) -> Callable[[Ref], bool]:
        """Return whether a block is another site's, or an own one of this peer's rounds."""
        odd = peer not in self._peers
        return lambda ref: ref.author != own or ref.round % 2 == odd


class Delay(Behaviour):
    """Own blocks leave when this site has come some rounds further, oldest first."""

    def __init__(self, rounds: int) -> None:
        """Hold every own block back for so many rounds."""
        self._rounds = rounds
        self._held: list[tuple[int, Send]] = []

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Hold back the news, and let go of what is old enough; answers are honest."""
        clock = site.core.clock.round
        kept: list[Send] = []
        for send in sends:
            if is_own_news(send, site.own):
                self._held.append((_newest(send.message) + self._rounds, send))
            else:
                kept.append(send)
        due = [send for release, send in self._held if release < clock]
        self._held = [(release, send) for release, send in self._held if release >= clock]
        return [*due, *kept]


class Equivocate(Behaviour):
    """Signs a second block for every slot and tells some peers of it, the others of the first.

    The second block differs in its time, and in its parents where it stands on the second block
    of the own previous slot: then either side sees one clean chain of blocks, as with twins.
    """

    def __init__(self, peers: Sequence[int], *, chained: bool = False) -> None:
        """Tell these peers of the second block; `chained` ones stand on one another."""
        self._peers = tuple(peers)
        self._chained = chained
        self._last: VerifiedBlock | None = None

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Split the news of each own block."""
        others = [peer for peer in site.peers if peer not in self._peers]
        kept: list[Send] = []
        for send in sends:
            message = send.message
            if is_own_news(send, site.own) and isinstance(message, Blocks):
                for block in message.blocks:
                    kept.extend(news(block, others))
                    kept.extend(news(self._second(block, site), self._peers))
            else:
                kept.append(send)
        return kept

    def _second(self, first: VerifiedBlock, site: Site) -> VerifiedBlock:
        """Return another block for the slot; the own engine holds both from now on."""
        content = first.block
        parents = content.parents
        if self._chained and self._last is not None and self._last.ref.slot == parents[0].slot:
            parents = (self._last.ref, *parents[1:])
        changed = replace(content, timestamp_ms=content.timestamp_ms + 1, parents=parents)
        self._last = site.sign(changed)
        site.core.admit(self._last, solicited=True)
        return self._last


def _newest(message: Message) -> int:
    assert isinstance(message, Blocks), "news are blocks"
    return max(block.ref.round for block in message.blocks)


def _only(message: Message, may_go: Callable[[Ref], bool]) -> Message:
    """Return the message without the blocks that may not go."""
    match message:
        case Blocks(blocks):
            return Blocks(tuple([block for block in blocks if may_go(block.ref)]))
        case BelowGc(blocks=blocks):
            return replace(message, blocks=tuple([one for one in blocks if may_go(one.ref)]))
        case LatestReply(own=own, yours=yours):
            return LatestReply(own=own if own and may_go(own.ref) else None, yours=yours)
        case _:
            return message
