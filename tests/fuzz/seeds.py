"""Writes the seeds of the corpus: small good inputs of every target, always the same bytes.

    python -m tests.fuzz.seeds

What the fuzzer finds later is added to the folders by hand, under a name that says what it is.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from seawall.api.v1 import consensus_pb2
from seawall.codec import encode_block, encode_commit_summary, encode_records, summarise
from seawall.codec.block import INTEGER_MAX
from seawall.consensus import messages
from seawall.consensus.dag import records as journal
from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    FetchBlocks,
    FetchCommits,
    LatestQuery,
    LatestReply,
    Message,
    Subscribe,
)
from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import EMPTY_ROOT
from seawall.domain.block import (
    Attestation,
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    CommitVote,
    Ref,
    RejectSet,
)
from seawall.domain.parameters import ConsensusParameters
from seawall.formats import dsse, entry, genesis, oms, signed_note, slsa, submission, tlog_proof
from seawall.formats import safetensors as tensors
from seawall.formats.cosignature import cosign
from seawall.formats.intoto import Subject
from seawall.formats.slsa import Provenance
from tests.cases.authors import SMALL, Author
from tests.fuzz.codec_targets import join_records
from tests.fuzz.peer_targets import COMMITTEE, PLACEHOLDER, join
from tests.fuzz.step_seeds import all_programs
from tests.fuzz.targets import TARGETS
from tests.unit.consensus.cluster import Cluster, make_batch, make_record
from tests.unit.consensus.dag.drawing import genesis as genesis_refs
from tests.unit.formats import log_fixture
from tests.unit.formats.test_genesis import ASYNCHRONOUS
from tests.unit.formats.test_receipt import world
from tests.unit.ledger.chain import make_genesis

if TYPE_CHECKING:
    from seawall.formats.dtypes import Array

CORPUS: Final = Path(__file__).parent / "corpus"
GOLDEN: Final = Path(__file__).parents[1] / "golden"

LIGHT_BYTES: Final = 1500
"""Longer records are left out of the seeds."""

Seed = tuple[str, str, bytes]
"""Target, name, bytes."""


def all_seeds() -> Iterator[Seed]:
    """Yield every seed."""
    run = _run()
    yield from _codec(run)
    yield from _journal(run)
    yield from _peers(run)
    for name, program in all_programs():
        yield "step_sync", name, program
        yield "step_async", name, b"\xff" + program
    yield from _json()
    yield from _statements()
    yield from _tensors()
    yield from _log()


def _run() -> Cluster:
    """Return a short run with batches, certified commits and a base in every journal."""
    cluster = Cluster(parameters=ConsensusParameters(gc_depth=8))
    for number in range(1, 40):
        cluster.submit(number % 4, number)
        cluster.run(100_000)
    return cluster


# --- blocks --------------------------------------------------------------------------------------


def full_block() -> Block:
    """Return a valid block with one of everything; placeholders stand for its signatures."""
    made = make_batch(COMMITTEE, 1, 7)
    attested = tuple([Attestation(one.author, PLACEHOLDER) for one in made.certificate])
    return Block(
        epoch=0,
        round=9,
        author=1,
        timestamp_ms=1_700_000_000_000,
        flags=BlockFlags.CLOSING,
        parents=tuple([Ref(8, author, sha256(b"%d" % author)) for author in (1, 0, 3)]),
        batches=(Batch(1, 7, 0, made.records_bytes, attested),),
        transactions=(b'{"kind":"note"}',),
        rejects=(RejectSet(Ref(7, 2, bytes(32)), (0, 3)),),
        vote_cutoff=5,
        coin_shares=CoinShares(6, (bytes(48), bytes(48))),
        commit_votes=(CommitVote(3, bytes(32), 17, bytes(32), bytes(8) + PLACEHOLDER),),
    )


def plain_block() -> Block:
    """Return a block of round 1 that carries nothing."""
    return Block(
        epoch=0,
        round=1,
        author=0,
        timestamp_ms=5,
        flags=BlockFlags.NONE,
        parents=tuple(genesis_refs(COMMITTEE)),
        batches=(),
        transactions=(),
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )


def _codec(run: Cluster) -> Iterator[Seed]:
    for name, block in (("full", full_block()), ("plain", plain_block())):
        yield "block", name, encode_block(block) + PLACEHOLDER
        yield "verified_block", name, encode_block(block)
    yield "records", "two", encode_records([make_record(1), make_record(2)])
    commit = run.sites[0].commits[-1]
    yield "commit_summary", "commit", encode_commit_summary(summarise(commit))


def _journal(run: Cluster) -> Iterator[Seed]:
    durable = run.sites[0].journal.durable
    begins = [place for place, one in enumerate(durable) if one.kind == journal.BASE_BEGIN]
    base = durable[begins[-1]]
    yield "journal_base", "base", base.data
    yield "journal_block", "block", next(r.data for r in durable if r.kind == journal.BLOCK)
    yield "journal_floor", "floor", journal.floor_record(17).data
    yield "recovery", "first", join_records(durable[:12])
    ends = [place for place, one in enumerate(durable) if one.kind == journal.BASE_END]
    light = [one for one in durable[begins[-1] : ends[-1] + 1] if len(one.data) < LIGHT_BYTES]
    yield "recovery", "base", join_records(light)
    yield "recovery", "floor", join_records([*durable[:6], journal.floor_record(INTEGER_MAX)])


# --- peers ---------------------------------------------------------------------------------------


def _peers(run: Cluster) -> Iterator[Seed]:
    site = run.sites[0]
    blocks = tuple([block for commit in site.commits[-2:] for block in commit.blocks])[:4]
    refs = tuple([block.ref for block in blocks])
    sent: list[tuple[str, Message]] = [
        ("blocks", Blocks(blocks)),
        ("subscribe", Subscribe(7)),
        ("fetch_blocks", FetchBlocks(refs)),
        ("below_gc", BelowGc(9, refs, blocks[:1])),
        ("fetch_commits", FetchCommits(3)),
        ("commits", Commits(tuple(site.commits[-1:]), site.checkpoints[-1], blocks[:1])),
        ("latest_query", LatestQuery()),
        ("latest_reply", LatestReply(blocks[0], None)),
    ]
    for name, message in sent:
        pieces = [piece.SerializeToString() for piece in messages.encode(message)]
        yield "peer_messages", name, join(pieces)
    heartbeat = messages.PeerMessage(heartbeat=consensus_pb2.PeerHeartbeat())
    whole = messages.encode(Blocks(blocks[:1]))[0].SerializeToString()
    fragments = [
        messages.PeerMessage(fragment=consensus_pb2.PeerFragment(data=data, last=last))
        for data, last in ((whole[:50], False), (whole[50:], True))
    ]
    several = [heartbeat, *fragments, messages.encode(Subscribe(1))[0]]
    yield "peer_messages", "fragments", join([one.SerializeToString() for one in several])
    batch = full_block().batches[0]
    certified = consensus_pb2.CertifiedBatch(
        site=batch.site,
        batch_number=batch.number,
        pinned_height=batch.pinned_height,
        records=batch.records_bytes,
        attestations=[
            consensus_pb2.BatchAttestation(author=one.author, signature=one.signature)
            for one in batch.certificate
        ],
    )
    yield "batch", "certified", certified.SerializeToString()
    vote = (3).to_bytes(8, "big") + bytes(32) + (17).to_bytes(8, "big") + bytes(32)
    yield "commit_vote", "good", b"\x02" + vote + bytes(8) + PLACEHOLDER
    yield "commit_vote", "bad", b"\x02" + vote + b"\xff" * 72


# --- formats -------------------------------------------------------------------------------------


def _json() -> Iterator[Seed]:
    texts = {
        "members": b'{"a":[1,-2,true,null],"b":{"c":"d"}}',
        "escapes": rb'{"\u00e9\n":"\ud83d\ude00"}',
        "twice": b'{"a":1,"a":2}',
        "float": b"[1.5e3, -0]",
        "deep": b"[" * 33 + b"]" * 33,
    }
    for name, text in texts.items():
        yield "strict_json", name, text
        yield "canonical_json", name, text


def _statements() -> Iterator[Seed]:
    author = Author(log_fixture.ORIGIN, 1)
    claim = author.claim(author.payload(), metrics=(("loss", 3),))
    yield "submission", "plain", submission.to_payload(claim)
    yield "dsse", "submission", author.seal(claim)
    spaced = json.dumps(json.loads(dsse.encode(author.envelope())), indent=1)
    yield "dsse", "spaced", spaced.encode()
    two = oms.manifest("update.safetensors", [bytes(32), bytes(32)], oms.CHUNK_SIZE + 5)
    yield "oms", "two", two
    told = Provenance(
        subject=Subject("update.safetensors", oms.root_digest([bytes(32)])),
        builder=bytes(32),
        task="small",
        base_version=3,
        base_digest=bytes(32),
        parameters=(("epochs", 2), ("optimizer", "sgd")),
        datasets=(("hospital", bytes(32)),),
        code_digest=bytes(32),
    )
    yield "slsa", "full", slsa.provenance(told)
    yield "intoto", "provenance", slsa.provenance(told)


def _tensors() -> Iterator[Seed]:
    yield "safetensors", "golden", (GOLDEN / "formats" / "tensors.safetensors").read_bytes()
    arrays: dict[str, Array] = {
        "half": np.ones((2, 3), dtype=np.float16),
        "none": np.ones((0, 4), dtype=np.int64),
        "truth": np.array([True, False]),
    }
    yield "safetensors", "mixed", tensors.encode(arrays, metadata={"a": "b"})
    yield "task_payload", "small", Author("", 2).payload(SMALL)
    values = np.array([0, 1, -1, 8_388_607, -8_388_607], dtype="<i4")
    yield "fxp24", "edges", b"\x10" + values.tobytes()


def _log() -> Iterator[Seed]:
    note = log_fixture.note(0, 1, 2, 3)
    head = log_fixture.checkpoint()
    yield "signed_note", "checkpoint", note
    yield "signed_note", "other", (GOLDEN / "log" / "c2sp_example.note").read_bytes()
    yield "quorum_note", "all", note
    yield "quorum_note", "short", log_fixture.note(0, 1)
    yield "checkpoint", "body", head.body()
    yield (
        "checkpoint",
        "empty",
        b"%b\n0\n%b\n"
        % (
            log_fixture.ORIGIN.encode(),
            signed_note.encode_base64(EMPTY_ROOT).encode(),
        ),
    )
    key = log_fixture.COSIGNER_KEYS[0]
    yield "cosignature", "good", cosign(key, head.body(), log_fixture.TIME_S)
    yield "verifier_key", "log", signed_note.NoteKey("log", key.public).encode().encode()
    yield "tlog_proof", "proof", tlog_proof.encode(log_fixture.proof(77, 2, 3))
    yield "tile_path", "full", b"tile/0/x001/x234/067"
    yield "tile_path", "partial", b"tile/entries/000.p/8"
    yield "tile_bundle", "two", b"\x01\x00\x01a\x00\x02bc"
    yield "genesis", "small", genesis.encode(make_genesis(2))
    yield "genesis", "coin", genesis.encode(ASYNCHRONOUS)
    made = world()
    for place, leaf in enumerate(made.leaves[:8]):
        yield "entry", f"{place}-{entry.kind_of(leaf)}", leaf
    yield "receipt", "update", made.receipt(1)
    yield "receipt", "version", made.receipt(1, 2, 3)


def main() -> None:
    """Write the seeds."""
    for target, name, data in all_seeds():
        assert target in TARGETS
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.seed").write_bytes(data)


if __name__ == "__main__":
    main()
