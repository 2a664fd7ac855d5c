"""A run as text: one line per event, equal byte for byte whenever the plan is equal."""

from hashlib import sha256

from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    Event,
    FetchBlocks,
    FetchCommits,
    LatestQuery,
    LatestReply,
    Message,
    PeerDown,
    PeerUp,
    Received,
    Rooted,
    Submitted,
    Subscribe,
    Woken,
)
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.sim.plan import Fault


def short(ref: Ref) -> str:
    """Return round/author/first digits of the digest."""
    return f"{ref.round}/{ref.author}/{ref.digest.hex()[:8]}"


class Transcript:
    """Collects lines when enabled; costs one test of a flag when not."""

    def __init__(self, *, enabled: bool) -> None:
        """Start empty."""
        self.enabled = enabled
        self.lines: list[str] = []

    def note(
        self,
        now_us: int,
        seat: int | None,
        what: str,
        value: Event | Commit | Fault | None = None,
    ) -> None:
        """Add one line: virtual microseconds, seat, what happened."""
        if not self.enabled:
            return
        where = "world" if seat is None else f"seat {seat}"
        detail = "" if value is None else f" {describe(value)}"
        self.lines.append(f"{now_us:>12} {where} {what}{detail}")

    def text(self) -> str:
        """Return all lines, each ended by a newline."""
        return "".join(f"{line}\n" for line in self.lines)

    def digest(self) -> str:
        """Return the SHA-256 of the text, in hex."""
        return sha256(self.text().encode()).hexdigest()


def describe(value: Event | Commit | Fault) -> str:
    """Return one line about an event, a commit or a fault."""
    match value:
        case Received(peer=peer, message=message):
            return f"from {peer}: {_message(message)}"
        case Submitted(batches=batches, transactions=transactions):
            numbers = [(batch.site, batch.number) for batch in batches]
            return f"submitted batches {numbers}, {len(transactions)} transactions"
        case Rooted(index=index, tree_size=size, root=root):
            return f"rooted {index}: size {size} root {root.hex()[:8]}"
        case PeerUp(peer=peer):
            return f"up {peer}"
        case PeerDown(peer=peer):
            return f"down {peer}"
        case Woken():
            return "woken"
        case Commit():
            blocks = " ".join(short(block.ref) for block in value.blocks)
            return f"{value.index} leader {short(value.leader)} clock {value.clock_ms}: {blocks}"
        case _:
            return repr(value)


def _message(message: Message) -> str:
    match message:
        case Blocks(blocks=blocks):
            return f"blocks {_refs(blocks)}"
        case BelowGc(commit_index=index, refs=refs, blocks=blocks):
            asked = " ".join(short(ref) for ref in refs)
            return f"below gc of commit {index}: {asked}; blocks {_refs(blocks)}"
        case FetchBlocks(refs=refs):
            return f"fetch {' '.join(short(ref) for ref in refs)}"
        case Subscribe(after_round=after):
            return f"subscribe after {after}"
        case FetchCommits(first_index=first):
            return f"fetch commits from {first}"
        case Commits(commits=commits, certificate=certificate):
            indices = [commit.index for commit in commits]
            return f"commits {indices} certified {certificate is not None}"
        case LatestQuery():
            return "latest?"
        case LatestReply(own=own, yours=yours):
            return f"latest own {_maybe(own)} yours {_maybe(yours)}"


def _refs(blocks: tuple[VerifiedBlock, ...]) -> str:
    return " ".join(short(block.ref) for block in blocks)


def _maybe(block: VerifiedBlock | None) -> str:
    return "none" if block is None else short(block.ref)
