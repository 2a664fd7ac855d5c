"""The seam between a consensus protocol and whatever runs it: events in, one output out.

An engine is pure: no clock, socket, randomness, thread or environment. Time arrives with each
event, bytes arrive decoded and verified, and everything that the outside must do comes back in
one `Output`, whose fields are applied in the order in which they stand. The simulator, a laptop
and a cluster drive the same engine; `Replica` (see `seawall.consensus.replica`) is the only place
that knows that `persist` must be durable before anything is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from seawall.crypto.signing import SigningKey
from seawall.domain.block import Batch, Ref, VerifiedBlock
from seawall.domain.commit import CertifiedCheckpoint, Commit

ALL_PEERS = -1


class Instant(msgspec.Struct, frozen=True):
    """One moment: `elapsed_us` never goes back and drives timers; `wall_ms` is Unix time."""

    elapsed_us: int
    wall_ms: int


# --- messages between replicas -----------------------------------------------------------------


class Blocks(msgspec.Struct, frozen=True, tag="blocks"):
    """Blocks, parents before children; new ones of the sender, or an answer to `FetchBlocks`."""

    blocks: tuple[VerifiedBlock, ...]


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """Ask a peer to send its own blocks of rounds above `after_round`, and then each new one."""

    after_round: int


class FetchBlocks(msgspec.Struct, frozen=True, tag="fetch_blocks"):
    """Ask for these blocks by reference."""

    refs: tuple[Ref, ...]


class BelowGc(msgspec.Struct, frozen=True, tag="below_gc"):
    """Answer to a fetch at or below the responder's gc round.

    `commit_index` is the responder's last commit; `blocks` are all blocks that it holds from its
    last committed leader's round up.
    """

    commit_index: int
    refs: tuple[Ref, ...]
    blocks: tuple[VerifiedBlock, ...]


class FetchCommits(msgspec.Struct, frozen=True, tag="fetch_commits"):
    """Ask for certified commits from `first_index` on."""

    first_index: int


class Commits(msgspec.Struct, frozen=True, tag="commits"):
    """Consecutive commits, the last of them certified by votes of stake Q.

    `votes` are blocks whose commit votes make up that certificate: their signatures bind the
    votes to the commit digest, and the digest chain carries it back to the first commit. All
    fields are empty when the sender has nothing to offer from the asked index on.
    """

    commits: tuple[Commit, ...]
    certificate: CertifiedCheckpoint | None
    votes: tuple[VerifiedBlock, ...] = ()


class LatestQuery(msgspec.Struct, frozen=True, tag="latest_query"):
    """At start: which is your own latest block, and which is the latest of mine that you hold?"""


class LatestReply(msgspec.Struct, frozen=True, tag="latest_reply"):
    """The answer: the sender's own latest block and the latest of the asker's, if any."""

    own: VerifiedBlock | None
    yours: VerifiedBlock | None


Message = (
    Blocks | Subscribe | FetchBlocks | BelowGc | FetchCommits | Commits | LatestQuery | LatestReply
)


# --- events ------------------------------------------------------------------------------------


class Submitted(msgspec.Struct, frozen=True):
    """This site's services hand in certified batches and ordered transactions.

    Every batch is of this site and has passed `seawall.consensus.verification.check_batch`: an
    invalid one would make this site's blocks, and with them all later ones, invalid.
    """

    batches: tuple[Batch, ...] = ()
    transactions: tuple[bytes, ...] = ()


class Received(msgspec.Struct, frozen=True):
    """A peer's message; every block in it is already verified."""

    peer: int
    message: Message


class Rooted(msgspec.Struct, frozen=True):
    """The ledger's answer to a delivered commit: its tree after that commit."""

    index: int
    tree_size: int
    root: bytes


class Woken(msgspec.Struct, frozen=True):
    """The deadline that the last `Output.wake_at_us` named has passed."""


class PeerUp(msgspec.Struct, frozen=True):
    """The link to this peer works again."""

    peer: int


class PeerDown(msgspec.Struct, frozen=True):
    """The link to this peer is gone."""

    peer: int


Event = Submitted | Received | Rooted | Woken | PeerUp | PeerDown


# --- output ------------------------------------------------------------------------------------


class Record(msgspec.Struct, frozen=True):
    """One journal record: `kind` is a small stable number, `data` its canonical bytes."""

    kind: int
    data: bytes


class Send(msgspec.Struct, frozen=True):
    """A message for one peer, or for all of them (`ALL_PEERS`)."""

    peer: int
    message: Message


class Finality(msgspec.Struct, frozen=True):
    """FINAL for some updates of one batch: no later verdict can reject them.

    `positions` are places within `batch`, strictly ascending; the update at position p is the
    block's instance number `first_index` + p. `round` is the highest round accepted so far.
    """

    block: Ref
    batch: Batch
    first_index: int
    positions: tuple[int, ...]
    round: int


class Observation(msgspec.Struct, frozen=True):
    """Something worth counting, logging or checking; it changes nothing."""

    name: str
    fields: Mapping[str, int | str]


class Output(msgspec.Struct, frozen=True):
    """What the host must do, in field order."""

    persist: tuple[Record, ...] = ()
    send: tuple[Send, ...] = ()
    final: tuple[Finality, ...] = ()
    deliver: tuple[Commit, ...] = ()
    certify: tuple[CertifiedCheckpoint, ...] = ()
    observe: tuple[Observation, ...] = ()
    wake_at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a replica is: its index in the committee and the keys that it signs with.

    `coin_secret` is its share of the common coin's key (32 bytes), empty without a coin.
    """

    index: int
    consensus_key: SigningKey
    cosigner_key: SigningKey
    coin_secret: bytes = field(default=b"", repr=False)


class CommitHistory(Protocol):
    """Older commits, read back from the host's disk to help others catch up.

    A call must be quick (it runs inside the engine's step) and never raise: a commit that cannot
    be read is one that is not there.
    """

    def read(self, index: int) -> Commit | None:
        """Return the commit with this index, blocks included, or None."""
        ...


class Status(msgspec.Struct, frozen=True):
    """Where a replica stands, for people, tests and admission.

    `accepts_payload` is false under back-pressure: submit again later. `recovering` is true while
    the check at the start, or synchronising by commits, is not over.
    """

    round: int
    last_proposed_round: int
    commit_index: int
    commit_digest: bytes
    certified_index: int
    gc_round: int
    held_blocks: int
    suspended_blocks: int
    pending_payloads: int
    accepts_payload: bool
    recovering: bool


class Engine(Protocol):
    """A consensus protocol as a deterministic state machine."""

    def step(self, event: Event, now: Instant) -> Output:
        """Apply one event and return what the outside must do.

        Never raises for anything that a peer sent: such things become observations. After an
        `AssertionError` the engine is broken and must be dropped.
        """
        ...

    def status(self) -> Status:
        """Return where the replica stands; cheap, changes nothing."""
        ...
