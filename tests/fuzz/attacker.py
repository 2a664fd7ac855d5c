"""Makes blocks of the attacker: always well signed, and mostly valid, with any content."""

from typing import Final

import msgspec

from seawall.codec import (
    encode_records,
    genesis_ref,
    seal_block,
)
from seawall.consensus.messages import INTEGER_MAX
from seawall.crypto.hashing import sha256
from seawall.domain.block import (
    GENESIS_ROUND,
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
    VerifiedBlock,
)
from seawall.domain.committee import Committee
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from seawall.sim.coin import KeyedHashCoin
from tests.fuzz.program import Program
from tests.fuzz.siege import LIAR, SECRETS, SIZE, TARGET, Siege
from tests.unit.consensus.cluster import attested, consensus_key, cosigner_key, make_record

LAST_ROUND: Final = INTEGER_MAX
KEPT_MAX: Final = 256


def rival_batch(committee: Committee, site: int, number: int) -> Batch:
    """Return a batch of one update; of sixteen numbers all updates have one key."""
    record = make_record(number // 16)
    other = msgspec.structs.replace(record, update_id=sha256(b"rival%d" % number))
    records = encode_records([other if number % 16 else record])
    return attested(committee, Batch(site, number, 0, records, ()), (1, LIAR))


class Attacker:
    """Signs blocks as member 3, on what it has seen and on what nobody has."""

    def __init__(self, siege: Siege, program: Program) -> None:
        self._siege = siege
        self._program = program
        self.blocks: list[VerifiedBlock] = []
        """Its own, valid or not, the newest last."""

    def alike(self, program: Program) -> "Attacker":
        """Return another with the same past and future that follows this program."""
        other = Attacker(self._siege, program)
        other.blocks = self.blocks
        return other

    def block(self) -> VerifiedBlock:
        """Return a new block; nothing says that it is valid."""
        program, siege = self._program, self._siege
        round_ = self._round()
        votes = self._votes() if program.byte() >= 0xC0 else ()
        block = Block(
            epoch=0,
            round=round_,
            author=LIAR,
            timestamp_ms=program.choose((siege.now_us // 1000, 0, INTEGER_MAX)),
            flags=program.choose((BlockFlags.NONE, BlockFlags.NONE, BlockFlags.CLOSING)),
            parents=self._parents(round_),
            batches=self._batches() if program.byte() >= 0xC0 else (),
            transactions=(b"note%d" % program.byte(),) if program.byte() >= 0xC0 else (),
            rejects=self._rejects(round_) if program.byte() >= 0xC0 else (),
            vote_cutoff=max(0, round_ - 1 - program.byte() % 8),
            coin_shares=self._shares(round_),
            commit_votes=votes,
        )
        sealed = seal_block(block, siege.committee.origin, consensus_key(LIAR))
        made = VerifiedBlock(block=block, ref=sealed.ref, raw=sealed.raw, valid_votes=votes)
        self.blocks.append(made)
        del self.blocks[:-KEPT_MAX]
        return made

    def _round(self) -> int:
        """Return a round: about where the replica stands, at its edges, or far from it."""
        status = self._siege.target.status()
        clock, gc_round, program = status.round, status.gc_round, self._program
        own = self.blocks[-1].ref.round + 1 if self.blocks else clock
        near = (clock, clock, clock + 1, max(1, clock - 1), own, own, own)
        far = (1, gc_round, gc_round + 1, clock + 10, clock + 60, clock + 500, LAST_ROUND)
        chosen = program.choose((*near, *near, *far))
        return max(1, min(LAST_ROUND, chosen))

    def _parents(self, round_: int) -> tuple[Ref, ...]:
        """Return one parent of every author: true ones of the round before, old ones, or none."""
        own = [*self._siege.seen(LIAR), *self.blocks]
        late = self._program.byte() % (2 * SIZE)
        parents = [self._parent(own, LIAR, round_, late=late == LIAR)]
        for author in range(LIAR):
            known = self._siege.seen(author)
            parents.append(self._parent(known, author, round_, late=late == author))
        return tuple(parents[: SIZE - (late == 2 * SIZE - 1)])

    def _parent(self, known: list[VerifiedBlock], author: int, round_: int, *, late: bool) -> Ref:
        """Return a parent of one author, an older one if it was `late`."""
        program, siege = self._program, self._siege
        previous = round_ - 1
        if previous == GENESIS_ROUND:
            return genesis_ref(siege.committee.origin, 0, author)
        mood = program.byte()
        older = [block.ref for block in known if block.ref.round < previous]
        if late and older:
            return older[-1 - mood % len(older)]
        fitting = [block.ref for block in known if block.ref.round == previous]
        if fitting and mood < 0xC0:
            return fitting[mood % len(fitting)]
        return Ref(previous, author, sha256(b"hidden%d %d" % (mood, round_)))

    # --- content ---------------------------------------------------------------------------------

    def _batches(self) -> tuple[Batch, ...]:
        """Return batches with few different keys, so that some of the updates are rivals."""
        program = self._program
        numbers = [program.byte() for _ in range(1 + program.byte() % 3)]
        return tuple([rival_batch(self._siege.committee, LIAR, number) for number in numbers])

    def _rejects(self, round_: int) -> tuple[RejectSet, ...]:
        """Return a reject of a block with updates, or of one that nobody has."""
        program = self._program
        known = [
            block.ref
            for author in range(SIZE)
            for block in self._siege.seen(author)[-8:]
            if block.block.batches and block.ref.round < round_
        ]
        unknown = Ref(max(0, round_ - 1), program.byte() % SIZE, sha256(b"%d" % program.byte()))
        target = program.choose((*known, unknown))
        return (RejectSet(target, tuple(range(program.byte() % 5))),)

    def _shares(self, round_: int) -> CoinShares:
        """Return what is owed, or shares that are wrong, early, or of another."""
        program, siege = self._program, self._siege
        last = round_ - siege.parameters.wave_length + 1
        if siege.committee.coin is None or last < 1:
            return CoinShares()
        count = 1 + program.byte() % 9
        first = max(1, program.choose((last - count + 1, last - count + 1, 1, last)))
        coin = KeyedHashCoin(siege.committee, SECRETS[program.choose((LIAR, LIAR, LIAR, TARGET))])
        shares = [coin.share(first + place) for place in range(count)]
        if program.byte() >= 0xE0:
            shares[0] = bytes(48)
        return CoinShares(first, tuple(shares))

    def _votes(self) -> tuple[CommitVote, ...]:
        """Return votes: on true commits, on ones to come, for other digests or roots."""
        program, siege = self._program, self._siege
        made = siege.sites[1].commits
        found = []
        index = max(1, program.choose((len(made), len(made) + 1, 1, INTEGER_MAX, 1100)))
        for place in range(index, min(INTEGER_MAX, index + program.byte() % 4) + 1):
            digest = made[place - 1].digest if place <= len(made) else bytes(32)
            root = sha256(b"root%d" % place + (digest if program.flag() else b""))
            size = min(INTEGER_MAX, place * 2)
            body = Checkpoint(siege.committee.origin, size, root).body()
            signer = cosigner_key(program.choose((LIAR, LIAR, TARGET)))
            found.append(CommitVote(place, digest, size, root, cosign(signer, body, 1)))
        return tuple(found)
