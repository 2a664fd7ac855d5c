"""What one engine answers to single messages: questions, fetches, proofs, refusals."""

from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.dag.records import BASE_BEGIN
from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    FetchBlocks,
    FetchCommits,
    LatestQuery,
    LatestReply,
    Message,
    Received,
    Submitted,
    Subscribe,
)
from seawall.domain.block import Ref
from seawall.domain.commit import Commit
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import Cluster, make_batch

SECOND_US = 1_000_000
QUICK = ConsensusParameters(gc_depth=10, round_delay_ms_idle=100)


def answers(cluster: Cluster, index: int, message: Message, peer: int = 1) -> list[Message]:
    """Return what a site sends to a peer in answer to its message."""
    sent: list[Message] = []

    def spy(sender: int, target: int, answer: Message) -> bool:
        if sender == index and target == peer:
            sent.append(answer)
        return True

    cluster.filter = spy
    cluster.post(index, Received(peer, message))
    cluster.run(1)
    return sent


def test_questions_are_answered_from_what_is_held() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(5 * SECOND_US)
    blocks = cluster.sites[0].blocks
    (latest,) = answers(cluster, 0, LatestQuery())
    assert latest == LatestReply(blocks[-1], cluster.sites[1].blocks[-1])
    (stream,) = answers(cluster, 0, Subscribe(blocks[-4].ref.round))
    assert stream == Blocks(tuple(blocks[-3:]))
    (found,) = answers(cluster, 0, FetchBlocks((blocks[-1].ref, blocks[-2].ref)))
    assert found == Blocks((blocks[-2], blocks[-1]))
    assert answers(cluster, 0, FetchBlocks((Ref(blocks[-1].ref.round, 0, bytes(32)),))) == []
    (commits,) = answers(cluster, 0, FetchCommits(3))
    assert isinstance(commits, Commits)
    assert commits.commits[0] == cluster.sites[0].commits[2]
    assert answers(cluster, 0, FetchCommits(3)) == []  # the same question, at once again
    (nothing,) = answers(cluster, 0, FetchCommits(10_000))
    assert nothing == Commits((), None)


def test_a_fetch_below_the_gc_round_brings_the_newest_blocks_once_in_a_while() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(5 * SECOND_US)
    old = cluster.sites[0].blocks[0].ref
    (answer,) = answers(cluster, 0, FetchBlocks((old,)))
    assert isinstance(answer, BelowGc)
    status = cluster.sites[0].replica.status()
    assert (answer.commit_index, answer.refs) == (status.commit_index, (old,))
    leader_round = cluster.sites[0].commits[status.certified_index - 1].leader.round
    held = {block.ref for site in cluster.sites for block in site.blocks}
    assert {block.ref for block in answer.blocks} == {
        ref for ref in held if ref.round >= leader_round
    }
    assert answers(cluster, 0, FetchBlocks((old,))) == []


class Disk:
    """The commits that a site has delivered."""

    def __init__(self, commits: list[Commit]) -> None:
        self._commits = {commit.index: commit for commit in commits}

    def read(self, index: int) -> Commit | None:
        """Return a commit."""
        return self._commits.get(index)


def test_a_disk_lost_during_a_long_absence_is_noticed_too() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    cluster.crash(1)
    before = [block.ref.round for block in cluster.sites[1].blocks]
    cluster.run(8 * SECOND_US)
    # The others have pruned its blocks and started again themselves.
    for index in (0, 2, 3):
        cluster.crash(index)
        records = cluster.sites[index].journal.durable
        begin = max(i for i, record in enumerate(records) if record.kind == BASE_BEGIN)
        cluster.restart(index, records[begin:], Disk(cluster.sites[index].commits))
    site = cluster.restart(1, [])
    cluster.run(3 * SECOND_US)
    assert site.observed["disk_lost"] >= 1
    assert site.blocks[0].ref.round > max(before)
    assert all(other.observed["equivocation"] == 0 for other in cluster.sites)


def test_what_no_block_could_carry_is_refused() -> None:
    cluster = Cluster(parameters=ConsensusParameters(block_updates_max=2))
    cluster.run(SECOND_US)
    batches = (
        make_batch(cluster.committee, 1, 1),
        make_batch(cluster.committee, 0, 2, updates=3),
        make_batch(cluster.committee, 0, 3),
    )
    cluster.post(0, Submitted(batches=batches, transactions=(b"", b"x" * 20_000, b"{}")))
    cluster.run(SECOND_US)
    assert cluster.sites[0].observed["submission_refused"] == 4
    assert cluster.delivered_batches(3) == [3]
    delivered = [
        transaction
        for commit in cluster.sites[2].commits
        for block in commit.blocks
        for transaction in block.block.transactions
    ]
    assert delivered == [b"{}"]


def test_a_full_queue_refuses_more() -> None:
    cluster = Cluster(parameters=ConsensusParameters(block_transactions_max=1))
    transactions = tuple(b"%d" % number for number in range(17))
    cluster.post(0, Submitted((make_batch(cluster.committee, 0, 1),), transactions))
    cluster.post(0, Submitted((make_batch(cluster.committee, 0, 2),)))
    cluster.run(1)
    assert cluster.sites[0].observed["submission_refused"] == 2
    assert not cluster.sites[0].replica.status().accepts_payload


def test_an_answer_about_somebody_else_is_refused() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    other = cluster.sites[2].blocks[-1]
    for reply in (LatestReply(other, None), LatestReply(None, other)):
        cluster.post(0, Received(1, reply))
    cluster.run(1)
    assert cluster.sites[0].observed["latest_refused"] == 2


def test_an_old_own_block_is_no_sign_of_a_lost_disk() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(5 * SECOND_US)
    cluster.post(0, Received(1, Blocks((cluster.sites[0].blocks[0],))))
    cluster.run(1)
    assert cluster.sites[0].observed["disk_lost"] == 0


def test_own_blocks_inside_commits_tell_of_a_lost_disk() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(8 * SECOND_US)
    cluster.crash(1)
    last = cluster.sites[1].blocks[-1].ref.round
    # Nobody says a word about its latest block, so it only finds out while catching up.
    cluster.filter = lambda _sender, target, message: (
        not (target == 1 and isinstance(message, LatestReply) and message.yours is not None)
    )
    cluster.run(4 * SECOND_US)
    site = cluster.restart(1, [])
    cluster.post(1, Received(0, LatestReply(None, None)), 10)
    cluster.post(1, Received(2, LatestReply(None, None)), 10)
    cluster.run(4 * SECOND_US)
    assert site.observed["disk_lost"] >= 1
    assert [block.ref.round for block in site.blocks if block.ref.round > last]


def test_a_peer_that_shows_what_lies_below_its_gc_round_helps_a_straggler() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    # Site 3 hears nothing for a while, less than what would send it to ask for commits at once.
    cluster.filter = lambda _sender, target, _message: target != 3
    cluster.run(SECOND_US * 3 // 2)
    cluster.filter = lambda _sender, target, message: (
        not (target == 3 and isinstance(message, Commits))
    )
    cluster.run(10 * SECOND_US)
    cluster.check_agreement()
    assert cluster.sites[3].observed["caught_up"] == 0


def test_a_site_that_may_not_propose_still_writes_what_it_accepts() -> None:
    cluster = Cluster((1,) * 4, ConsensusParameters(round_delay_ms_idle=25))
    cluster.crash(3)
    cluster.restart(3)
    cluster.filter = lambda _sender, _target, message: not isinstance(message, LatestQuery)
    for peer in (1, 2, 0):
        for index in range(3):
            if peer != index:
                cluster.post(index, Received(peer, LatestReply(None, None)))
    cluster.run(6 * SECOND_US)
    assert cluster.sites[3].replica.status().recovering
    assert not cluster.sites[3].blocks
    assert len(cluster.sites[3].journal.durable) > 512


def test_evidence_of_equivocation_is_kept() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    twin = Cluster((1,) * 4, QUICK)
    twin.submit(3, 1)
    cluster.run(SECOND_US)
    twin.run(SECOND_US)
    first = cluster.sites[3].blocks[-1]
    (second,) = [block for block in twin.sites[3].blocks if block.ref.round == first.ref.round]
    cluster.post(0, Received(3, Blocks((second,))))
    cluster.run(1)
    assert cluster.sites[0].observed["equivocation"] == 1
    engine = cluster.sites[0].replica._engine  # noqa: SLF001 - evidence is not in the protocol yet
    assert isinstance(engine, DagEngine)
    assert engine.evidence() == {3: (first, second)}


def test_an_answer_below_the_gc_round_that_nobody_asked_for_starts_nothing() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    message = BelowGc(10_000, (Ref(1, 1, bytes(32)),), ())
    assert answers(cluster, 0, message) == []
    assert cluster.sites[0].sent["FetchCommits"] == 0
    assert not cluster.sites[0].replica.status().recovering
