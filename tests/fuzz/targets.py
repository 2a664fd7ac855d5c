"""The table of fuzz targets by name: what `make fuzz` runs and the corpus is replayed through."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz import codec_targets as codec
from tests.fuzz import format_targets as formats
from tests.fuzz import peer_targets as peers
from tests.fuzz import step_targets as steps
from tests.fuzz.properties import Target

TARGETS: Final[Mapping[str, Target]] = {
    "block": codec.block,
    "records": codec.records,
    "commit_summary": codec.commit_summary,
    "journal_block": codec.journal_block,
    "journal_base": codec.journal_base,
    "journal_floor": codec.journal_floor,
    "recovery": codec.recovery,
    "verified_block": peers.verified_block,
    "batch": peers.batch,
    "commit_vote": peers.commit_vote,
    "peer_messages": peers.peer_messages,
    "step_sync": steps.step_sync,
    "step_async": steps.step_async,
    "strict_json": formats.strict_json,
    "canonical_json": formats.canonical_json,
    "submission": formats.submission_payload,
    "dsse": formats.envelope,
    "oms": formats.manifest,
    "slsa": formats.provenance,
    "intoto": formats.statement,
    "safetensors": formats.safetensors_file,
    "task_payload": formats.task_payload,
    "fxp24": formats.fxp24_values,
    "signed_note": formats.note,
    "verifier_key": formats.verifier_key,
    "checkpoint": formats.checkpoint_body,
    "quorum_note": formats.quorum_note,
    "cosignature": formats.cosignature_blob,
    "tlog_proof": formats.proof,
    "tile_path": formats.tile_path,
    "tile_bundle": formats.tile_bundle,
    "genesis": formats.genesis_document,
    "entry": formats.log_entry,
    "receipt": formats.receipt_document,
}
"""Every target, by the name of its corpus folder."""
