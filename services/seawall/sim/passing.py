"""What a link does with the blocks of a message before the replica sees them: bytes, then trust."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from msgspec.structs import replace

from seawall.codec import decode_block
from seawall.consensus import verification
from seawall.consensus.dag.records import BLOCK, read_block
from seawall.consensus.engine import BelowGc, Blocks, Commits, LatestReply, Message, Record
from seawall.domain.block import VerifiedBlock
from seawall.domain.committee import Committee
from seawall.errors import PeerError
from seawall.sim.plan import Passing, Plan

Verify: TypeAlias = Callable[[bytes, Committee, Plan], VerifiedBlock]
"""Decode and verify the bytes of one block; raises PeerError."""


def verify_block(raw: bytes, committee: Committee, plan: Plan) -> VerifiedBlock:
    """Decode and verify exactly as a real site does."""
    return verification.verify_block(decode_block(raw), committee, plan.parameters)


class Passage:
    """Turns what a peer sent into what a replica may see, or refuses it.

    With `Passing.ONCE` the answer about each distinct block is kept for all seats: verification
    is a function of the bytes and the committee, so no seat could find otherwise.
    """

    def __init__(self, committee: Committee, plan: Plan, verify: Verify) -> None:
        """Verify with the true committee of the plan."""
        self._committee = committee
        self._plan = plan
        self._verify = verify
        self._known: dict[bytes, VerifiedBlock | None] = {}
        self._read: dict[bytes, VerifiedBlock] = {}
        self.refused = 0

    def admit(self, message: Message) -> Message | None:
        """Return the message with its blocks verified, or None when one of them is not valid."""
        if self._plan.passing is Passing.REFERENCE:
            return message
        try:
            return self._admit(message)
        except PeerError:
            self.refused += 1
            return None

    def accepted(self, records: Iterable[Record]) -> tuple[VerifiedBlock, ...]:
        """Return the blocks among journal records: what a replica has just accepted."""
        found: list[VerifiedBlock] = []
        for record in records:
            if record.kind == BLOCK:
                block = self._read.get(record.data)
                if block is None:
                    block = self._read[record.data] = read_block(record.data)
                found.append(block)
        return tuple(found)

    def _admit(self, message: Message) -> Message:
        match message:
            case Blocks(blocks=blocks):
                return Blocks(blocks=self._blocks(blocks))
            case BelowGc(blocks=blocks):
                return replace(message, blocks=self._blocks(blocks))
            case Commits(commits=commits, votes=votes):
                return replace(
                    message,
                    commits=tuple(replace(c, blocks=self._blocks(c.blocks)) for c in commits),
                    votes=self._blocks(votes),
                )
            case LatestReply(own=own, yours=yours):
                return LatestReply(own=self._maybe(own), yours=self._maybe(yours))
            case _:
                return message

    def _blocks(self, blocks: Iterable[VerifiedBlock]) -> tuple[VerifiedBlock, ...]:
        return tuple([self._block(block.raw) for block in blocks])

    def _maybe(self, block: VerifiedBlock | None) -> VerifiedBlock | None:
        return None if block is None else self._block(block.raw)

    def _block(self, raw: bytes) -> VerifiedBlock:
        if self._plan.passing is Passing.ALWAYS:
            return self._verify(raw, self._committee, self._plan)
        if raw not in self._known:
            self._known[raw] = None
            self._known[raw] = self._verify(raw, self._committee, self._plan)
        found = self._known[raw]
        if found is None:
            raise PeerError("BLOCK_REFUSED", "refused before", field="blocks")
        return found


def blocks_of(message: Message) -> tuple[VerifiedBlock, ...]:
    """Return all blocks that a message carries."""
    match message:
        case Blocks(blocks=blocks) | BelowGc(blocks=blocks):
            return blocks
        case Commits(commits=commits, votes=votes):
            return (*[block for commit in commits for block in commit.blocks], *votes)
        case LatestReply(own=own, yours=yours):
            return tuple([block for block in (own, yours) if block is not None])
        case _:
            return ()
