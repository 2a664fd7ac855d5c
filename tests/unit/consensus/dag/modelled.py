"""Blocks of the modelled fast path as blocks of the protocol, and the verdicts of both."""

from collections.abc import Iterator
from random import Random

from seawall.codec import encode_records
from seawall.consensus.dag.finaliser import Finaliser
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore
from seawall.crypto.hashing import sha256
from seawall.domain.block import (
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    Ref,
    RejectSet,
    UpdateKind,
    UpdateRecord,
    VerifiedBlock,
)
from seawall.domain.commit import Verdict
from seawall.sim.fastpath.dag import Dag, Update
from seawall.sim.fastpath.drawing import SHAPES, Draw
from seawall.sim.fastpath.rules import Rules, Scope
from seawall.sim.fastpath.site import Site
from tests.unit.consensus.cluster import make_committee

Told = tuple[int, int, str, int]
"""Number of the block, index in it, judgement, rule."""


def ref_of(dag: Dag, number: int) -> Ref:
    """Return the reference that stands for a modelled block."""
    block = dag.blocks[number]
    return Ref(block.round, block.author, sha256(block.name.encode()))


def record_of(update: Update) -> UpdateRecord:
    """Return a record with this key and digest."""
    return UpdateRecord(
        contributor=sha256(update.key.encode()),
        update_id=sha256(update.digest.encode()),
        payload_digest=bytes(32),
        task=0,
        kind=UpdateKind.DELTA,
        seq=1,
        base_version=0,
        expires_height=1000,
        payload_size_bytes=1,
        num_examples=1,
    )


def records_of(count: int) -> list[UpdateRecord]:
    """Return so many records of different keys."""
    return [record_of(Update(key=f"k{place}", digest="x")) for place in range(count)]


def drawn(seed: int) -> Draw:
    """Return a random run of the model under the protocol, finished; gc depth is the least."""
    wave, window, deadline = SHAPES[seed % len(SHAPES)]
    scope = Scope(
        wave=wave,
        window=window,
        deadline=deadline,
        gc_depth=window + deadline + 3,
        slots=1 + seed % 2,
        leader_seed=seed,
    )
    draw = Draw(Random(seed), scope, Rules())
    draw.run()
    return draw


def block_of(dag: Dag, number: int) -> VerifiedBlock:
    """Return a block with the same content, every update in a batch of its own."""
    model = dag.blocks[number]
    targets = sorted({target for target, _ in model.rejects})
    rejects = [
        RejectSet(ref_of(dag, t), tuple(sorted(i for known, i in model.rejects if known == t)))
        for t in targets
    ]
    block = Block(
        epoch=0,
        round=model.round,
        author=model.author,
        timestamp_ms=0,
        flags=BlockFlags.NONE,
        parents=tuple([ref_of(dag, parent) for parent in model.parents]),
        batches=tuple(
            [
                Batch(model.author, place, 0, encode_records([record_of(update)]), ())
                for place, update in enumerate(model.updates)
            ]
        ),
        transactions=(),
        rejects=tuple(rejects),
        vote_cutoff=model.vote_cutoff,
        coin_shares=CoinShares(),
        commit_votes=(),
    )
    return VerifiedBlock(block=block, ref=ref_of(dag, number), raw=b"", valid_votes=())


def told_by_the_model(site: Site) -> list[Told]:
    """Return the modelled site's verdicts."""
    return [(*verdict.place, verdict.judgement, verdict.rule) for verdict in site.verdicts]


def told_by(site: Site, delay: int) -> Iterator[Told]:
    """Yield the finaliser's verdicts on what the modelled site has committed.

    Blocks are forgotten as soon as a commit's gc round passes them.
    """
    dag, store = site.dag, BlockStore()
    numbers = {ref_of(dag, number): number for number in range(len(dag.blocks))}
    for number in site.sight.past:
        if dag.blocks[number].round:
            store.add(block_of(dag, number))
    finaliser = Finaliser(StakeTable(make_committee()), delay)
    for commit in site.commits:
        store.prune(commit.gc_round)
        # The model has genesis blocks, and commits never deliver them.
        found = [store.get(ref_of(dag, number)) for number in commit.delivered]
        vertices = [vertex for vertex in found if vertex is not None]
        assert len(vertices) == len(found)
        leader_round = dag.blocks[commit.leader].round
        for verdict in finaliser.on_commit(vertices, leader_round, commit.gc_round):
            yield from expanded(numbers[verdict.block], verdict)


def expanded(number: int, verdict: Verdict) -> Iterator[Told]:
    """Yield a verdict's instances one by one."""
    for position in verdict.positions:
        yield number, verdict.first_index + position, verdict.judgement.name, verdict.rule
