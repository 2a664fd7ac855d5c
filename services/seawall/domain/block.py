"""Blocks of the DAG and what they carry: references to updates, never tensors.

A block is one vertex, by one author in one round. Its canonical bytes are defined by
`seawall.codec`; its digest is SHA-256 over a tag and the unsigned bytes, and the author's
signature covers its reference: round, author and digest.
"""

from enum import IntEnum, IntFlag

import msgspec

GENESIS_ROUND = 0


class Ref(msgspec.Struct, frozen=True, order=True):
    """A block named by its slot (round, author) and its digest (32 bytes)."""

    round: int
    author: int
    digest: bytes

    @property
    def slot(self) -> tuple[int, int]:
        """Return the (round, author) pair that honest authors fill once."""
        return (self.round, self.author)


class UpdateKind(IntEnum):
    """What an update's payload is to the cut that selects it."""

    DELTA = 0
    ROOT = 1


class UpdateRecord(msgspec.Struct, frozen=True):
    """What a block says of one update: enough to derive every ledger entry without its bytes.

    `contributor`, `update_id` and `payload_digest` have 32 bytes; `task` is an index into the
    tasks of genesis; `base_version` is the model version that the delta starts from;
    `expires_height` is the last commit index at which the update may be accepted;
    `payload_size_bytes` the length of the safetensors file.
    """

    contributor: bytes
    update_id: bytes
    payload_digest: bytes
    task: int
    kind: UpdateKind
    seq: int
    base_version: int
    expires_height: int
    payload_size_bytes: int
    num_examples: int


class Attestation(msgspec.Struct, frozen=True):
    """One site's signature (64 bytes, consensus key) over a batch statement."""

    author: int
    signature: bytes


class Batch(msgspec.Struct, frozen=True):
    """Updates attested together: one site's numbered list with a certificate of V stake.

    `root` is the tagged SHA-256 over the canonical bytes of every record; the attestations sign
    (origin, epoch, site, number, pinned height, root). `records_bytes` are those canonical bytes
    (fixed-width records, see `seawall.codec`), kept as received so that the hot path handles one
    object per batch.
    """

    site: int
    number: int
    pinned_height: int
    records_bytes: bytes
    certificate: tuple[Attestation, ...]


class CommitVote(msgspec.Struct, frozen=True):
    """A site's word on a commit and on the tree that its ledger reached with it.

    `cosignature` is the C2SP cosignature/v1 blob (8-byte time and 64-byte Ed25519 signature) over
    the checkpoint of (`tree_size`, `root`) by the site's cosigner key; its time is the ledger
    clock in seconds.
    """

    index: int
    commit_digest: bytes
    tree_size: int
    root: bytes
    cosignature: bytes


class RejectSet(msgspec.Struct, frozen=True):
    """Explicit fast-path rejects for one target block, indices strictly ascending."""

    target: Ref
    indices: tuple[int, ...]


class CoinShares(msgspec.Struct, frozen=True):
    """Threshold shares of the common coin for consecutive rounds from `first_round` on."""

    first_round: int = 0
    shares: tuple[bytes, ...] = ()


class BlockFlags(IntFlag):
    """Bits a block may set."""

    NONE = 0
    CLOSING = 1


class Block(msgspec.Struct, frozen=True):
    """The unsigned content of one DAG vertex.

    `timestamp_ms` is the author's wall clock in Unix milliseconds; it is never compared with
    another clock for validity. `parents[0]` is the author's own previous block. `transactions`
    are ordered transactions as canonical JSON bytes.
    """

    epoch: int
    round: int
    author: int
    timestamp_ms: int
    flags: BlockFlags
    parents: tuple[Ref, ...]
    batches: tuple[Batch, ...]
    transactions: tuple[bytes, ...]
    rejects: tuple[RejectSet, ...]
    vote_cutoff: int
    coin_shares: CoinShares
    commit_votes: tuple[CommitVote, ...]


class SignedBlock(msgspec.Struct, frozen=True):
    """A decoded block whose signatures nobody has checked yet.

    `raw` is exactly what was received (unsigned bytes and signature); `ref` is computed from it.
    """

    block: Block
    ref: Ref
    raw: bytes
    signature: bytes


class VerifiedBlock(msgspec.Struct, frozen=True):
    """A block that is valid by its bytes and the committee alone.

    `valid_votes` are those of `block.commit_votes` whose cosignature verifies; others are kept in
    the block, ignored, and count as evidence against the author.
    """

    block: Block
    ref: Ref
    raw: bytes
    valid_votes: tuple[CommitVote, ...]
