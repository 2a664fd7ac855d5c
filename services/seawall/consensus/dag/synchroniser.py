"""Gets missing blocks, and serves those that others miss.

A missing block is asked for first from who sent its child, then from its author, then from the
others in turn, with growing pauses. A request for blocks at or below our gc round is answered
with what we hold from the last committed leader's round up, so that the asker can commit and
collect too: without that, one withheld certificate and one old parent would halt it for ever.

Source: docs/protocol.md, section 5.
"""

from heapq import heappop, heappush
from typing import Final

from seawall.consensus.dag.core import Core
from seawall.consensus.engine import BelowGc, Blocks, FetchBlocks, Subscribe
from seawall.domain.block import Ref, VerifiedBlock

GRACE_US: Final = 20_000
"""A missing parent is often just on its way."""

BACK_OFF_US: Final = 250_000
BACK_OFF_DOUBLINGS_MAX: Final = 4
REFS_PER_FETCH_MAX: Final = 64
FETCHES_AT_ONCE_MAX: Final = 4
"""Requests to one peer in one step; the rest waits a moment."""

MESSAGE_BYTES_MAX: Final = 1 << 20
ANSWER_BYTES_MAX: Final = 4 << 20
ANSWER_BYTES_PER_SECOND: Final = 16 << 20
"""What one peer gets in answers over a longer time; it has to ask again for the rest."""

ANSWER_BURST_US: Final = 250_000
"""How much of that may come at once, as the time that it takes."""

BELOW_GC_PAUSE_US: Final = 500_000
"""A peer gets at most one such answer in this time: it is far larger than the question."""

SILENCE_US: Final = 2_000_000
SILENCE_DOUBLINGS_MAX: Final = 3
"""A silent author is asked for its stream again, every 2 s at first, every 16 s at last."""


_NEVER: Final = 1 << 62


class _Want:
    """A missing block: whom to ask next, and when."""

    __slots__ = ("attempts", "source")

    def __init__(self, source: int) -> None:
        self.source = source
        self.attempts = 0


class Synchroniser:
    """Keeps the missing blocks of one replica, with the times to ask for them."""

    def __init__(self, core: Core, size: int) -> None:
        self._core = core
        self._size = size
        self._wants: dict[Ref, _Want] = {}
        self._times: list[tuple[int, Ref]] = []
        self._down = 0
        self._below_gc_us: dict[int, int] = {}
        self._below_gc_sent: dict[int, int] = {}
        self._paid_us: dict[int, int] = {}
        others = [peer for peer in range(size) if peer != core.own]
        self._stream_us = dict.fromkeys(others, 0)
        self._stream_state = dict.fromkeys(others, (_NEVER, -1))

    def __len__(self) -> int:
        return len(self._wants)

    # --- asking ---------------------------------------------------------------------------------

    def want(self, refs: list[Ref], source: int, now_us: int) -> None:
        """Ask for these blocks soon, first from `source`."""
        for ref in refs:
            if ref not in self._wants:
                self._wants[ref] = _Want(source)
                heappush(self._times, (now_us + GRACE_US, ref))

    def is_wanted(self, refs: tuple[Ref, ...]) -> bool:
        """Return whether any of these blocks is still being asked for."""
        return any(ref in self._wants for ref in refs)

    def peer_up(self, peer: int, now_us: int) -> None:
        """Take up the peer's stream where it broke off."""
        self._down &= ~(1 << peer)
        self._subscribe(peer, now_us, 0)

    def peer_down(self, peer: int) -> None:
        """Ask others from now on."""
        self._down |= 1 << peer

    def poll(self, now_us: int) -> int | None:
        """Send the requests that are due; return when the next one is."""
        self._poll_wants(now_us)
        self._poll_streams(now_us)
        times = [*self._stream_us.values(), *[time for time, _ in self._times[:1]]]
        return min(times, default=None)

    def _poll_wants(self, now_us: int) -> None:
        """Request what is due, in batches."""
        batches: dict[int, list[Ref]] = {}
        while self._times and self._times[0][0] <= now_us:
            _, ref = heappop(self._times)
            want = self._wants[ref]
            if not self._is_missing(ref):
                del self._wants[ref]
                continue
            batch = batches.setdefault(self._whom(ref, want), [])
            if len(batch) >= REFS_PER_FETCH_MAX * FETCHES_AT_ONCE_MAX:
                heappush(self._times, (now_us + GRACE_US, ref))
                continue
            batch.append(ref)
            pause = BACK_OFF_US << min(want.attempts, BACK_OFF_DOUBLINGS_MAX)
            want.attempts += 1
            heappush(self._times, (now_us + pause, ref))
        for peer, refs in batches.items():
            for start in range(0, len(refs), REFS_PER_FETCH_MAX):
                part = tuple(refs[start : start + REFS_PER_FETCH_MAX])
                self._core.effects.send(peer, FetchBlocks(part))

    def _is_missing(self, ref: Ref) -> bool:
        """Return whether somebody still waits for the block."""
        pending = self._core.pending
        return pending.wants(ref) and ref not in pending

    def _whom(self, ref: Ref, want: _Want) -> int:
        """Return the peer for the next attempt: source, author, then all others in turn."""
        own = self._core.own
        others = [peer for peer in range(self._size) if peer != own]
        turn = [want.source, ref.author, *others[want.source % len(others) :], *others]
        turn = [peer for peer in turn if peer != own]
        up = [peer for peer in turn if not self._down >> peer & 1] or turn
        return up[want.attempts % len(up)]

    def _poll_streams(self, now_us: int) -> None:
        """Ask silent authors for their blocks again."""
        for peer in [peer for peer, at_us in self._stream_us.items() if at_us <= now_us]:
            heard, silent = self._stream_state[peer]
            highest = self._core.store.highest_round_of(peer)
            if highest > heard:
                self._stream_state[peer] = (highest, 0)
                self._stream_us[peer] = now_us + SILENCE_US
            else:
                self._subscribe(peer, now_us, min(silent + 1, SILENCE_DOUBLINGS_MAX))

    def _subscribe(self, peer: int, now_us: int, silent: int) -> None:
        """Ask for the peer's own blocks that we lack, and watch its stream."""
        highest = self._core.store.highest_round_of(peer)
        self._stream_state[peer] = (highest, silent)
        self._stream_us[peer] = now_us + (SILENCE_US << silent)
        self._core.effects.send(peer, Subscribe(highest))

    # --- answering ------------------------------------------------------------------------------

    def on_subscribe(self, peer: int, after_round: int, now_us: int) -> None:
        """Send our own blocks above a round, oldest first; new ones go to everybody anyway."""
        store, own = self._core.store, self._core.own
        blocks: list[VerifiedBlock] = []
        first = max(after_round, self._core.pruned_round) + 1
        for round_ in range(first, store.highest_round_of(own) + 1):
            blocks.extend([vertex.block for vertex in store.at_slot(round_, own)])
        self._send_blocks(peer, blocks, now_us)

    def on_fetch(self, peer: int, refs: tuple[Ref, ...], now_us: int) -> None:
        """Send the blocks that are here; add the newest when some are below our gc round."""
        core = self._core
        found: list[VerifiedBlock] = []
        for ref in sorted(set(refs[: 4 * REFS_PER_FETCH_MAX])):
            block = core.find(ref)
            if block is not None:
                found.append(block)
        self._send_blocks(peer, found, now_us)
        below = tuple([ref for ref in refs if ref.round <= core.gc_round])
        allowed_us = self._below_gc_us.get(peer, 0)
        if below and now_us >= allowed_us:
            self._below_gc_us[peer] = now_us + BELOW_GC_PAUSE_US
            self._send_newest(peer, below)

    def _send_newest(self, peer: int, below: tuple[Ref, ...]) -> None:
        """Send what is held from the round of the last leader up whose commit is certified.

        What is certified can be had as commits. Of later commits nobody else may have the blocks
        that decided them, however many rounds ago: one certificate that only this site was given
        is enough. What does not fit comes with the next answers: each goes on where the one
        before ended, so that no block is always left out.
        """
        core = self._core
        index = core.linearizer.index
        certified = core.recent.get(min(core.votes.certified_index, index))
        start = 0 if certified is None else certified.leader.round
        after = self._below_gc_sent.get(peer, -1)
        newest = [vertex for vertex in core.store if vertex.round >= start]
        turn = [vertex for vertex in newest if vertex.number > after]
        turn += [vertex for vertex in newest if vertex.number <= after]
        parts = _parts([vertex.block for vertex in turn])
        for part in parts or [()]:
            core.effects.send(peer, BelowGc(index, below, part))
        sent = sum([len(part) for part in parts])
        self._below_gc_sent[peer] = turn[sent - 1].number if sent < len(turn) else -1

    def _send_blocks(self, peer: int, blocks: list[VerifiedBlock], now_us: int) -> None:
        """Send blocks in messages of bounded size, up to a bound in all and in time."""
        paid_us = max(self._paid_us.get(peer, 0), now_us - ANSWER_BURST_US)
        if paid_us > now_us:
            return
        size = 0
        for part in _parts(blocks):
            self._core.effects.send(peer, Blocks(part))
            size += sum([len(block.raw) for block in part])
        self._paid_us[peer] = paid_us + size * 1_000_000 // ANSWER_BYTES_PER_SECOND


def _parts(blocks: list[VerifiedBlock]) -> list[tuple[VerifiedBlock, ...]]:
    """Return the blocks in parts that fit into a message, dropping what exceeds an answer."""
    parts: list[tuple[VerifiedBlock, ...]] = []
    part: list[VerifiedBlock] = []
    size = total = 0
    for block in blocks:
        total += len(block.raw)
        if part and total > ANSWER_BYTES_MAX:
            break
        if part and size + len(block.raw) > MESSAGE_BYTES_MAX:
            parts.append(tuple(part))
            part, size = [], 0
        part.append(block)
        size += len(block.raw)
    if part:
        parts.append(tuple(part))
    return parts
