"""Votes, certificates and FINAL against the slow model, and case by case."""

import pytest
from msgspec import structs

from seawall.codec import encode_records
from seawall.consensus.dag import store as store_module
from seawall.consensus.dag.ballots import Ballots
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.domain.block import Batch, BlockFlags, Ref, RejectSet, VerifiedBlock
from seawall.domain.commit import Judgement, Verdict
from seawall.sim.fastpath.dag import Update
from seawall.sim.fastpath.site import Site
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, own_first
from tests.unit.consensus.dag.modelled import block_of, drawn, record_of, records_of, ref_of

COMMITTEE = make_committee()
STAKES = StakeTable(COMMITTEE)

Stated = dict[tuple[Ref, int], None]


def stated_by(statements: list[tuple[Ref, int, tuple[int, ...]]]) -> Stated:
    """Return each instance that was stated; twice is an error."""
    found: Stated = {}
    for ref, first, positions in statements:
        for position in positions:
            assert (ref, first + position) not in found
            found[ref, first + position] = None
    return found


def final_in_the_model(site: Site) -> Stated:
    """Return what has certificates of a quorum of authors, whatever was collected."""
    quorum = site.dag.scope.quorum
    places = [place for place, authors in site.certifiers.items() if len(authors) >= quorum]
    return {(ref_of(site.dag, number), index): None for number, index in places}


def final_in_ballots(site: Site, window: int) -> Stated:
    """Feed what the modelled site accepted, in that order, to ballots."""
    store = BlockStore()
    ballots = Ballots(store, STAKES, window, 0)
    found: list[tuple[Ref, int, tuple[int, ...]]] = []
    for number in site.sight.past:
        if site.dag.blocks[number].round:
            ballots.on_accept(store.add(block_of(site.dag, number)))
            statements = ballots.state_final(0, 0)
            found += [(one.block, one.first_index, one.positions) for one in statements]
    return stated_by(found)


@pytest.mark.parametrize("seed", range(18))
def test_final_equals_the_models_on_random_runs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_REBASE_BITS", 16)
    draw = drawn(seed)
    count = 0
    for site in draw.stage.sites.values():
        expected = final_in_the_model(site)
        assert final_in_ballots(site, draw.scope.window) == expected
        count += len(expected)
    assert count


def carrying(updates: int, author: int = 0) -> list[VerifiedBlock]:
    """Return round 1, in which one author's block carries so many updates, two in each batch."""
    blocks = full_rounds(COMMITTEE, 1)
    records = records_of(updates)
    batches = tuple(
        [
            Batch(author, at, 0, encode_records(records[at : at + 2]), ())
            for at in range(0, updates, 2)
        ]
    )
    blocks[author] = draw_block(1, author, blocks[author].block.parents, batches=batches)
    return blocks


def round_over(
    before: list[VerifiedBlock], round_: int, rejects: dict[int, RejectSet] | None = None
) -> list[VerifiedBlock]:
    """Return a full round over the one before, with these rejects by author."""
    refs = [block.ref for block in before]
    return [
        draw_block(
            round_,
            author,
            own_first(refs, author),
            rejects=(rejects[author],) if rejects and author in rejects else (),
        )
        for author in range(4)
    ]


class Table:
    """Ballots over a store, and everything that they stated."""

    def __init__(self, stakes: StakeTable = STAKES) -> None:
        self.store = BlockStore()
        self.ballots = Ballots(self.store, stakes, 1, 3)
        self.vertices: dict[Ref, Vertex] = {}

    def accept(self, blocks: list[VerifiedBlock]) -> None:
        """Accept blocks in order."""
        for block in blocks:
            vertex = self.store.add(block)
            self.vertices[block.ref] = vertex
            self.ballots.on_accept(vertex)

    def final(self, gc_round: int = 0) -> list[tuple[int, tuple[int, ...]]]:
        """Return new statements as first index and positions."""
        found = self.ballots.state_final(gc_round, self.store.highest_round)
        return [(one.first_index, one.positions) for one in found]


@pytest.mark.parametrize("stakes", [(1, 1, 1, 1), (2, 2, 2, 1)])
def test_three_rounds_make_final(stakes: tuple[int, ...]) -> None:
    table = Table(StakeTable(make_committee(stakes)))
    first = carrying(3)
    second = round_over(first, 2)
    third = round_over(second, 3)
    table.accept([*first, *second])
    assert table.final() == []
    table.accept(third[:2])
    assert table.final() == []
    table.accept(third[2:3])
    assert table.final() == [(0, (0, 1)), (2, (0,))]
    table.accept(third[3:])
    assert table.final() == []


def test_what_is_rejected_by_too_many_is_not_final() -> None:
    table = Table()
    first = carrying(4)
    reject = RejectSet(first[0].ref, (1, (1 << 32) - 1))
    second = round_over(first, 2, {1: reject, 2: RejectSet(first[0].ref, (1, 2))})
    table.accept([*first, *second, *round_over(second, 3)])
    assert table.final() == [(0, (0,)), (2, (0, 1))]


def test_a_block_that_closes_certifies_nothing() -> None:
    table = Table()
    first = carrying(1)
    second = round_over(first, 2)
    closing = [
        structs.replace(one, block=structs.replace(one.block, flags=BlockFlags.CLOSING))
        for one in round_over(second, 3)
    ]
    table.accept([*first, *second, *closing])
    assert table.final() == []


def test_an_abstention_is_no_vote_and_old_blocks_are_not_stated() -> None:
    first = carrying(1)
    second = round_over(first, 2)
    silent = [
        structs.replace(one, block=structs.replace(one.block, vote_cutoff=1)) for one in second
    ]
    table = Table()
    table.accept([*first, *silent[:2], *second[2:], *round_over(second, 3)])
    assert table.final() == []
    table = Table()
    table.accept([*first, *second, *round_over(second, 3)])
    assert table.final(gc_round=1) == []
    table.ballots.collect(1)
    assert table.ballots.fresh(-1, 0) == []


def test_an_accept_states_final_once_and_a_reject_never() -> None:
    table = Table()
    first = carrying(4)
    table.accept(first)
    batches = first[0].block.batches
    verdict = Verdict(first[0].ref, batches[1], 2, (1,), Judgement.ACCEPT, 1)
    rejected = replace_judgement(verdict, Judgement.REJECT)
    unknown = structs.replace(verdict, block=Ref(1, 0, bytes(32)))
    statements = table.ballots.on_verdicts([rejected, unknown, verdict, verdict], 7)
    found = [(one.first_index, one.positions, one.round) for one in statements]
    assert found == [(2, (1,), 7)]
    second = round_over(first, 2)
    table.accept([*second, *round_over(second, 3)])
    assert table.final() == [(0, (0, 1)), (2, (0,))]


def replace_judgement(verdict: Verdict, judgement: Judgement) -> Verdict:
    """Return the verdict with another judgement."""
    return structs.replace(verdict, judgement=judgement)


def test_twins_of_a_voter_count_once() -> None:
    table = Table()
    first = carrying(1)
    refs = [block.ref for block in first]
    twins = [draw_block(2, 1, own_first(refs, 1), time_ms=time) for time in (1, 2)]
    others = round_over(first, 2)
    table.accept([*first, *twins, others[0]])
    newest = [twins[0].ref, others[0].ref, others[2].ref]
    table.accept([others[2]])
    for author in (0, 2):
        table.accept([draw_block(3, author, own_first(newest, author))])
    extra = [*newest, twins[1].ref]
    table.accept([draw_block(3, 3, own_first([first[3].ref, *extra[:3]], 3))])
    assert table.final() == [(0, (0,))]


def test_votes_are_found_again_when_bits_have_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_REBASE_BITS", 1)
    table = Table()
    old = full_rounds(COMMITTEE, 3)
    table.accept(old)
    records = [record_of(Update(key="k", digest="x"))]
    batches = (Batch(0, 1, 0, encode_records(records), ()),)
    fourth = round_over(old[8:], 4)
    parents = fourth[0].block.parents
    fourth[0] = draw_block(4, 0, parents, batches=batches)
    fifth = round_over(fourth, 5)
    table.accept([*fourth, *fifth[:3]])
    table.store.prune(3)
    table.accept([fifth[3], *round_over(fifth, 6)])
    assert table.final() == [(0, (0,))]


def test_fresh_blocks_come_in_order_of_reference() -> None:
    table = Table()
    first = carrying(1, author=2)
    table.accept(first)
    refs = [block.ref for block in first]
    batch = Batch(0, 9, 0, encode_records([record_of(Update(key="z", digest="y"))]), ())
    second = draw_block(2, 0, own_first(refs, 0), batches=(batch,))
    table.accept([second])
    everything = sum(vertex.bit for vertex in table.vertices.values())
    found = table.ballots.fresh(everything, 0)
    assert [vertex.ref for vertex in found] == [first[2].ref, second.ref]
    assert [v.ref for v in table.ballots.fresh(everything, 1)] == [second.ref]
    own = draw_block(2, 3, own_first(refs, 3))
    table.accept([own])
    assert [v.ref for v in table.ballots.fresh(everything, 0)] == [second.ref]
    voted = table.ballots.voted_by(table.vertices[own.ref])
    assert [vertex.ref for vertex in voted] == [first[2].ref]
