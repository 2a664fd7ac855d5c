"""The engine among its peers, in virtual time: what it promises, seen from outside."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from seawall.consensus.dag.pace import BURST_DIVISOR, BURST_ROUNDS
from seawall.consensus.dag.records import BASE_BEGIN, BASE_END, LOST_DISK
from seawall.consensus.engine import (
    Blocks,
    Message,
    PeerDown,
    PeerUp,
    Submitted,
)
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import Cluster, Site, make_batch

if TYPE_CHECKING:
    from seawall.domain.block import Ref

SECOND_US = 1_000_000
QUICK = ConsensusParameters(gc_depth=10, round_delay_ms_idle=100)
SIZES = [(1,) * n for n in (1, 4, 5, 6, 7)] + [(3, 1, 1, 2)]


def heights(cluster: Cluster) -> list[int]:
    """Return the last commit index of every site."""
    return [site.replica.status().commit_index for site in cluster.sites]


@pytest.mark.parametrize("stakes", SIZES)
def test_honest_sites_deliver_everything_in_one_order(stakes: Sequence[int]) -> None:
    cluster = Cluster(stakes, QUICK, verify=True)
    for number in range(2 * len(stakes)):
        cluster.submit(number % len(stakes), number)
    cluster.run(2 * SECOND_US)
    cluster.check_agreement()
    assert sorted(cluster.delivered_batches(0)) == list(range(2 * len(stakes)))
    assert all(site.replica.status().pending_payloads == 0 for site in cluster.sites)
    assert min(heights(cluster)) > 10
    for site in cluster.sites:
        assert [commit.index for commit in site.commits] == list(range(1, len(site.commits) + 1))
        clocks = [commit.clock_ms for commit in site.commits]
        assert clocks == sorted(clocks)


def test_checkpoints_carry_cosignatures_of_stake_q() -> None:
    cluster = Cluster((3, 1, 1, 2), QUICK)
    cluster.run(2 * SECOND_US)
    committee = cluster.committee
    for site in cluster.sites:
        indices = [checkpoint.index for checkpoint in site.checkpoints]
        assert indices == sorted(set(indices))
        assert indices[-1] > 10
        for checkpoint in site.checkpoints:
            authors = [cosignature.author for cosignature in checkpoint.cosignatures]
            assert authors == sorted(set(authors))
            assert committee.stake_of(authors) >= committee.quorum
            assert checkpoint.commit_digest == site.commits[checkpoint.index - 1].digest
            assert checkpoint.tree_size == 2 * checkpoint.index


def test_idle_sites_hardly_work_and_busy_ones_at_once() -> None:
    cluster = Cluster()
    cluster.run(SECOND_US)
    before = cluster.sites[0].replica.status().round
    cluster.run(10 * SECOND_US)
    assert cluster.sites[0].replica.status().round - before <= 10
    cluster.submit(2, 1)
    cluster.run(SECOND_US // 4)
    assert cluster.delivered_batches(1) == [1]
    assert all(site.checkpoints[-1].index >= site.commits[-3].index for site in cluster.sites)


def test_idle_sites_follow_whoever_begins_a_round() -> None:
    cluster = Cluster()
    cluster.run(10 * SECOND_US)
    rounds = [site.blocks[-1].ref.round for site in cluster.sites]
    times = [site.blocks[-1].block.timestamp_ms for site in cluster.sites]
    assert max(rounds) == min(rounds)
    assert max(times) - min(times) <= 5


def busy_cluster() -> Cluster:
    """Return sites of which one has had something new to say every 10 ms for a second."""
    cluster = Cluster()
    for number in range(100):
        batch = make_batch(cluster.committee, 0, number)
        cluster.post(0, Submitted(batches=(batch,)), number * 10_000)
    cluster.run(SECOND_US)
    return cluster


def gaps_ms(site: Site) -> list[int]:
    """Return the times between the own blocks of a site."""
    times = [block.block.timestamp_ms for block in site.blocks]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_a_busy_site_keeps_its_pace_in_the_long_run() -> None:
    cluster = busy_cluster()
    least_ms = cluster.parameters.round_delay_ms_min
    for site in cluster.sites:
        gaps = gaps_ms(site)
        assert min(gaps) >= least_ms // BURST_DIVISOR
        # In the long run rounds with little in them are half of the least delay apart.
        saved_ms = BURST_ROUNDS * (least_ms - least_ms // BURST_DIVISOR)
        assert sum(gaps) >= (len(gaps) - 1) * least_ms // 2 - saved_ms
        assert sum(gaps[-20:]) >= 19 * least_ms // 2


def test_what_breaks_a_silence_goes_through_faster_rounds() -> None:
    cluster = busy_cluster()
    for site in cluster.sites:
        site.blocks.clear()
    cluster.run(3 * SECOND_US)  # long enough to earn the next burst
    cluster.submit(1, 1000)
    cluster.run(4 * SECOND_US)
    for site in cluster.sites:
        fast = [gap for gap in gaps_ms(site) if gap < cluster.parameters.round_delay_ms_min]
        assert len(fast) >= 4


def test_every_own_block_is_durable_before_it_is_sent() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    journals = [site.journal for site in cluster.sites]

    def check(sender: int, _target: int, message: Message) -> bool:
        if isinstance(message, Blocks):
            durable = b"".join(record.data for record in journals[sender].durable[-40:])
            for block in message.blocks:
                if block.ref.author == sender:
                    assert block.raw in durable
        return True

    cluster.filter = check
    cluster.run(SECOND_US)
    assert all(journal.syncs > 5 for journal in journals)


def test_a_crashed_site_costs_no_progress_and_catches_up_from_blocks() -> None:
    cluster = Cluster(parameters=ConsensusParameters(round_delay_ms_idle=100))
    cluster.run(SECOND_US)
    cluster.crash(1)
    cluster.run(3 * SECOND_US)
    assert heights(cluster)[0] > heights(cluster)[1] + 10
    site = cluster.restart(1)
    cluster.run(2 * SECOND_US)
    cluster.check_agreement()
    assert max(heights(cluster)) - min(heights(cluster)) <= 2
    assert site.observed["caught_up"] == 0
    assert site.observed["block_proposed"] > 5


def test_a_site_never_signs_twice_for_a_round() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    signed: list[Ref] = []
    for _ in range(5):
        cluster.run(SECOND_US // 2)
        cluster.crash(2)
        signed += [block.ref for block in cluster.sites[2].blocks]
        cluster.restart(2)
    cluster.run(SECOND_US)
    signed += [block.ref for block in cluster.sites[2].blocks]
    rounds = [ref.round for ref in signed]
    assert len(set(rounds)) == len(rounds)
    assert rounds == sorted(rounds)
    assert all(site.observed["equivocation"] == 0 for site in cluster.sites)


def test_recovery_rebuilds_the_state_and_delivers_the_same_commits_again() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    for number in range(10):
        cluster.submit(3, number)
    cluster.run(8 * SECOND_US)
    old = cluster.sites[3]
    kinds = [record.kind for record in old.journal.durable]
    assert BASE_BEGIN in kinds
    assert BASE_END in kinds
    cluster.crash(3)
    new = cluster.build(3, list(old.journal.durable))
    before, after = old.replica.status(), new.replica.status()
    # Commits decided after the last own block are in memory only, and decided again.
    assert before.commit_index - 3 <= after.commit_index <= before.commit_index
    assert after.last_proposed_round == before.last_proposed_round
    cluster.sites[3] = new
    cluster.post(3, PeerUp(0))
    cluster.run(SECOND_US // 20)
    first = new.commits[0].index
    assert first > 1
    for commit in new.commits:
        if commit.index <= old.commits[-1].index:
            assert commit == old.commits[commit.index - 1]


def test_the_journal_from_the_last_base_on_is_enough() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(12 * SECOND_US)
    records = cluster.sites[0].journal.durable
    begin = max(i for i, record in enumerate(records) if record.kind == BASE_BEGIN)
    whole, short = cluster.build(0, records), cluster.build(0, records[begin:])
    assert whole.replica.status() == short.replica.status()
    assert len(records) - begin < len(records) / 2


def test_a_site_that_was_away_for_long_catches_up_by_certified_commits() -> None:
    cluster = Cluster((1,) * 4, QUICK, verify=True)
    cluster.run(SECOND_US)
    cluster.crash(1)
    cluster.run(8 * SECOND_US)
    site = cluster.restart(1)
    cluster.run(3 * SECOND_US)
    cluster.check_agreement()
    assert site.observed["caught_up"] >= 1
    assert max(heights(cluster)) - min(heights(cluster)) <= 2
    assert site.observed["block_proposed"] > 5
    assert site.replica.status().suspended_blocks == 0


def test_a_lost_disk_is_noticed_and_nothing_is_signed_twice() -> None:
    cluster = Cluster((1,) * 4, QUICK, verify=True)
    cluster.run(3 * SECOND_US)
    cluster.crash(1)
    before = [block.ref.round for block in cluster.sites[1].blocks]
    highest = max(site.blocks[-1].ref.round for site in cluster.sites)
    site = cluster.restart(1, [])
    cluster.run(4 * SECOND_US)
    cluster.check_agreement()
    assert site.observed["disk_lost"] >= 1
    after = [block.ref.round for block in site.blocks]
    assert min(after) >= max(*before, highest) + 2
    assert all(block.block.vote_cutoff == block.ref.round - 1 for block in site.blocks)
    assert [record for record in site.journal.durable if record.kind == LOST_DISK]
    assert max(heights(cluster)) - min(heights(cluster)) <= 2
    # The next start knows it from the journal.
    cluster.crash(1)
    again = cluster.restart(1)
    cluster.run(2 * SECOND_US)
    assert again.blocks[0].ref.round > after[-1]
    assert all(other.observed["equivocation"] == 0 for other in cluster.sites)


def test_an_old_copy_of_the_disk_counts_as_lost() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    snapshot = list(cluster.sites[1].journal.durable)
    cluster.run(SECOND_US)
    last = cluster.sites[1].blocks[-1].ref.round
    cluster.crash(1)
    site = cluster.restart(1, snapshot)
    cluster.run(2 * SECOND_US)
    assert site.observed["disk_lost"] >= 1
    assert site.blocks[0].ref.round >= last + 2
    assert all(other.observed["equivocation"] == 0 for other in cluster.sites)


def test_one_dead_site_stops_no_start_but_two_do() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    for index in (2, 3):
        cluster.crash(index)
    cluster.run(3 * SECOND_US)
    assert cluster.sites[0].replica.status().recovering
    assert not cluster.sites[0].blocks
    cluster.restart(2)
    cluster.run(3 * SECOND_US)
    assert not cluster.sites[0].replica.status().recovering
    assert heights(cluster)[0] > 5


def test_two_dead_sites_stop_progress_without_a_fork_until_one_is_back() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    cluster.crash(0)
    cluster.crash(1)
    cluster.run(SECOND_US)
    stuck = heights(cluster)[2]
    cluster.run(5 * SECOND_US)
    assert heights(cluster)[2] == stuck
    cluster.restart(0)
    cluster.run(5 * SECOND_US)
    cluster.check_agreement()
    assert heights(cluster)[2] > stuck + 10


def test_lost_messages_are_made_up_for() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    count = 0

    def lossy(_sender: int, _target: int, _message: Message) -> bool:
        nonlocal count
        count += 1
        return count % 5 != 0

    cluster.filter = lossy
    for number in range(8):
        cluster.submit(number % 4, number)
    cluster.run(10 * SECOND_US)
    cluster.check_agreement()
    assert sorted(cluster.delivered_batches(0)) == list(range(8))
    assert any(site.sent["FetchBlocks"] for site in cluster.sites)


def test_a_site_behind_a_slow_ledger_takes_no_payload_but_goes_on() -> None:
    cluster = Cluster((1,) * 4, QUICK, rooting=False)
    cluster.run(3 * SECOND_US)
    assert not cluster.sites[0].replica.status().accepts_payload
    before = heights(cluster)[0]
    cluster.submit(0, 1)
    cluster.run(2 * SECOND_US)
    assert heights(cluster)[0] > before
    assert cluster.delivered_batches(0) == []
    assert cluster.sites[0].replica.status().pending_payloads == 1


def test_link_events_resume_streams() -> None:
    cluster = Cluster((1,) * 4, QUICK)
    cluster.run(SECOND_US)
    sent = cluster.sites[0].sent["Subscribe"]
    cluster.post(0, PeerDown(1))
    cluster.post(0, PeerUp(1))
    cluster.run(1)
    assert cluster.sites[0].sent["Subscribe"] == sent + 1
