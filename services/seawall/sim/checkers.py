"""The invariants of safety, checked after every step of every seat.

Numbers are those of docs/protocol.md, section 9. Checkers look from outside: at what a replica
persists, sends, delivers and reports. Only twins' authors, lost disks and hostile seats are
excused, and only from what their fault makes impossible.
"""

from typing import TYPE_CHECKING

from seawall.consensus.engine import Output
from seawall.crypto.hashing import sha256
from seawall.domain.block import GENESIS_ROUND, Ref, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.sim.checking import Checker, own_blocks
from seawall.sim.union import Slot, UnionDag

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World


class OneBlockPerRound(Checker):
    """I1: an honest author sends at most one own block per (epoch, round), across restarts."""

    invariant = "I1"

    def __init__(self) -> None:
        """Start without blocks."""
        self._own: dict[tuple[int, int, int], Ref] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Compare every own block that leaves with the one known for its round."""
        if seat.author in world.faulty:
            return
        for block in own_blocks(seat.author, output):
            key = (block.block.epoch, block.ref.round, seat.author)
            known = self._own.setdefault(key, block.ref)
            if known != block.ref:
                detail = f"{seat.name} signed two blocks of round {block.ref.round}"
                raise world.violation(self.invariant, detail)


class CommonPrefix(Checker):
    """I7: commits are one sequence everywhere, complete above gc_round, no block twice.

    The first seat to deliver an index has its commit checked in full; every other one must
    deliver an equal commit. Deliveries of a seat are numbered without gaps; repetitions after a
    restart are equal (the second half of I13).
    """

    invariant = "I7"

    def __init__(self) -> None:
        """Start before the first commit."""
        self._commits: list[Commit] = []
        self._delivered: dict[Ref, int] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Check every delivery of an honest seat."""
        if not output.deliver or seat.author in world.faulty:
            return
        height = seat.ledger.height
        for commit in output.deliver:
            if commit.index > height + 1:
                raise world.violation(
                    self.invariant, f"{seat.name} delivers {commit.index} after {height}"
                )
            height = max(height, commit.index)
            if commit.index > len(self._commits):
                problem = self._first(commit)
            else:
                problem = self._repeated(commit)
            if problem is not None:
                detail = f"{seat.name}, commit {commit.index}: {problem}"
                raise world.violation(self.invariant, detail)

    def _repeated(self, commit: Commit) -> str | None:
        known = self._commits[commit.index - 1]
        if known.digest != commit.digest:
            return "its digest differs from another seat's"
        if [b.ref for b in known.blocks] != [b.ref for b in commit.blocks]:
            return "equal digests, different blocks"
        return None

    def _first(self, commit: Commit) -> str | None:
        previous = self._commits[-1] if self._commits else None
        self._commits.append(commit)
        if previous is not None:
            if commit.previous_digest != previous.digest:
                return "does not extend the commit before it"
            if commit.leader.round < previous.leader.round:
                return "its leader is of an earlier round than the one before"
            if commit.clock_ms < previous.clock_ms:
                return "the ledger clock went back"
        return self._order_problem(commit) or self._content_problem(commit)

    def _order_problem(self, commit: Commit) -> str | None:
        digest = commit.leader.digest
        keys = [(b.ref.round, sha256(digest + b.ref.digest)) for b in commit.blocks]
        if keys != sorted(keys):
            return "blocks are out of order"
        if commit.leader not in [block.ref for block in commit.blocks]:
            return "the leader is not among its blocks"
        return None

    def _content_problem(self, commit: Commit) -> str | None:
        for block in commit.blocks:
            if block.ref in self._delivered:
                return f"delivers a block of commit {self._delivered[block.ref]} again"
            if block.ref.round <= commit.gc_round:
                return "delivers a block at or below gc_round"
            self._delivered[block.ref] = commit.index
        for block in commit.blocks:
            for parent in block.block.parents:
                floor = max(commit.gc_round, GENESIS_ROUND)
                if parent.round > floor and parent not in self._delivered:
                    return f"an ancestor of round {parent.round} is missing"
        return None


class OwnChain(Checker):
    """I2: whatever a replica accepts names its author's previous block first, and holds it."""

    invariant = "I2"

    def __init__(self) -> None:
        """Start without blocks."""
        self._held: dict[int, set[Ref]] = {}
        self._gc_round: dict[int, int] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Hold what the disk kept, no more: a crash may have lost the rest."""
        self._held[seat.index] = {block.ref for block in world.accepted}
        self._gc_round.setdefault(seat.index, 0)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Check every block that the seat accepts."""
        if seat.author in world.plan.hostile:
            return
        held = self._held[seat.index]
        if output.deliver:
            last = output.deliver[-1].leader.round - world.plan.parameters.gc_depth
            self._gc_round[seat.index] = max(self._gc_round[seat.index], last)
        for block in world.accepted:
            held.add(block.ref)
            problem = self._problem(block, held, self._gc_round[seat.index])
            if problem is not None:
                detail = f"{seat.name} accepts a block of author {block.ref.author}: {problem}"
                raise world.violation(self.invariant, detail)

    def _problem(self, block: VerifiedBlock, held: set[Ref], gc_round: int) -> str | None:
        first, *others = block.block.parents
        if first.author != block.ref.author:
            return "its first parent is another author's"
        if any(parent.author == first.author for parent in others):
            return "two parents are its own"
        for parent in block.block.parents:
            if parent.round >= block.ref.round:
                return "a parent is not of an earlier round"
            if parent.round > max(gc_round, GENESIS_ROUND) and parent not in held:
                return f"a parent of round {parent.round} is missing"
        return None


class CertifiedOnce(Checker):
    """I3: in the union of all replicas at most one block of a slot is certified.

    What a certificate is, is judged by the quorum that the replicas believe in.
    """

    invariant = "I3"

    def __init__(self) -> None:
        """Start with an empty union."""
        self._union: UnionDag | None = None

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Add what became durable in a step that a crash cut short."""
        self._add(world, seat)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Add what is new, and look at equivocated slots that it may certify."""
        del output
        self._add(world, seat)

    def _add(self, world: "World", seat: "Seat") -> None:
        if self._union is None:
            believed = world.machinery.committee(world.committee)
            self._union = UnionDag(believed, world.plan.parameters.wave_length)
        if seat.author in world.plan.hostile:
            return
        for block in world.accepted:
            if block.ref not in self._union:
                self._union.add(block)
                self._look(world, self._union, block.ref)

    def _look(self, world: "World", union: UnionDag, ref: Ref) -> None:
        slots = [ref.slot]
        below = ref.round - world.plan.parameters.wave_length + 1
        slots.extend((below, author) for author in range(world.committee.size))
        for slot in slots:
            if len(union.at_slot(slot)) > 1 and len(union.certified(slot)) > 1:
                detail = f"two blocks of round {slot[0]}, author {slot[1]}, are certified"
                raise world.violation(self.invariant, detail)


class OneVerdict(Checker):
    """I6: a slot's verdict is the same at every replica, and never changes.

    Verdicts of a seat come in slot order without a commit between them that is not theirs; how a
    slot was decided, directly or not, may differ.
    """

    invariant = "I6"

    def __init__(self) -> None:
        """Start without verdicts."""
        self._verdicts: dict[Slot, str] = {}

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Compare every verdict that an honest seat reports."""
        if seat.author in world.faulty:
            return
        for slot, digest, _ in verdicts(output):
            known = self._verdicts.setdefault(slot, digest)
            if known != digest:
                detail = f"{seat.name} decides round {slot[0]}, author {slot[1]} differently"
                raise world.violation(self.invariant, detail)


class DirectVerdicts(Checker):
    """I4: where one replica skips a slot directly, no block of it is certified anywhere.

    And where one commits a leader directly, it is certified in the union, by blocks of stake Q.
    """

    invariant = "I4"

    def __init__(self) -> None:
        """Start with an empty union."""
        self._blocks: dict[Ref, VerifiedBlock] = {}
        self._direct: dict[Slot, set[str]] = {}

    def on_start(self, world: "World", seat: "Seat") -> None:
        """Keep what became durable in a step that a crash cut short."""
        if seat.author not in world.plan.hostile:
            self._blocks.update((block.ref, block) for block in world.accepted)

    def on_output(self, world: "World", seat: "Seat", output: Output) -> None:
        """Keep what was accepted and what was decided directly."""
        if seat.author in world.plan.hostile:
            return
        for block in world.accepted:
            self._blocks.setdefault(block.ref, block)
        for slot, digest, direct in verdicts(output):
            if direct and seat.author not in world.faulty:
                self._direct.setdefault(slot, set()).add(digest)

    def on_end(self, world: "World") -> None:
        """Judge every direct verdict by the union of the whole run."""
        union = UnionDag(world.committee, world.plan.parameters.wave_length)
        for block in self._blocks.values():
            union.add(block)
        for slot, digests in self._direct.items():
            certified = [ref.digest.hex() for ref in union.certified(slot)]
            for digest in sorted(digests):
                if certified != ([digest] if digest else []):
                    what = "commits" if digest else "skips"
                    detail = (
                        f"a replica {what} round {slot[0]}, author {slot[1]} directly, "
                        f"yet {len(certified)} of its blocks are certified"
                    )
                    raise world.violation(self.invariant, detail)


def verdicts(output: Output) -> list[tuple[Slot, str, bool]]:
    """Return (slot, digest or nothing for a skip, direct) of every verdict in an output."""
    found: list[tuple[Slot, str, bool]] = []
    for seen in output.observe:
        if seen.name == "slot_decided":
            fields = seen.fields
            slot = (int(fields["round"]), int(fields["author"]))
            found.append((slot, str(fields["digest"]), bool(fields["direct"])))
    return found
