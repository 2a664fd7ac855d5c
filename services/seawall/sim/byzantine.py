"""Replicas that attack: what a hostile site may send under its own name, and only that.

They are engines like any other, so a world runs them in any seat that its plan calls hostile.
"""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from seawall.codec import genesis_ref, seal_block
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.engine import (
    ALL_PEERS,
    Blocks,
    CommitHistory,
    Engine,
    Event,
    FetchBlocks,
    Identity,
    Instant,
    Output,
    PeerUp,
    Received,
    Record,
    Send,
    Status,
    Subscribe,
)
from seawall.consensus.engines import EngineFactory
from seawall.domain.block import (
    GENESIS_ROUND,
    Block,
    BlockFlags,
    CoinShares,
    Ref,
    VerifiedBlock,
)
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.checking import own_blocks
from seawall.sim.coin import CoinKind, KeyedHashEngine, coin_engine, kind_of


class ShamelessEngine(DagEngine):
    """A twin's engine: it sees blocks of its sister under its own name, and goes on signing."""

    def _lose_disk(self, ref: Ref) -> None:
        """Do not stop for a round or two, as a site with a lost disk would."""
        del ref


class ShamelessKeyedHashEngine(KeyedHashEngine, ShamelessEngine):
    """The same where a keyed hash is the coin."""


def shameless_coin_engine(
    *,
    identity: Identity,
    committee: Committee,
    parameters: ConsensusParameters,
    recovered: Sequence[Record] = (),
    history: CommitHistory | None = None,
) -> Engine:
    """Return a twin's engine with the coin that its committee has."""
    hashed = kind_of(committee) is CoinKind.KEYED_HASH
    return (ShamelessKeyedHashEngine if hashed else ShamelessEngine)(
        identity=identity,
        committee=committee,
        parameters=parameters,
        recovered=recovered,
        history=history,
    )


def twin_of(honest: EngineFactory) -> EngineFactory:
    """Return the factory for twins: without shame where the engine has any."""
    if honest is coin_engine:
        return shameless_coin_engine
    return ShamelessEngine if honest is DagEngine else honest


def forger(honest: EngineFactory) -> EngineFactory:
    """Return a factory of replicas that also send one invalid block beside each own one."""

    def build(
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Engine:
        inner = honest(
            identity=identity,
            committee=committee,
            parameters=parameters,
            recovered=recovered,
            history=history,
        )
        return Forger(inner, identity, committee)

    return build


class Forger:
    """An honest replica plus forgeries: parents without its own chain, too few, a false name."""

    def __init__(self, inner: Engine, identity: Identity, committee: Committee) -> None:
        """Wrap an honest engine."""
        self._inner = inner
        self._identity = identity
        self._committee = committee
        self._forgeries: tuple[Callable[[Block], Block | None], ...] = (
            self._foreign_first_parent,
            self._too_few_parents,
            self._false_author,
        )

    def step(self, event: Event, now: Instant) -> Output:
        """Step the honest engine, then add a forgery for each own block that it sends."""
        output = self._inner.step(event, now)
        forged: list[Send] = []
        for block in own_blocks(self._identity.index, output):
            forge = self._forgeries[block.ref.round % len(self._forgeries)]
            content = forge(block.block)
            if content is not None:
                sealed = self._seal(content)
                forged.append(Send(peer=ALL_PEERS, message=Blocks(blocks=(sealed,))))
        return replace(output, send=(*output.send, *forged))

    def status(self) -> Status:
        """Return where the honest engine stands."""
        return self._inner.status()

    def _seal(self, content: Block) -> VerifiedBlock:
        """Sign with the own key, and claim that it is verified: the other side must check."""
        sealed = seal_block(content, self._committee.origin, self._identity.consensus_key)
        return VerifiedBlock(block=content, ref=sealed.ref, raw=sealed.raw, valid_votes=())

    def _foreign_first_parent(self, block: Block) -> Block | None:
        if len(block.parents) == 1:
            return None
        return replace(block, parents=(*block.parents[1:], block.parents[0]))

    def _too_few_parents(self, block: Block) -> Block | None:
        return replace(block, parents=block.parents[:1])

    def _false_author(self, block: Block) -> Block | None:
        return replace(block, author=(block.author + 1) % self._committee.size, batches=())


class Starver:
    """A fast voter against every leader: proposes at once and never on a leader if it can.

    It holds what it hears, skips all waiting, and takes as parents its own last block and, up to
    quorum, blocks of authors that are not `shunned` in that round.
    """

    def __init__(
        self,
        identity: Identity,
        committee: Committee,
        shunned: Callable[[int], Sequence[int]],
    ) -> None:
        """Start at round 1 on genesis; `shunned` maps a round to the authors to leave out."""
        self._identity = identity
        self._committee = committee
        self._shunned = shunned
        origin, epoch = committee.origin, committee.epoch
        self._rounds: dict[int, dict[int, Ref]] = {
            GENESIS_ROUND: {
                author: genesis_ref(origin, epoch, author) for author in range(committee.size)
            }
        }
        self._held: dict[Ref, VerifiedBlock] = {}
        self._own: list[VerifiedBlock] = []

    def step(self, event: Event, now: Instant) -> Output:
        """Hold blocks, answer fetches, propose whenever a quorum of the last round is held."""
        sends: list[Send] = []
        match event:
            case Received(message=Blocks(blocks=blocks)):
                for block in blocks:
                    self._held[block.ref] = block
                    self._rounds.setdefault(block.ref.round, {})[block.ref.author] = block.ref
            case Received(peer=peer, message=FetchBlocks(refs=refs)):
                found = tuple(self._held[ref] for ref in refs if ref in self._held)
                sends.append(Send(peer=peer, message=Blocks(blocks=found)))
            case Received(peer=peer, message=Subscribe(after_round=after)):
                found = tuple(block for block in self._own if block.ref.round > after)
                sends.append(Send(peer=peer, message=Blocks(blocks=found)))
            case PeerUp(peer=peer):
                last = self._own[-1].ref.round if self._own else 0
                sends.append(Send(peer=peer, message=Subscribe(after_round=max(0, last - 5))))
            case _:
                pass
        while (own := self._propose(now)) is not None:
            sends.append(Send(peer=ALL_PEERS, message=Blocks(blocks=(own,))))
        return Output(send=tuple(sends))

    def status(self) -> Status:
        """Return the round that it has reached; it orders nothing."""
        own_round = self._own[-1].ref.round if self._own else GENESIS_ROUND
        return Status(
            round=own_round + 1,
            last_proposed_round=own_round,
            commit_index=0,
            commit_digest=b"",
            certified_index=0,
            gc_round=0,
            held_blocks=len(self._held),
            suspended_blocks=0,
            pending_payloads=0,
            accepts_payload=False,
            recovering=False,
        )

    def _propose(self, now: Instant) -> VerifiedBlock | None:
        own_round = self._own[-1].ref.round if self._own else GENESIS_ROUND
        quorum = self._committee.quorum
        rounds = [
            number
            for number, blocks in self._rounds.items()
            if number >= own_round and self._committee.stake_of(blocks) >= quorum
        ]
        if not rounds or max(rounds) < own_round:
            return None
        previous = max(rounds)
        parents = self._choose(previous)
        if parents is None:
            return None
        content = Block(
            epoch=self._committee.epoch,
            round=previous + 1,
            author=self._identity.index,
            timestamp_ms=now.wall_ms,
            flags=BlockFlags.NONE,
            parents=parents,
            batches=(),
            transactions=(),
            rejects=(),
            vote_cutoff=previous,
            coin_shares=CoinShares(),
            commit_votes=(),
        )
        sealed = seal_block(content, self._committee.origin, self._identity.consensus_key)
        block = VerifiedBlock(block=content, ref=sealed.ref, raw=sealed.raw, valid_votes=())
        self._own.append(block)
        self._held[block.ref] = block
        self._rounds.setdefault(block.ref.round, {})[block.ref.author] = block.ref
        return block

    def _choose(self, previous: int) -> tuple[Ref, ...] | None:
        """Return own last block, then others of `previous`, the shunned ones only when needed."""
        me = self._identity.index
        last = self._own[-1].ref if self._own else self._rounds[GENESIS_ROUND][me]
        shunned = self._shunned(previous)
        held = self._rounds[previous]
        others = [author for author in sorted(held) if author != me]
        others.sort(key=lambda author: author in shunned)
        chosen = [last]
        stake = self._committee.stake_of([me]) if last.round == previous else 0
        for author in others:
            if stake >= self._committee.quorum:
                break
            chosen.append(held[author])
            stake += self._committee.stake_of([author])
        return tuple(chosen) if stake >= self._committee.quorum else None


def starving(shunned: Callable[[Committee, int], Sequence[int]]) -> EngineFactory:
    """Return a factory of fast voters; `shunned` says whom to leave out in a round."""

    def build(
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Engine:
        del parameters, recovered, history
        return Starver(identity, committee, partial(shunned, committee))

    return build
