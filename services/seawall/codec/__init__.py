"""Canonical bytes of what consensus signs, sends and keeps: decoding is validating.

For everything here `decode(encode(x)) == x`, and `encode(decode(b)) == b` for every `b` that
`decode` accepts. All integers are big-endian.
"""

from seawall.codec.block import (
    block_digest,
    decode_block,
    encode_block,
    seal_block,
    sign_block,
    signature_of,
)
from seawall.codec.commit import (
    commit_digest,
    decode_commit_summary,
    encode_commit_summary,
    summarise,
)
from seawall.codec.domains import (
    attestation_message,
    batch_root,
    block_signing_message,
    genesis_ref,
)
from seawall.codec.records import RECORD_BYTES, decode_records, encode_records, record_count
from seawall.codec.twins import check_twins, decode_twins, encode_twins
from seawall.codec.verdict import decode_verdicts, encode_verdicts

__all__ = [
    "RECORD_BYTES",
    "attestation_message",
    "batch_root",
    "block_digest",
    "block_signing_message",
    "check_twins",
    "commit_digest",
    "decode_block",
    "decode_commit_summary",
    "decode_records",
    "decode_twins",
    "decode_verdicts",
    "encode_block",
    "encode_commit_summary",
    "encode_records",
    "encode_twins",
    "encode_verdicts",
    "genesis_ref",
    "record_count",
    "seal_block",
    "sign_block",
    "signature_of",
    "summarise",
]
