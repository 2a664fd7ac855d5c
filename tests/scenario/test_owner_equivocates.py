"""An owner signs two updates under one number: at most one passes, and nobody else is held up."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from seawall.consensus.engine import Output, Submitted
from seawall.crypto.hashing import sha256
from seawall.domain.block import UpdateRecord
from seawall.domain.commit import Judgement
from seawall.sim.checking import Checker
from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import Plan
from seawall.sim.workload import certified_batch, update_record
from seawall.sim.world import World
from tests.scenario.staging import stage

if TYPE_CHECKING:
    from seawall.sim.seat import Seat

OWNER, NUMBER = 7, 3
PLAN = Plan(seed=5, commits=60, submit_every_us=0)


@dataclass
class Verdicts(Checker):
    """Keeps what each seat stated FINAL, and every verdict, by digest."""

    final: dict[int, list[bytes]] = field(default_factory=dict)
    told: dict[int, list[tuple[bytes, Judgement, int]]] = field(default_factory=dict)

    def on_output(self, world: World, seat: "Seat", output: Output) -> None:
        """Note the output's statements."""
        del world
        for one in output.final:
            digests = _digests(one.batch.records_bytes, one.positions)
            self.final.setdefault(seat.index, []).extend(digests)
        for commit in output.deliver:
            for verdict in commit.verdicts:
                for digest in _digests(verdict.batch.records_bytes, verdict.positions):
                    line = (digest, verdict.judgement, verdict.rule)
                    self.told.setdefault(seat.index, []).append(line)


def _digests(records: bytes, positions: tuple[int, ...]) -> list[bytes]:
    return [records[131 * at + 32 : 131 * at + 64] for at in positions]


def rival(name: bytes) -> UpdateRecord:
    """Return another update under the one number."""
    record = update_record(OWNER, NUMBER)
    return structs.replace(record, update_id=sha256(name), payload_digest=sha256(b"of " + name))


def submit(world: World, seat: int, number: int, *records: UpdateRecord) -> None:
    """Hand a batch to a site."""
    batch = certified_batch(world.committee, seat, number, records)
    world.push(world.seats[seat], Submitted(batches=(batch,)))


def watched(engine: str, plan: Plan = PLAN) -> tuple[World, Verdicts]:
    """Return a world under way, and what it says of updates."""
    world = stage(plan, engine)
    seen = Verdicts()
    world.checkers = (*world.checkers, seen)
    world.advance(500 * MILLISECOND_US)
    return world, seen


def test_at_most_one_of_three_rivals_passes_and_others_are_final(engine: str) -> None:
    world, seen = watched(engine)
    rivals = [rival(b"%d" % at) for at in range(3)]
    fine = update_record(1, 1)
    for seat, record in enumerate(rivals):
        submit(world, seat, 1, record, *([fine] if seat == 2 else []))
    world.run()
    assert seen.told[0] == seen.told[1] == seen.told[2] == seen.told[3]
    verdicts = seen.told[0]
    assert (fine.update_id, Judgement.ACCEPT, 1) in verdicts
    ids = {record.update_id for record in rivals}
    accepted = [digest for digest, judgement, _ in verdicts if judgement is Judgement.ACCEPT]
    assert len(ids.intersection(accepted)) <= 1
    judged = [digest for digest, _, _ in verdicts]
    assert sorted(judged) == sorted([*ids, fine.update_id])
    final = [digest for digests in seen.final.values() for digest in digests]
    assert final.count(fine.update_id) == 4
    assert ids.intersection(final) <= set(accepted)


def test_who_comes_first_wins_and_a_later_rival_is_rejected_by_all(engine: str) -> None:
    world, seen = watched(engine)
    first, second = rival(b"first"), rival(b"second")
    submit(world, 0, 1, first)
    world.advance(2 * SECOND_US)
    submit(world, 1, 1, second)
    world.run()
    for seat in range(4):
        assert seen.told[seat] == [
            (first.update_id, Judgement.ACCEPT, 1),
            (second.update_id, Judgement.REJECT, 2),
        ]
        assert seen.final[seat] == [first.update_id]


def test_the_same_bytes_at_two_sites_are_one_update(engine: str) -> None:
    world, seen = watched(engine)
    record = rival(b"once")
    submit(world, 0, 1, record)
    submit(world, 1, 1, record)
    world.run()
    assert seen.told[2] == [
        (record.update_id, Judgement.ACCEPT, 1),
        (record.update_id, Judgement.DUPLICATE, 1),
    ]


def test_an_expired_update_is_rejected_and_its_number_stays_free(engine: str) -> None:
    world, seen = watched(engine)
    late = structs.replace(rival(b"late"), expires_height=1)
    fresh = rival(b"fresh")
    submit(world, 0, 1, late)
    world.advance(2 * SECOND_US)
    submit(world, 1, 1, fresh)
    world.run()
    told = [(late.update_id, Judgement.REJECT, 2), (fresh.update_id, Judgement.ACCEPT, 1)]
    assert seen.told[3] == told


@pytest.mark.parametrize("wipe", [False, True])
def test_a_site_that_restarts_after_its_vote_never_votes_for_the_rival(
    engine: str, *, wipe: bool
) -> None:
    plan = replace(PLAN, limit_us=240 * SECOND_US)
    world, seen = watched(engine, plan)
    world.faulty = frozenset([3]) if wipe else frozenset()
    first, second = rival(b"first"), rival(b"second")
    # Sites 0 and 3 lock the first; it cannot pass before 1 and 2 are back.
    world.crash(1, restart_after_us=None)
    world.crash(2, restart_after_us=None)
    submit(world, 0, 1, first)
    world.advance(1500 * MILLISECOND_US)
    world.crash(3, restart_after_us=20 * MILLISECOND_US, wipe=wipe)
    world.crash(0, restart_after_us=20 * MILLISECOND_US)
    world.start(1)
    world.start(2)
    submit(world, 1, 1, second)
    submit(world, 2, 1, second)
    world.run()
    verdicts = seen.told[1]
    accepted = [digest for digest, judgement, _ in verdicts if judgement is Judgement.ACCEPT]
    assert len(accepted) <= 1
