"""The invariants of restart and catching up: they look inside an engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.codec import decode_commit_summary
from seawall.consensus.dag.records import (
    BASE_BEGIN,
    BASE_END,
    BLOCK,
    COMMIT,
    JUDGED,
    read_base,
    read_block,
    read_judged,
)
from seawall.consensus.engine import Engine, Output, Record, Status
from seawall.domain.committee import Committee
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.network import SECOND_US
from seawall.sim.onlooker import core_of, suspended

if TYPE_CHECKING:
    from seawall.domain.block import Ref
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

SUSPENDED_US_MAX = 10 * SECOND_US
"""Longer than the longest pause between two requests for one block to all peers of a site."""


@dataclass(slots=True)
class _Promise:
    """What the outside has seen of a seat, and so what its disk must hold.

    `own_round` is the round of the last own block that it proposed (one that it lost with its
    disk may come back to it from others and leave again), `index` the last commit that it
    voted for. A commit that was only handed to the own ledger is no promise: it is made again,
    and then it must be the same; `digests` are those that the ledger was handed, from the first.
    """

    own_round: int = 0
    index: int = 0
    wipes: int = 0
    digests: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a replica stands, as far as its journal alone says it."""

    round: int
    last_proposed_round: int
    commit_index: int
    commit_digest: bytes


def standing_of(status: Status) -> Standing:
    """Return what an engine says of itself."""
    return Standing(
        round=status.round,
        last_proposed_round=status.last_proposed_round,
        commit_index=status.commit_index,
        commit_digest=status.commit_digest,
    )


def standing_in(records: Sequence[Record], own: int, committee: Committee) -> Standing:
    """Return where a replica must stand after these records, by rules written a second time.

    The clock is in the highest round of any block, or one above it when blocks of stake Q are
    of that round. Records before the last base that has an end count for nothing.
    """
    ends = [place for place, record in enumerate(records) if record.kind == BASE_END]
    begins = [
        place
        for place, record in enumerate(records)
        if ends and place < ends[-1] and record.kind == BASE_BEGIN
    ]
    index, digest, own_round = 0, bytes(32), 0
    authors: dict[int, set[int]] = {1: set()}
    for place, record in enumerate(records[begins[-1] if begins else 0 :]):
        if record.kind == BASE_BEGIN and begins and place == 0:
            base = read_base(record.data)
            index, digest, own_round = base.index, base.digest, base.own_last.round
        elif record.kind in (COMMIT, JUDGED):
            is_judged = record.kind == JUDGED
            summary = (
                read_judged(record.data)[0] if is_judged else decode_commit_summary(record.data)
            )
            if summary.index > index:
                index, digest = summary.index, summary.digest
        elif record.kind == BLOCK:
            ref = read_block(record.data).ref
            authors.setdefault(ref.round, set()).add(ref.author)
            if ref.author == own:
                own_round = max(own_round, ref.round)
    highest = max(authors)
    full = committee.stake_of(sorted(authors[highest])) >= committee.quorum
    return Standing(
        round=highest + full,
        last_proposed_round=own_round,
        commit_index=index,
        commit_digest=digest,
    )


class Recovery(Checker):
    """I13: a replica rebuilt from its journal stands where it stood before the crash.

    It has every commit that it voted for, and its own chain up to the last block that it sent.
    Its clock, last own block and last commit are those that its durable records imply. Commits
    that it delivers again have the digests of the first time. At the end of a run every seat is
    rebuilt once more, and must hold just the blocks that the running one has written down.
    """

    invariant = "I13"

    def __init__(self) -> None:
        """Start without promises."""
        self._promises: dict[int, _Promise] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Compare the rebuilt engine with what its seat had promised."""
        promise = self._promises.setdefault(seat.index, _Promise())
        core = core_of(seat.engine)
        if seat.wipes != promise.wipes:
            promise = _Promise(wipes=seat.wipes, digests=promise.digests)
            self._promises[seat.index] = promise
        if core is not None:
            self._compare(world, seat, seat.engine, promise)
            self._compare_with_disk(world, seat)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Keep what this output shows to the outside."""
        promise = self._promises[seat.index]
        for commit in output.deliver:
            known = promise.digests[commit.index - 1 : commit.index]
            if known not in ([], [commit.digest]):
                raise self._broken(world, seat, f"commit {commit.index} has another digest")
            if commit.index == len(promise.digests) + 1:
                promise.digests.append(commit.digest)
        if seat.author in world.plan.twins:
            return
        for block in own_blocks(seat.author, output, proposed=True):
            promise.own_round = max(promise.own_round, block.ref.round)
            for vote in block.block.commit_votes:
                promise.index = max(promise.index, vote.index)

    def on_end(self, world: "World") -> None:
        """Rebuild every running seat from its durable records and compare."""
        for seat in world.seats:
            running = core_of(seat.engine)
            if running is None or seat.busy or seat.author in world.plan.hostile:
                continue
            again_built = seat.rebuild(world)
            rebuilt = core_of(again_built)
            assert rebuilt is not None, "the same engine as before"
            self._compare(world, seat, again_built, self._promises[seat.index])
            floor = running.gc_round
            unwritten = {block.ref for block in world.passage.accepted(running.unwritten)}
            known = {vertex.ref for vertex in running.store if vertex.round > floor} - unwritten
            again = {vertex.ref for vertex in rebuilt.store if vertex.round > floor}
            if known != again:
                detail = f"{len(known - again)} blocks are lost, {len(again - known)} are new"
                raise self._broken(world, seat, detail)

    def _compare(
        self, world: "World", seat: "Seat", engine: Engine | None, promise: _Promise
    ) -> None:
        assert engine is not None, "a seat that starts has an engine"
        status = engine.status()
        own_round = status.last_proposed_round  # the block itself may be below its gc round
        if own_round < promise.own_round:
            detail = f"own blocks end at round {own_round}, sent were {promise.own_round}"
            raise self._broken(world, seat, detail)
        if status.commit_index < promise.index:
            detail = f"commits end at {status.commit_index}, votes went up to {promise.index}"
            raise self._broken(world, seat, detail)

    def _compare_with_disk(self, world: "World", seat: "Seat") -> None:
        assert seat.engine is not None, "a seat that starts has an engine"
        believed = world.machinery.committee(world.committee)
        expected = standing_in(seat.disk.durable, seat.author, believed)
        found = standing_of(seat.engine.status())
        if found != expected:
            raise self._broken(world, seat, f"it stands at {found}, its disk says {expected}")

    def _broken(self, world: "World", seat: "Seat", detail: str) -> AssertionError:
        return world.violation(self.invariant, f"{seat.name} after replay: {detail}")


class NothingSuspended(Checker):
    """I17: no honest block stays suspended while its author is up and within reach.

    The clock of a suspended block runs only in calm times: after the plan has healed.
    """

    invariant = "I17"

    def __init__(self) -> None:
        """Start with nothing suspended."""
        self._since: dict[tuple[int, int], dict[Ref, int]] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Look at how long the seat's suspended blocks have waited."""
        del output
        core = core_of(seat.engine)
        if core is None or not len(core.pending) or world.now_us < world.plan.heal_us:
            return
        if seat.author in world.faulty:
            return
        key = (seat.index, seat.incarnation)
        before = self._since.get(key, {})
        up = {other.author for other in world.honest() if other.replica is not None}
        now = {ref: before.get(ref, world.now_us) for ref in suspended(core) if ref.author in up}
        self._since[key] = now
        for ref, since_us in now.items():
            if world.now_us - since_us > SUSPENDED_US_MAX:
                detail = f"{seat.name} suspends round {ref.round}, author {ref.author} for ever"
                raise world.violation(self.invariant, detail)
