"""Leaders from the common coin: cursor, wrong shares, whole committees with restarts."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from seawall.consensus.dag.coin import SHARES_PER_BLOCK_MAX, CoinBook, ThresholdCoin
from seawall.consensus.dag.committer import Committer
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.dag.leaders import CoinLeaders
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore
from seawall.consensus.engine import CommitHistory, Record
from seawall.consensus.replica import Replica
from seawall.crypto.coin import deal
from seawall.domain.block import Block, BlockFlags, CoinShares
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import (
    Cluster,
    MemoryJournal,
    Site,
    make_committee,
    make_identity,
)
from tests.unit.consensus.dag.drawing import full_rounds

KEYS, SECRETS = deal(bytes(32), 3, 4)
COMMITTEE = msgspec.structs.replace(make_committee(), coin=KEYS)
COINS = [ThresholdCoin(COMMITTEE, secret) for secret in SECRETS]
WAVE = 5


class CoinCluster(Cluster):
    """A cluster of four whose leaders come from the coin."""

    def __init__(self, wave: int, wrong: frozenset[int] = frozenset()) -> None:
        self.wrong = wrong
        parameters = ConsensusParameters(
            protocol="async", wave_length=wave, finality_delay=wave, gc_depth=20
        )
        super().__init__(parameters=parameters, verify=True)

    def build(
        self,
        index: int,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Site:
        """Return a site with its share of the coin's key."""
        journal = MemoryJournal()
        journal.durable.extend(recovered)
        secret = SECRETS[0] if index in self.wrong else SECRETS[index]
        engine = DagEngine(
            identity=replace(make_identity(index), coin_secret=secret),
            committee=COMMITTEE,
            parameters=self.parameters,
            recovered=recovered,
            history=history,
        )
        return Site(Replica(engine, journal), journal)


def carrying(author: int, first: int, *shares: bytes) -> Block:
    """Return a block that matters for its shares only."""
    return Block(
        epoch=0,
        round=first + 10,
        author=author,
        timestamp_ms=0,
        flags=BlockFlags.NONE,
        parents=(),
        batches=(),
        transactions=(),
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(first, shares),
        commit_votes=(),
    )


def make_book() -> tuple[CoinBook, CoinLeaders]:
    """Return the book of author 0 and the schedule that it reveals."""
    schedule = CoinLeaders(COMMITTEE, 2)
    return CoinBook(COINS[0], schedule, 0, WAVE), schedule


def test_no_share_is_owed_before_its_round() -> None:
    book, _ = make_book()
    assert book.owed(WAVE - 1, 0) == CoinShares()
    assert book.owed(WAVE, 0) == CoinShares(1, (COINS[0].share(1),))


def test_every_round_is_paid_a_few_at_a_time_unless_collected() -> None:
    book, _ = make_book()
    owed = book.owed(40, 0)
    assert (owed.first_round, len(owed.shares)) == (1, SHARES_PER_BLOCK_MAX)
    assert book.owed(40, 0) == owed
    book.on_accept(carrying(0, 1, *owed.shares), 1)
    assert book.owed(40, 0).first_round == 9
    assert book.owed(40, 20).first_round == 21
    assert book.owed(40, 36) == CoinShares()


def test_any_threshold_reveals_the_same_leaders() -> None:
    found = set()
    for absent in range(4):
        book, schedule = make_book()
        revealed = []
        for author in range(4):
            if author != absent:
                assert schedule.leaders(3) is None
                revealed += book.on_accept(carrying(author, 3, COINS[author].share(3)), 1)
        assert revealed == [3]
        assert book.on_accept(carrying(absent, 3, COINS[absent].share(3)), 1) == []
        found.add(schedule.leaders(3))
        book.forget(4)
        assert schedule.leaders(3) is None
    assert len(found) == 1


@pytest.mark.parametrize("bad", [COINS[1].share(4), bytes(48), b"\xc0" + bytes(47)])
def test_wrong_shares_are_noted_and_ignored(bad: bytes) -> None:
    book, schedule = make_book()
    for author in (0, 2):
        book.on_accept(carrying(author, 3, COINS[author].share(3)), 1)
    assert book.on_accept(carrying(1, 3, bad), 1) == []
    assert book.bad == [(3, 1)]
    assert book.on_accept(carrying(3, 3, COINS[3].share(3)), 1) == [3]
    assert schedule.leaders(3) is not None


def test_good_shares_that_remain_beside_wrong_ones_are_combined() -> None:
    # Two shares make a coin here, so that a wrong one leaves enough of them in the book.
    keys, secrets = deal(bytes(32), 2, 4)
    committee = msgspec.structs.replace(make_committee(), coin=keys)
    coins = [ThresholdCoin(committee, secret) for secret in secrets]
    schedule = CoinLeaders(committee, 2)
    book = CoinBook(coins[0], schedule, 0, WAVE)
    book.on_accept(carrying(1, 3, bytes(48)), 1)
    coins[0].threshold = 3
    book.on_accept(carrying(2, 3, coins[2].share(3)), 1)
    coins[0].threshold = 2
    assert book.on_accept(carrying(3, 3, coins[3].share(3)), 1) == [3]
    assert book.bad == [(3, 1)]


def test_shares_of_decided_rounds_are_let_go() -> None:
    book, schedule = make_book()
    book.on_accept(carrying(1, 3, COINS[1].share(3)), 1)
    book.forget(4)
    for author in (0, 2, 3):
        assert book.on_accept(carrying(author, 3, COINS[author].share(3)), 4) == []
    assert schedule.leaders(3) is None


def test_a_round_whose_coin_is_unknown_is_undecided_until_it_is_revealed() -> None:
    store, stakes, schedule = BlockStore(), StakeTable(COMMITTEE), CoinLeaders(COMMITTEE, 2)
    committer = Committer(store, stakes, schedule, WAVE)
    for block in full_rounds(COMMITTEE, 12):
        committer.on_accept(store.add(block))
    for round_ in (3, 8):
        schedule.reveal(round_, bytes([round_]))
        committer.reveal(round_)
        assert committer.decide() == []
    for round_ in (2, 1):
        schedule.reveal(round_, bytes([round_]))
        committer.reveal(round_)
    assert [verdict.round for verdict in committer.decide()] == [1, 1, 2, 2, 3, 3]
    assert committer.next_slot == (4, 0)


@pytest.mark.parametrize("wave", [4, 5])
def test_a_committee_commits_by_the_coin_through_a_restart(wave: int) -> None:
    cluster = CoinCluster(wave)
    cluster.submit(0, 1)
    cluster.run(1_000_000)
    cluster.restart(2)
    cluster.submit(1, 2)
    cluster.run(1_000_000)
    cluster.check_agreement()
    assert min(len(site.commits) for site in cluster.sites) > 10
    assert cluster.delivered_batches(0) == [1, 2]


@pytest.mark.parametrize("wave", [5])
def test_a_site_that_was_away_catches_up_without_the_coins_it_missed(wave: int) -> None:
    cluster = CoinCluster(wave)
    cluster.run(300_000)
    cluster.crash(3)
    for number in range(30):
        cluster.submit(0, number)
        cluster.run(100_000)
    before = len(cluster.sites[0].commits)
    assert before > 40
    cluster.restart(3)
    for number in range(30, 45):
        cluster.submit(0, number)
        cluster.run(100_000)
    cluster.check_agreement()
    assert cluster.sites[3].commits[-1].index > before
    assert cluster.sites[3].commits[-1].index >= cluster.sites[0].commits[-1].index - 8


def test_garbage_shares_of_one_site_are_evidence_and_stop_nobody() -> None:
    cluster = CoinCluster(5, wrong=frozenset({2}))
    cluster.submit(0, 1)
    cluster.run(1_000_000)
    cluster.check_agreement()
    assert cluster.sites[0].observed["bad_share"]
    assert cluster.delivered_batches(1) == [1]
