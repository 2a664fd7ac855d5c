"""The ledger's messages and what they stand for: protocol buffers in, values out, and back."""

from operator import lt
from typing import Final

from seawall.api.v1 import ledger_pb2 as pb
from seawall.api.v1 import types_pb2
from seawall.codec import RECORD_BYTES, check_twins, decode_block, decode_records
from seawall.codec.records import check_records, record_count
from seawall.crypto.hashing import DIGEST_BYTES
from seawall.crypto.signing import SIGNATURE_BYTES
from seawall.domain.block import Batch, Ref
from seawall.domain.commit import CertifiedCheckpoint, Cosignature, Judgement, Twins, Verdict
from seawall.errors import PeerError
from seawall.ledger.execution import Delivery
from seawall.ledger.judging import Claim
from seawall.ledger.log import Position
from seawall.ledger.reading import Page
from seawall.ledger.refusals import CODE_OF_RULE
from seawall.ledger.refusals import refusal as refusal_of
from seawall.runtime.status import refusal

JUDGE_ITEMS_MAX: Final = 1024

_JUDGEMENTS: Final = {
    types_pb2.JUDGEMENT_ACCEPT: Judgement.ACCEPT,
    types_pb2.JUDGEMENT_REJECT: Judgement.REJECT,
    types_pb2.JUDGEMENT_DUPLICATE: Judgement.DUPLICATE,
}


def rooted_message(position: Position) -> pb.AppendResponse:
    """Return the answer to a commit."""
    row = position.row
    return pb.AppendResponse(index=position.index, tree_size=row.tree_size, root=row.root)


def page_message(page: Page) -> pb.EntriesResponse:
    """Return a run of entries as a message."""
    return pb.EntriesResponse(
        start=page.start,
        entries=page.entries,
        commit_index=page.commit_index,
        refused=[
            pb.RefusedUpdate(
                update_id=one.update_id,
                refusal=refusal(refusal_of(one.code)),
                commit_index=one.commit,
            )
            for one in page.refused
        ],
    )


def delivery_of(commit: types_pb2.Commit) -> Delivery:
    """Return a commit with its blocks decoded; their signatures were checked by consensus.

    Raises:
        PeerError: VERDICT_DIGEST, VERDICT_BATCH, VERDICT_JUDGEMENT, VERDICT_POSITIONS;
            TWINS_SIGNATURE, TWINS_SLOT, RPC_DIGEST; RECORD_*, and what
            `seawall.codec.decode_block` raises.

    """
    leader = commit.leader
    if len(commit.finality_digest) not in (0, DIGEST_BYTES):
        raise PeerError("VERDICT_DIGEST", "a digest has 32 bytes", field="finality_digest")
    batches = [_judged(batch) for batch in commit.judged_batches]
    return Delivery(
        index=commit.index,
        previous_digest=commit.previous_digest,
        digest=commit.digest,
        leader=Ref(leader.round, leader.author, leader.digest),
        clock_ms=commit.clock_ms,
        blocks=tuple([decode_block(raw).block for raw in commit.blocks]),
        verdicts=tuple([_verdict(verdict, batches) for verdict in commit.verdicts]),
        finality_digest=commit.finality_digest,
        twins=tuple([_twins(pair) for pair in commit.twins]),
    )


def _twins(pair: types_pb2.Twins) -> Twins:
    """Return two blocks of one slot; consensus has checked the signatures."""
    if {len(pair.first_signature), len(pair.second_signature)} != {SIGNATURE_BYTES}:
        hint = f"a signature has {SIGNATURE_BYTES} bytes"
        raise PeerError("TWINS_SIGNATURE", hint, field="twins")
    first, second = [
        Ref(ref.round, ref.author, digest_of(ref.digest, "twins"))
        for ref in (pair.first, pair.second)
    ]
    return check_twins(Twins(first, pair.first_signature, second, pair.second_signature))


def _judged(batch: types_pb2.JudgedBatch) -> Batch:
    """Return a batch that verdicts are on, without its certificate."""
    check_records(batch.records)
    return Batch(batch.site, batch.batch_number, batch.pinned_height, batch.records, ())


def _verdict(verdict: types_pb2.Verdict, batches: list[Batch]) -> Verdict:
    """Return a verdict on one of these batches."""
    if verdict.batch >= len(batches):
        raise PeerError("VERDICT_BATCH", "name a batch of this commit", field="verdicts.batch")
    judgement = _JUDGEMENTS.get(verdict.judgement)
    if judgement is None or (judgement is Judgement.REJECT and verdict.rule not in CODE_OF_RULE):
        hint = "not a judgement that this version knows"
        raise PeerError("VERDICT_JUDGEMENT", hint, field="verdicts.judgement")
    batch, positions = batches[verdict.batch], tuple(verdict.positions)
    ascending = all(map(lt, positions, positions[1:]))
    if not positions or not ascending or positions[-1] >= record_count(batch.records_bytes):
        hint = "positions ascend within their batch, at least one"
        raise PeerError("VERDICT_POSITIONS", hint, field="verdicts.positions")
    block = verdict.block
    return Verdict(
        block=Ref(block.round, block.author, block.digest),
        batch=batch,
        first_index=verdict.first_index,
        positions=positions,
        judgement=judgement,
        rule=verdict.rule,
    )


def certificate_of(certificate: types_pb2.CertifiedCheckpoint) -> CertifiedCheckpoint:
    """Return a certificate."""
    return CertifiedCheckpoint(
        index=certificate.index,
        commit_digest=certificate.commit_digest,
        tree_size=certificate.tree_size,
        root=certificate.root,
        cosignatures=tuple([Cosignature(one.author, one.blob) for one in certificate.cosignatures]),
    )


def claims_of(request: pb.JudgeRequest) -> list[Claim]:
    """Return the updates to judge."""
    items = request.items
    if len(items) > JUDGE_ITEMS_MAX:
        raise PeerError("BATCH_SIZE", f"judge at most {JUDGE_ITEMS_MAX} updates", field="items")
    if any(len(item.record) != RECORD_BYTES for item in items):
        raise PeerError("RECORD_SIZE", f"a record has {RECORD_BYTES} bytes", field="items.record")
    records = decode_records(b"".join([item.record for item in items])) if items else ()
    return [
        Claim(record, item.base_digest, item.checkpoint_size, item.checkpoint_root)
        for record, item in zip(records, items, strict=True)
    ]


def digest_of(value: bytes, field: str) -> bytes:
    """Return a digest, which has 32 bytes."""
    if len(value) != DIGEST_BYTES:
        raise PeerError("RPC_DIGEST", "a digest has 32 bytes", field=field)
    return value
