"""Messages between replicas as protocol buffers, and back: decoding verifies every block.

What a peer sends is bytes until it has passed `Inbound.decode`: every length and count is
checked, every block decoded and verified, and the first fault raises a `PeerError`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from seawall.api.v1 import consensus_pb2, types_pb2
from seawall.codec import decode_block
from seawall.codec.records import check_records
from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    FetchBlocks,
    FetchCommits,
    LatestQuery,
    LatestReply,
    Message,
    Subscribe,
)
from seawall.consensus.verification import verify_block
from seawall.crypto.hashing import DIGEST_BYTES
from seawall.domain.block import Attestation, Batch, Ref, VerifiedBlock
from seawall.domain.commit import CertifiedCheckpoint, Commit, Cosignature, Judgement
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import PeerError

PeerMessage = consensus_pb2.PeerMessage

FRAGMENT_BYTES_MAX: Final = 1 << 20
FRAGMENTS_BYTES_MAX: Final = 64 << 20
REFS_MAX: Final = 256
COMMITS_MAX: Final = 4096
COSIGNATURE_BYTES: Final = 72
INTEGER_MAX: Final = 2**53 - 1

VERIFIED_BLOCKS_MAX: Final = 2048
VERIFIED_BYTES_MAX: Final = 32 << 20

_JUDGEMENTS: Final = {
    Judgement.ACCEPT: types_pb2.JUDGEMENT_ACCEPT,
    Judgement.REJECT: types_pb2.JUDGEMENT_REJECT,
    Judgement.DUPLICATE: types_pb2.JUDGEMENT_DUPLICATE,
}


# --- out ---------------------------------------------------------------------------------------


def encode(message: Message) -> tuple[PeerMessage, ...]:
    """Return a message as what travels: one protocol buffer, or fragments of a large one."""
    whole = _encode_whole(message)
    if whole.ByteSize() <= FRAGMENT_BYTES_MAX:
        return (whole,)
    data = whole.SerializeToString()
    starts = range(0, len(data), FRAGMENT_BYTES_MAX)
    return tuple(
        PeerMessage(
            fragment=consensus_pb2.PeerFragment(
                data=data[start : start + FRAGMENT_BYTES_MAX],
                last=start + FRAGMENT_BYTES_MAX >= len(data),
            )
        )
        for start in starts
    )


def _encode_whole(message: Message) -> PeerMessage:
    match message:
        case Blocks(blocks):
            return PeerMessage(blocks=consensus_pb2.PeerBlocks(blocks=_raw(blocks)))
        case Subscribe(after_round):
            subscribe = consensus_pb2.PeerSubscribe(after_round=after_round)
            return PeerMessage(subscribe=subscribe)
        case FetchBlocks(refs):
            fetch = consensus_pb2.PeerFetchBlocks(refs=map(encode_ref, refs))
            return PeerMessage(fetch_blocks=fetch)
        case BelowGc(commit_index, refs, blocks):
            below = consensus_pb2.PeerBelowGc(
                commit_index=commit_index, refs=map(encode_ref, refs), blocks=_raw(blocks)
            )
            return PeerMessage(below_gc=below)
        case FetchCommits(first_index):
            commits = consensus_pb2.PeerFetchCommits(first_index=first_index)
            return PeerMessage(fetch_commits=commits)
        case Commits():
            return PeerMessage(commits=_encode_commits(message))
        case LatestQuery():
            return PeerMessage(latest_query=consensus_pb2.PeerLatestQuery())
        case LatestReply(own, yours):
            reply = consensus_pb2.PeerLatestReply(
                own=own.raw if own else b"", yours=yours.raw if yours else b""
            )
            return PeerMessage(latest_reply=reply)


def _encode_commits(message: Commits) -> consensus_pb2.PeerCommits:
    return consensus_pb2.PeerCommits(
        commits=map(encode_commit, message.commits),
        certificate=encode_checkpoint(message.certificate) if message.certificate else None,
        votes=_raw(message.votes),
    )


def _raw(blocks: Iterable[VerifiedBlock]) -> list[bytes]:
    return [block.raw for block in blocks]


def encode_ref(ref: Ref) -> types_pb2.BlockRef:
    """Return a reference."""
    return types_pb2.BlockRef(round=ref.round, author=ref.author, digest=ref.digest)


def encode_commit(commit: Commit) -> types_pb2.Commit:
    """Return a commit with its blocks, as other validators get it: without verdicts."""
    return types_pb2.Commit(
        index=commit.index,
        previous_digest=commit.previous_digest,
        digest=commit.digest,
        leader=encode_ref(commit.leader),
        clock_ms=commit.clock_ms,
        gc_round=commit.gc_round,
        blocks=_raw(commit.blocks),
    )


def encode_delivery(commit: Commit) -> types_pb2.Commit:
    """Return a commit as the own ledger gets it: with the verdicts and twins that follow."""
    message = encode_commit(commit)
    message.finality_digest = commit.finality_digest
    for twins in commit.twins:
        message.twins.add(
            first=encode_ref(twins.first),
            first_signature=twins.first_signature,
            second=encode_ref(twins.second),
            second_signature=twins.second_signature,
        )
    places: dict[Batch, int] = {}
    for verdict in commit.verdicts:
        batch = verdict.batch
        place = places.setdefault(batch, len(places))
        if place == len(message.judged_batches):
            message.judged_batches.add(
                site=batch.site,
                batch_number=batch.number,
                pinned_height=batch.pinned_height,
                records=batch.records_bytes,
            )
        message.verdicts.add(
            block=encode_ref(verdict.block),
            batch=place,
            first_index=verdict.first_index,
            positions=verdict.positions,
            judgement=_JUDGEMENTS[verdict.judgement],
            rule=verdict.rule,
        )
    return message


def encode_checkpoint(checkpoint: CertifiedCheckpoint) -> types_pb2.CertifiedCheckpoint:
    """Return a certified checkpoint."""
    return types_pb2.CertifiedCheckpoint(
        index=checkpoint.index,
        commit_digest=checkpoint.commit_digest,
        tree_size=checkpoint.tree_size,
        root=checkpoint.root,
        cosignatures=[
            types_pb2.Cosignature(author=one.author, blob=one.blob)
            for one in checkpoint.cosignatures
        ],
    )


# --- in ----------------------------------------------------------------------------------------


def parse(data: bytes) -> PeerMessage:
    """Return the message in the bytes of one frame; raises `PeerError` SYNC_FRAME."""
    try:
        return PeerMessage.FromString(data)
    except DecodeError:
        hint = "a frame holds one message"
        raise PeerError("SYNC_FRAME", hint, field="frame") from None


class BlockVerifier:
    """Verifies blocks, and remembers which bytes it has verified; used by one thread."""

    def __init__(self, committee: Committee, parameters: ConsensusParameters) -> None:
        """Verify for this committee."""
        self._committee = committee
        self._parameters = parameters
        self._verified: OrderedDict[bytes, VerifiedBlock] = OrderedDict()
        self._bytes = 0

    def verify(self, raw: bytes) -> VerifiedBlock:
        """Return the valid block in these bytes.

        Raises:
            PeerError: as `seawall.codec.decode_block` and `verify_block`.

        """
        known = self._verified.get(raw)
        if known is not None:
            return known
        block = verify_block(decode_block(raw), self._committee, self._parameters)
        self._verified[raw] = block
        self._bytes += len(raw)
        while len(self._verified) > VERIFIED_BLOCKS_MAX or self._bytes > VERIFIED_BYTES_MAX:
            gone, _ = self._verified.popitem(last=False)
            self._bytes -= len(gone)
        return block


class Inbound:
    """What one peer sends over one link, put together and verified."""

    def __init__(self, verifier: BlockVerifier, committee: Committee) -> None:
        """Start without a fragment."""
        self._verifier = verifier
        self._committee = committee
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def decode(self, message: PeerMessage) -> Message | None:
        """Return the message; None for a heartbeat, or while more fragments follow.

        Raises:
            PeerError: BLOCK_*, BATCH_*, RECORD_* for a block; SYNC_KIND, SYNC_COUNT, SYNC_DIGEST,
                SYNC_RANGE, SYNC_FRAGMENT for everything around blocks.

        """
        kind = message.WhichOneof("kind")
        if kind == "heartbeat":
            return None
        if kind == "fragment":
            whole = self._assemble(message.fragment)
            return None if whole is None else self._decode_whole(whole)
        if self._pieces:
            hint = "finish a fragmented message before the next"
            raise PeerError("SYNC_FRAGMENT", hint, field="fragment")
        return self._decode_whole(message)

    def _assemble(self, fragment: consensus_pb2.PeerFragment) -> PeerMessage | None:
        self._size_bytes += len(fragment.data)
        if not fragment.data or self._size_bytes > FRAGMENTS_BYTES_MAX:
            hint = f"pieces of 1 byte to 1 MiB, {FRAGMENTS_BYTES_MAX} bytes in all"
            raise PeerError("SYNC_FRAGMENT", hint, field="fragment.data")
        self._pieces.append(fragment.data)
        if not fragment.last:
            return None
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size_bytes = 0
        try:
            return PeerMessage.FromString(data)
        except DecodeError:
            hint = "the pieces must make up one message"
            raise PeerError("SYNC_FRAGMENT", hint, field="fragment.data") from None

    def _decode_whole(self, message: PeerMessage) -> Message:
        match message.WhichOneof("kind"):
            case "blocks":
                return Blocks(self._blocks(message.blocks.blocks))
            case "subscribe":
                return Subscribe(_integer(message.subscribe.after_round, "after_round"))
            case "fetch_blocks":
                return FetchBlocks(self._refs(message.fetch_blocks.refs))
            case "below_gc":
                below = message.below_gc
                index = _integer(below.commit_index, "commit_index")
                return BelowGc(index, self._refs(below.refs), self._blocks(below.blocks))
            case "fetch_commits":
                return FetchCommits(_integer(message.fetch_commits.first_index, "first_index"))
            case "commits":
                return self._commits(message.commits)
            case "latest_query":
                return LatestQuery()
            case "latest_reply":
                reply = message.latest_reply
                return LatestReply(self._optional(reply.own), self._optional(reply.yours))
            case _:
                raise PeerError("SYNC_KIND", "send a message that this version knows")

    def _optional(self, raw: bytes) -> VerifiedBlock | None:
        return self._verifier.verify(raw) if raw else None

    def _blocks(self, raws: Sequence[bytes]) -> tuple[VerifiedBlock, ...]:
        return tuple([self._verifier.verify(raw) for raw in raws])

    def _refs(self, refs: Sequence[types_pb2.BlockRef]) -> tuple[Ref, ...]:
        if len(refs) > REFS_MAX:
            raise PeerError("SYNC_COUNT", f"at most {REFS_MAX} references", field="refs")
        return tuple([self._ref(ref) for ref in refs])

    def _ref(self, ref: types_pb2.BlockRef) -> Ref:
        if ref.author >= self._committee.size:
            raise PeerError("SYNC_RANGE", "authors are members", field="refs.author")
        return Ref(_integer(ref.round, "refs.round"), ref.author, _digest(ref.digest, "refs"))

    def _commits(self, message: consensus_pb2.PeerCommits) -> Commits:
        if len(message.commits) > COMMITS_MAX:
            raise PeerError("SYNC_COUNT", f"at most {COMMITS_MAX} commits", field="commits")
        certificate = None
        if message.HasField("certificate"):
            certificate = self._checkpoint(message.certificate)
        return Commits(
            tuple([self._commit(commit) for commit in message.commits]),
            certificate,
            self._blocks(message.votes),
        )

    def _commit(self, commit: types_pb2.Commit) -> Commit:
        return Commit(
            index=_integer(commit.index, "commits.index"),
            previous_digest=_digest(commit.previous_digest, "commits.previous_digest"),
            digest=_digest(commit.digest, "commits.digest"),
            leader=self._ref(commit.leader),
            clock_ms=_integer(commit.clock_ms, "commits.clock_ms"),
            gc_round=_integer(commit.gc_round, "commits.gc_round"),
            blocks=self._blocks(commit.blocks),
        )

    def _checkpoint(self, checkpoint: types_pb2.CertifiedCheckpoint) -> CertifiedCheckpoint:
        if len(checkpoint.cosignatures) > self._committee.size:
            field = "certificate.cosignatures"
            raise PeerError("SYNC_COUNT", "at most one per member", field=field)
        return CertifiedCheckpoint(
            index=_integer(checkpoint.index, "certificate.index"),
            commit_digest=_digest(checkpoint.commit_digest, "certificate.commit_digest"),
            tree_size=_integer(checkpoint.tree_size, "certificate.tree_size"),
            root=_digest(checkpoint.root, "certificate.root"),
            cosignatures=tuple([self._cosignature(one) for one in checkpoint.cosignatures]),
        )

    def _cosignature(self, one: types_pb2.Cosignature) -> Cosignature:
        field = "certificate.cosignatures"
        if one.author >= self._committee.size:
            raise PeerError("SYNC_RANGE", "authors are members", field=field)
        if len(one.blob) != COSIGNATURE_BYTES:
            raise PeerError("SYNC_DIGEST", f"a blob has {COSIGNATURE_BYTES} bytes", field=field)
        return Cosignature(author=one.author, blob=one.blob)


def _integer(value: int, field: str) -> int:
    if value > INTEGER_MAX:
        raise PeerError("SYNC_RANGE", "at most 2^53 - 1", field=field)
    return value


def _digest(value: bytes, field: str) -> bytes:
    if len(value) != DIGEST_BYTES:
        raise PeerError("SYNC_DIGEST", f"a digest has {DIGEST_BYTES} bytes", field=field)
    return value


def decode_batch(message: consensus_pb2.CertifiedBatch, own: int) -> Batch:
    """Return a batch that the own site's services hand in; its certificate is not checked here.

    Raises:
        PeerError: BATCH_SITE for a batch of another site, BATCH_EMPTY, BATCH_RANGE; RECORD_*.

    """
    if message.site != own:
        raise PeerError("BATCH_SITE", f"this is site {own}", field="batches.site")
    if not message.records:
        raise PeerError("BATCH_EMPTY", "hand in at least one update", field="batches.records")
    if max(message.batch_number, message.pinned_height) > INTEGER_MAX:
        raise PeerError("BATCH_RANGE", "at most 2^53 - 1", field="batches.batch_number")
    check_records(message.records)
    return Batch(
        site=message.site,
        number=message.batch_number,
        pinned_height=message.pinned_height,
        records_bytes=message.records,
        certificate=tuple(_attestations(message.attestations)),
    )


def _attestations(
    attestations: Iterable[consensus_pb2.BatchAttestation],
) -> Iterator[Attestation]:
    for one in attestations:
        yield Attestation(author=one.author, signature=one.signature)
