"""Pieces that need a ledger on disk: executing commits, judging updates."""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

from bench.timing import ROUNDS, WARM_CALLS, Piece
from seawall.codec import encode_records
from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import EMPTY_ROOT
from seawall.crypto.signing import key_id
from seawall.domain.block import Batch, Block, BlockFlags, CoinShares, Ref, UpdateKind, UpdateRecord
from seawall.domain.commit import Judgement, Verdict
from seawall.domain.genesis import Genesis
from seawall.ledger.execution import Delivery
from seawall.ledger.judging import Claim, Judge
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.log import Log

UPDATES = 100
"""Updates of one commit."""

COMMITS_PER_ROUND = 20


def stored_pieces(directory: Path, genesis: Genesis, origin: str) -> Iterable[Piece]:
    """Yield what the ledger does with a commit of 100 updates, per update."""
    store = LmdbStore(directory / "ledger.mdb")
    log = Log(store, genesis, origin)
    wanted = COMMITS_PER_ROUND * ROUNDS + WARM_CALLS
    commits = iter(list(islice(deliveries(genesis), wanted)))

    def execute() -> None:
        log.execute(next(commits))
        group = log.stage()
        group.staged.commit()
        log.settle(group)

    yield Piece(
        name="ledger: execute and store a commit of 100, per update",
        call=execute,
        operations=UPDATES,
        repeats=COMMITS_PER_ROUND,
    )
    fresh = [record(genesis, serial) for serial in range(10**7, 10**7 + UPDATES)]
    base = genesis.tasks[0].base_payload_digest
    claims = [Claim(one, base, 0, EMPTY_ROOT) for one in fresh]
    yield Piece(
        name="ledger: judge 100 updates, per update",
        call=lambda: Judge(log, log.head.index).refuse(claims),
        operations=UPDATES,
    )
    store.close()


def deliveries(genesis: Genesis) -> Iterator[Delivery]:
    """Yield commits of one block with one batch each, and accept it at once, for ever."""
    previous = bytes(32)
    for index in count(1):
        serials = range((index - 1) * UPDATES, index * UPDATES)
        digest = sha256(previous)
        block = make_block(index, [record(genesis, serial) for serial in serials])
        batch = block.batches[0]
        accepted = Verdict(
            Ref(index, 0, digest), batch, 0, tuple(range(UPDATES)), Judgement.ACCEPT, 1
        )
        yield Delivery(
            index=index,
            previous_digest=previous,
            digest=digest,
            leader=Ref(index, 0, digest),
            clock_ms=1_700_000_000_000 + 50 * index,
            blocks=(block,),
            verdicts=(accepted,),
            finality_digest=digest,
        )
        previous = digest


def make_block(index: int, records: list[UpdateRecord]) -> Block:
    """Return a block with one batch; nobody looks at its certificate any more."""
    batch = Batch(
        site=0,
        number=index,
        pinned_height=0,
        records_bytes=encode_records(records),
        certificate=(),
    )
    return Block(
        epoch=0,
        round=index,
        author=0,
        timestamp_ms=1_700_000_000_000,
        flags=BlockFlags.NONE,
        parents=(),
        batches=(batch,),
        transactions=(),
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )


def record(genesis: Genesis, serial: int) -> UpdateRecord:
    """Return an update of the contributors in turn, each with its own numbers."""
    owners = genesis.contributors
    owner = owners[serial % len(owners)]
    return UpdateRecord(
        contributor=key_id(owner.public_key),
        update_id=sha256(b"update %d" % serial),
        payload_digest=sha256(b"payload %d" % serial),
        task=0,
        kind=UpdateKind.DELTA,
        seq=1 + serial // len(owners) % 10**5,
        base_version=0,
        expires_height=10**5,
        payload_size_bytes=1024,
        num_examples=32,
    )
