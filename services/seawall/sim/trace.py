"""Exports what one seat accepted and concluded, for programs that share nothing with this one.

The format is described in docs/simulator.md: blocks in the order in which the seat accepted
them, the leaders of every round, and the commits, verdicts and FINAL statements that it made.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from seawall.codec import decode_records
from seawall.consensus.engine import Output
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.checking import Checker
from seawall.sim.onlooker import core_of
from seawall.sim.union_votes import Place, UnionVotes

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

FORMAT: Final = 1
COIN_SHARES_MAX: Final = 8

Revealed: TypeAlias = Mapping[int, Sequence[int]]
"""Leaders by round, as coins named them."""


@dataclass(slots=True)
class Traced:
    """What a trace tells of one site: blocks as accepted, what coins named, what it concluded.

    `final` gives every instance that is FINAL the numbers of blocks that were accepted before the
    step that stated it, and after it.
    """

    committee: Committee
    parameters: ConsensusParameters
    blocks: list[VerifiedBlock] = field(default_factory=list)
    leaders: Revealed = field(default_factory=dict)
    revealed: dict[int, Sequence[int]] = field(default_factory=dict)
    commits: dict[int, Commit] = field(default_factory=dict)
    final: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the trace as plain values."""
        parameters = self.parameters
        events, numbers = self._events()
        commits = [self.commits[index] for index in sorted(self.commits)]
        return {
            "format": FORMAT,
            "parameters": {
                "stakes": [member.stake for member in self.committee.members],
                "w": parameters.wave_length,
                "W": parameters.accept_window,
                "D": parameters.finality_delay,
                "gc_depth": parameters.gc_depth,
                "epoch": self.committee.epoch,
                "coin_shares_max": COIN_SHARES_MAX,
            },
            "leaders": {str(number): list(one) for number, one in self.leaders.items()},
            "events": events,
            "expected": {
                "commits": [_commit(commit) for commit in commits],
                "verdicts": [one for commit in commits for one in _verdicts(commit)],
                "final": self._final(numbers),
                "burnt": None,
            },
        }

    def json(self) -> bytes:
        """Return the trace as JSON."""
        return msgspec.json.encode(self.document())

    def _final(self, numbers: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """Return all statements, each with the first event of its step after which it is true.

        That is the block with the last certificate, as votes counted here anew tell. What an
        ACCEPT made FINAL counts from the end of its step.
        """
        votes = UnionVotes()
        votes.begin(self.committee, self.parameters)
        open_, certified, highest = dict(self.final), dict[Place, int](), [0]
        for count, block in enumerate(self.blocks, 1):
            highest.append(max(highest[-1], block.ref.round))
            votes.add([block])
            for place in [place for place in open_ if votes.is_final(place)]:
                certified[place] = count
                del open_[place]
        found: list[dict[str, Any]] = []
        for (ref, index), (before, after) in self.final.items():
            count = max(before, certified.get((ref, index), after))
            event = numbers[count][before < certified.get((ref, index), after + 1) <= after]
            stated = {"block": _ref(ref), "index": index, "round": highest[count], "event": event}
            found.append(stated)
        return found

    def _events(self) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
        """Return all events, and by number of accepted blocks two numbers of events.

        The first is that of the last event before the next block, the second that of the block.

        A coin becomes known with the block that brings the last share that it takes.
        """
        events: list[dict[str, Any]] = []
        numbers = [(0, 0)]
        holders: dict[int, set[int]] = {}
        waiting = dict(self.revealed)
        for block in self.blocks:
            events.append({"block": _block(block)})
            own_number = len(events)
            shares = block.block.coin_shares
            for number in range(shares.first_round, shares.first_round + len(shares.shares)):
                known = holders.setdefault(number, set())
                known.add(block.ref.author)
                coin = self.committee.coin
                if coin is not None and len(known) >= coin.threshold and number in waiting:
                    authors = list(waiting.pop(number))
                    events.append({"leaders": {"round": number, "authors": authors}})
            numbers.append((len(events), own_number))
        return events, numbers


class TraceRecorder(Checker):
    """Watches one seat; hand it to a world among the checkers, then ask for `trace`.

    After a restart it begins anew, with what the disk kept: that is all that the seat knows then.
    """

    def __init__(self, seat: int) -> None:
        """Watch this seat."""
        self._seat = seat
        self._written: list[VerifiedBlock] = []
        self._known: dict[Ref, None] = {}
        self._open: list[VerifiedBlock] = []
        self._revealed: dict[int, Sequence[int]] = {}
        self._commits: dict[int, Commit] = {}
        self._final: dict[Place, tuple[int, int]] = {}
        self.steps: list[int] = []
        """How many blocks were accepted at the end of each step."""

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Begin with what the disk kept, even of a step that a crash cut short."""
        if seat.index != self._seat:
            return
        self.__init__(self._seat)  # type: ignore[misc]  # as new
        self._keep(world.accepted)
        self.steps.append(len(self._written))

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Keep what was accepted, decided and stated."""
        if seat.index != self._seat:
            return
        before = len(self._written) + len(self._open)
        self._keep(world.accepted)
        core = core_of(seat.engine)
        unwritten = () if core is None else world.passage.accepted(core.unwritten)
        self._open = [block for block in unwritten if block.ref not in self._known]
        for seen in output.observe:
            if seen.name == "coin_revealed":
                authors = [int(author) for author in str(seen.fields["leaders"]).split()]
                self._revealed[int(seen.fields["round"])] = authors
        for commit in output.deliver:
            self._commits.setdefault(commit.index, commit)
        after = len(self._written) + len(self._open)
        self.steps.append(after)
        for statement in output.final:
            for position in statement.positions:
                place = statement.block, statement.first_index + position
                self._final.setdefault(place, (before, after))

    def _keep(self, blocks: Iterable[VerifiedBlock]) -> None:
        for block in blocks:
            if block.ref not in self._known:
                self._known[block.ref] = None
                self._written.append(block)

    def traced(self, world: "World") -> Traced:
        """Return what this seat saw and concluded since it started last."""
        highest = max((ref.round for ref in self._known), default=0)
        rounds = range(1, highest + 1) if world.committee.coin is None else ()
        leaders = world.machinery.leaders
        return Traced(
            committee=world.committee,
            parameters=world.plan.parameters,
            blocks=[*self._written, *self._open],
            leaders={number: leaders(world.committee, world.plan, number) for number in rounds},
            revealed=self._revealed,
            commits=self._commits,
            final=self._final,
        )

    def trace(self, world: "World") -> dict[str, Any]:
        """Return the trace as plain values."""
        return self.traced(world).document()

    def json(self, world: "World") -> bytes:
        """Return the trace as JSON."""
        return self.traced(world).json()


def _ref(ref: Ref) -> list[int | str]:
    return [ref.round, ref.author, ref.digest.hex()]


def _block(block: VerifiedBlock) -> dict[str, Any]:
    content = block.block
    return {
        "ref": _ref(block.ref),
        "parents": [_ref(parent) for parent in content.parents],
        "batches": [
            [
                [record.contributor.hex(), record.seq, record.update_id.hex()]
                for record in decode_records(batch.records_bytes)
            ]
            for batch in content.batches
        ],
        "rejects": [[_ref(reject.target), list(reject.indices)] for reject in content.rejects],
        "vote_cutoff": content.vote_cutoff,
        "closing": bool(content.flags),
        "epoch": content.epoch,
        "coin_shares": [content.coin_shares.first_round, len(content.coin_shares.shares)],
    }


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "index": commit.index,
        "leader": _ref(commit.leader),
        "gc_round": commit.gc_round,
        "delivered": [_ref(block.ref) for block in commit.blocks],
    }


def _verdicts(commit: Commit) -> list[dict[str, Any]]:
    return [
        {
            "block": _ref(verdict.block),
            "index": verdict.first_index + position,
            "verdict": verdict.judgement.name,
            "commit": commit.index,
        }
        for verdict in commit.verdicts
        for position in verdict.positions
    ]
