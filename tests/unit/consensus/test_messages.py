"""Messages between replicas: round trips, fragments, and everything that must be refused."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from seawall.api.v1 import consensus_pb2, types_pb2
from seawall.consensus import messages
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
from seawall.consensus.messages import (
    BlockVerifier,
    Inbound,
    PeerMessage,
    decode_batch,
    encode,
    encode_commit,
    encode_delivery,
)
from seawall.domain.block import Ref
from seawall.domain.commit import Twins
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import PeerError
from seawall.ledger.messages import delivery_of
from tests.unit.consensus.cluster import Cluster, make_batch, make_committee
from tests.unit.consensus.judged import judged


@pytest.fixture(scope="module")
def run() -> Cluster:
    """Return a short run with batches and certified commits."""
    cluster = Cluster()
    for number in range(1, 9):
        cluster.submit(number % 4, number, updates=3)
        cluster.run(100_000)
    return cluster


def inbound() -> Inbound:
    committee = make_committee()
    return Inbound(BlockVerifier(committee, ConsensusParameters()), committee)


def every_message(run: Cluster) -> list[Message]:
    site = run.sites[0]
    blocks = tuple(block for commit in site.commits[:5] for block in commit.blocks)
    refs = tuple(block.ref for block in blocks)
    certificate = site.checkpoints[-1]
    return [
        Blocks(()),
        Blocks(blocks),
        Subscribe(7),
        FetchBlocks(refs),
        BelowGc(9, refs, blocks),
        FetchCommits(3),
        Commits((), None),
        Commits(tuple(site.commits[:5]), certificate, blocks[-4:]),
        LatestQuery(),
        LatestReply(None, None),
        LatestReply(blocks[0], blocks[1]),
    ]


def received(message: Message) -> Message | None:
    """Return what arrives of a message, through bytes, piece by piece."""
    receiver = inbound()
    pieces = [PeerMessage.FromString(piece.SerializeToString()) for piece in encode(message)]
    answers = [receiver.decode(piece) for piece in pieces]
    assert all(answer is None for answer in answers[:-1])
    return answers[-1]


def as_sent(message: Message) -> Message:
    """Return a message as others get it: they compute verdicts anew."""
    if not isinstance(message, Commits):
        return message
    commits = [replace(one, verdicts=(), finality_digest=b"") for one in message.commits]
    return replace(message, commits=tuple(commits))


def test_every_message_round_trips(run: Cluster) -> None:
    for message in every_message(run):
        assert received(message) == as_sent(message)


def test_other_validators_get_no_verdicts(run: Cluster) -> None:
    plain = every_message(run)[7]
    assert isinstance(plain, Commits)
    made = replace(plain, commits=tuple(judged(run.sites[0].commits))[:5])
    assert any(commit.verdicts for commit in made.commits)
    assert received(made) == as_sent(plain)


def test_the_own_ledger_gets_each_judged_batch_once(run: Cluster) -> None:
    commits = judged(run.sites[0].commits)
    commit = next(commit for commit in commits if commit.verdicts)
    message = types_pb2.Commit.FromString(encode_delivery(commit).SerializeToString())
    assert message.finality_digest == commit.finality_digest
    assert len(message.judged_batches) == len({one.batch for one in commit.verdicts})
    assert len(message.verdicts) == 3 * len(message.judged_batches)
    for sent, verdict in zip(message.verdicts, commit.verdicts, strict=True):
        batch = message.judged_batches[sent.batch]
        assert (batch.site, batch.batch_number) == (verdict.batch.site, verdict.batch.number)
        assert batch.records == verdict.batch.records_bytes
        assert (sent.block.digest, sent.first_index) == (verdict.block.digest, verdict.first_index)
        assert (tuple(sent.positions), sent.rule) == (verdict.positions, verdict.rule)
        name = f"JUDGEMENT_{verdict.judgement.name}"
        assert sent.judgement == types_pb2.Judgement.Value(name)
    plain = replace(commits[0], verdicts=(), finality_digest=b"", twins=())
    assert encode_delivery(plain) == encode_commit(commits[0])


def test_the_own_ledger_gets_twins_as_they_are(run: Cluster) -> None:
    ref = run.sites[0].commits[0].leader
    twins = Twins(ref, b"f" * 64, replace(ref, digest=bytes(32)), b"s" * 64)
    commit = replace(run.sites[0].commits[0], twins=(twins, twins))
    message = types_pb2.Commit.FromString(encode_delivery(commit).SerializeToString())
    assert delivery_of(message).twins == commit.twins
    assert encode_commit(commit) == encode_commit(run.sites[0].commits[0])


def test_large_messages_travel_in_fragments(run: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "FRAGMENT_BYTES_MAX", 1000)
    message = every_message(run)[7]
    pieces = encode(message)
    assert len(pieces) > 3
    assert all(len(piece.fragment.data) <= 1000 for piece in pieces)
    assert received(message) == as_sent(message)


def test_fragments_must_make_up_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "FRAGMENTS_BYTES_MAX", 1000)

    def piece(data: bytes, *, last: bool = False) -> PeerMessage:
        return PeerMessage(fragment=consensus_pb2.PeerFragment(data=data, last=last))

    heartbeat = PeerMessage(heartbeat=consensus_pb2.PeerHeartbeat())
    nested = piece(b"x", last=True).SerializeToString()
    for bad in (
        [piece(b"")],
        [piece(bytes(600)), piece(bytes(600))],
        [piece(b"\xff\xff", last=True)],
        [piece(b"x"), encode(Subscribe(1))[0]],
    ):
        receiver = inbound()
        for good in bad[:-1]:
            assert receiver.decode(good) is None
        with pytest.raises(PeerError, match="SYNC_FRAGMENT"):
            receiver.decode(bad[-1])
    receiver = inbound()
    assert receiver.decode(heartbeat) is None
    with pytest.raises(PeerError, match="SYNC_KIND"):
        receiver.decode(piece(nested, last=True))
    assert receiver.decode(encode(Subscribe(1))[0]) == Subscribe(1)


def broken(change: Callable[[PeerMessage], object], message: Message) -> PeerMessage:
    made = encode(message)[0]
    change(made)
    return made


def test_what_stands_around_blocks_is_checked(run: Cluster) -> None:
    every = every_message(run)
    ref = Ref(1, 0, bytes(32))
    huge = 2**53
    cases: list[tuple[str, PeerMessage]] = [
        ("SYNC_KIND", PeerMessage()),
        ("SYNC_KIND", PeerMessage(hello=consensus_pb2.PeerHello())),
        ("SYNC_RANGE", encode(Subscribe(huge))[0]),
        ("SYNC_RANGE", encode(FetchCommits(huge))[0]),
        ("SYNC_RANGE", encode(FetchBlocks((Ref(huge, 0, bytes(32)),)))[0]),
        ("SYNC_RANGE", encode(FetchBlocks((Ref(1, 4, bytes(32)),)))[0]),
        ("SYNC_DIGEST", encode(FetchBlocks((Ref(1, 0, bytes(31)),)))[0]),
        ("SYNC_COUNT", encode(FetchBlocks((ref,) * 257))[0]),
        ("SYNC_RANGE", encode(BelowGc(huge, (), ()))[0]),
        ("BLOCK_TRUNCATED", broken(lambda m: m.blocks.blocks.append(b"x"), every[1])),
        ("BLOCK_TRUNCATED", broken(lambda m: m.commits.votes.append(b"x"), every[7])),
        ("BLOCK_TRUNCATED", PeerMessage(latest_reply=consensus_pb2.PeerLatestReply(own=b"x"))),
    ]

    def commit(change: Callable[[types_pb2.Commit], object]) -> PeerMessage:
        return broken(lambda m: change(m.commits.commits[0]), every[7])

    def certificate(change: Callable[[types_pb2.CertifiedCheckpoint], object]) -> PeerMessage:
        return broken(lambda m: change(m.commits.certificate), every[7])

    cases += [
        ("SYNC_RANGE", commit(lambda c: setattr(c, "index", huge))),
        ("SYNC_RANGE", commit(lambda c: setattr(c, "clock_ms", huge))),
        ("SYNC_RANGE", commit(lambda c: setattr(c, "gc_round", huge))),
        ("SYNC_DIGEST", commit(lambda c: setattr(c, "digest", b""))),
        ("SYNC_DIGEST", commit(lambda c: setattr(c, "previous_digest", b""))),
        ("SYNC_DIGEST", commit(lambda c: setattr(c.leader, "digest", b""))),
        ("SYNC_RANGE", commit(lambda c: setattr(c.leader, "author", 9))),
        ("SYNC_RANGE", certificate(lambda c: setattr(c, "index", huge))),
        ("SYNC_RANGE", certificate(lambda c: setattr(c, "tree_size", huge))),
        ("SYNC_DIGEST", certificate(lambda c: setattr(c, "root", b"x"))),
        ("SYNC_DIGEST", certificate(lambda c: setattr(c.cosignatures[0], "blob", b"x"))),
        ("SYNC_RANGE", certificate(lambda c: setattr(c.cosignatures[0], "author", 4))),
        (
            "SYNC_COUNT",
            certificate(lambda c: c.cosignatures.extend([c.cosignatures[0]] * 4)),
        ),
    ]
    for code, message in cases:
        with pytest.raises(PeerError, match=code):
            inbound().decode(message)


def test_too_many_commits_are_refused(run: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "COMMITS_MAX", 4)
    with pytest.raises(PeerError, match="SYNC_COUNT"):
        received(every_message(run)[7])


def test_a_verified_block_is_not_verified_again(
    run: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = BlockVerifier(make_committee(), ConsensusParameters())
    raws = [block.raw for commit in run.sites[0].commits for block in commit.blocks]
    first = [verifier.verify(raw) for raw in raws]
    again = [verifier.verify(bytes(bytearray(raw))) for raw in raws]
    assert all(one is other for one, other in zip(first, again, strict=True))
    monkeypatch.setattr(messages, "VERIFIED_BLOCKS_MAX", 3)
    verifier = BlockVerifier(make_committee(), ConsensusParameters())
    first = [verifier.verify(raw) for raw in raws]
    assert verifier.verify(raws[-1]) is first[-1]
    assert verifier.verify(raws[0]) is not first[0]
    assert verifier.verify(raws[0]) == first[0]


def test_batches_of_the_own_site_are_decoded() -> None:
    batch = make_batch(make_committee(), 2, 7, updates=2)
    message = consensus_pb2.CertifiedBatch(
        site=2,
        batch_number=7,
        pinned_height=0,
        records=batch.records_bytes,
        attestations=[
            consensus_pb2.BatchAttestation(author=one.author, signature=one.signature)
            for one in batch.certificate
        ],
    )
    assert decode_batch(message, 2) == batch
    for field, value, code in (
        ("site", 1, "BATCH_SITE"),
        ("records", b"", "BATCH_EMPTY"),
        ("records", b"x", "RECORD_SIZE"),
        ("batch_number", 2**53, "BATCH_RANGE"),
        ("pinned_height", 2**53, "BATCH_RANGE"),
    ):
        changed = consensus_pb2.CertifiedBatch()
        changed.CopyFrom(message)
        setattr(changed, field, value)
        with pytest.raises(PeerError, match=code):
            decode_batch(changed, 2)
