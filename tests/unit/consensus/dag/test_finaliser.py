"""The finaliser against its slow model, and the rules one by one."""

from random import Random

import msgspec
import pytest

from seawall.codec import encode_records
from seawall.consensus.dag import store as store_module
from seawall.consensus.dag.finaliser import Finaliser
from seawall.consensus.dag.instances import instances_in
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.domain.block import Batch, RejectSet, VerifiedBlock
from seawall.domain.commit import Judgement, Verdict
from seawall.sim.fastpath.drawing import Draw
from seawall.sim.fastpath.rules import Rules, Scope
from seawall.sim.fastpath.scenarios import SCENARIOS
from seawall.sim.fastpath.script import Stage
from tests.model.stored import stored
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, full_rounds, own_first
from tests.unit.consensus.dag.modelled import (
    drawn,
    records_of,
    told_by,
    told_by_the_model,
)


def compare(stage: Stage, delay: int) -> int:
    """Compare the verdicts of all sites of a finished run; return how many there were."""
    count = 0
    for site in stage.sites.values():
        expected = told_by_the_model(site)
        assert list(told_by(site, delay)) == expected
        count += len(expected)
    return count


@pytest.mark.parametrize("seed", range(18))
def test_verdicts_equal_the_models_on_random_runs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_REBASE_BITS", 16)
    draw = drawn(seed)
    compare(draw.stage, draw.scope.deadline)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_verdicts_equal_the_models_on_stored_counterexamples(name: str) -> None:
    script = stored(name)
    stage = Stage(script.scope, script.faulty, Rules(), ())
    for action in script.actions:
        stage.act(action)
    compare(stage, script.scope.deadline)


def test_the_random_runs_reach_every_rule() -> None:
    rules: dict[tuple[str, int], int] = {}
    for seed in range(30):
        scope = Scope(gc_depth=7, leader_seed=seed)
        draw = Draw(Random(seed), scope, Rules())
        draw.run()
        for site in draw.stage.sites.values():
            for _, _, judgement, rule in told_by(site, scope.deadline):
                rules[judgement, rule] = rules.get((judgement, rule), 0) + 1
    assert sorted(rules) == [
        ("ACCEPT", 1),
        ("DUPLICATE", 1),
        ("REJECT", 2),
        ("REJECT", 3),
        ("REJECT", 4),
    ]


def two_batches() -> tuple[Batch, ...]:
    """Return a batch of three updates and one of two, all of different keys."""
    records = records_of(5)
    first, second = encode_records(records[:3]), encode_records(records[3:])
    return Batch(0, 1, 0, first, ()), Batch(0, 2, 0, second, ())


def over_a_carrier(
    rejects: dict[int, tuple[int, ...]], cutoffs: dict[int, int] | None = None
) -> list[Vertex]:
    """Return two full rounds: author 0 carries two batches in round 1, all vote in round 2."""
    committee = make_committee()
    store = BlockStore()
    plain = full_rounds(committee, 1)
    carrier = draw_block(1, 0, plain[0].block.parents, batches=two_batches())
    below = [carrier, *plain[1:]]
    refs = [block.ref for block in below]
    voting: list[VerifiedBlock] = []
    for author in range(4):
        listed = rejects.get(author)
        sets = () if listed is None else (RejectSet(carrier.ref, listed),)
        drawn = draw_block(2, author, own_first(refs, author), rejects=sets)
        cutoff = (cutoffs or {}).get(author, 0)
        content = msgspec.structs.replace(drawn.block, vote_cutoff=cutoff)
        voting.append(msgspec.structs.replace(drawn, block=content))
    return [store.add(block) for block in (*below, *voting)]


def told(verdicts: tuple[Verdict, ...]) -> list[tuple[int, tuple[int, ...], Judgement, int]]:
    """Return what the verdicts say, without blocks and batches."""
    return [(v.first_index, v.positions, v.judgement, v.rule) for v in verdicts]


def finaliser() -> Finaliser:
    """Return a finaliser of four equal sites with D = 3."""
    return Finaliser(StakeTable(make_committee()), 3)


def test_runs_of_equal_judgement_in_one_batch_are_one_verdict() -> None:
    # Sites 1 to 3 reject instance 1, index 99 does not exist.
    vertices = over_a_carrier({1: (1, 99), 2: (1,), 3: (1,)})
    assert told(finaliser().on_commit(vertices, 2, 0)) == [
        (0, (0,), Judgement.ACCEPT, 1),
        (0, (1,), Judgement.REJECT, 2),
        (0, (2,), Judgement.ACCEPT, 1),
        (3, (0, 1), Judgement.ACCEPT, 1),
    ]


def test_votes_below_a_quorum_and_abstentions_leave_instances_pending() -> None:
    vertices = over_a_carrier({1: (4,), 2: (4,)}, {3: 1})
    judge = finaliser()
    assert told(judge.on_commit(vertices, 2, 0)) == [
        (0, (0, 1, 2), Judgement.ACCEPT, 1),
        (3, (0,), Judgement.ACCEPT, 1),
    ]
    before = judge.digest
    assert judge.on_commit((), 3, 0) == ()
    assert judge.digest == before
    assert told(judge.on_commit((), 4, 1)) == [(3, (1,), Judgement.REJECT, 4)]
    assert judge.digest != before
    assert judge.on_commit((), 5, 2) == ()


def test_a_deadline_closes_contested_keys_and_leaves_others_to_the_gc_round() -> None:
    vertices = over_a_carrier({1: (0, 1), 2: (0, 1)}, {3: 1})
    judge = finaliser()
    assert judge.pending_count == 0
    judge.on_commit(vertices, 2, 0)
    assert judge.pending_count == 2
    contributor, _, seq, _ = vertices[0].instances[0]
    assert judge.owners[contributor].deliver(seq, bytes(32))
    assert told(judge.on_commit((), 5, 0)) == [(0, (0,), Judgement.REJECT, 3)]
    assert judge.is_shut(contributor, seq)
    assert not judge.is_shut(bytes(32), seq)
    assert told(judge.on_commit((), 6, 1)) == [(0, (1,), Judgement.REJECT, 4)]
    assert judge.is_idle


def test_an_accept_after_a_reject_leaves_nothing_unusual_behind() -> None:
    vertices = over_a_carrier({})
    judge, plain = finaliser(), finaliser()
    for one in (judge, plain):
        one.on_commit(vertices[:4], 1, 0)
    contributor, _, seq, _ = vertices[0].instances[0]
    judge.owners[contributor].settle(seq)
    for one in (judge, plain):
        assert one.on_commit(vertices[4:], 2, 0)
    assert judge.owners[contributor].is_quiet
    assert judge.digest == plain.digest


def test_the_digest_stays_while_there_is_nothing_to_judge_and_tells_tallies_apart() -> None:
    judge = finaliser()
    assert judge.on_commit(over_a_carrier({})[1:4], 1, 0) == ()
    assert judge.digest == b""
    digests: dict[bytes, None] = {}
    cases: list[dict[int, tuple[int, ...]]] = [{}, {1: (0,)}, {2: (0,)}, {1: (0, 1)}]
    for rejects in cases:
        one, again = finaliser(), finaliser()
        vertices = over_a_carrier(rejects)[:6]
        assert one.on_commit(vertices, 2, 0) == again.on_commit(vertices, 2, 0) == ()
        assert one.digest == again.digest
        digests[one.digest] = None
    # The vote of site 2 has not been delivered in any of these.
    assert len(digests) == 3


def test_updates_are_read_from_all_batches_in_stored_order() -> None:
    expected = records_of(5)
    assert instances_in(two_batches()) == tuple(
        [(one.contributor, one.update_id, one.seq, one.expires_height) for one in expected]
    )
    assert instances_in(()) == ()
