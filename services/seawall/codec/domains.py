"""What each signature and digest of consensus covers: one tag per purpose, the origin in each.

No bytes signed for one purpose, chain or epoch mean anything under another.
"""

from typing import Final

from seawall.codec.refs import encode_refs
from seawall.crypto.hashing import tagged
from seawall.domain.block import GENESIS_ROUND, Ref

_BLOCK_SIGNATURE: Final = b"seawall/block-signature/v2"
_ATTESTATION: Final = b"seawall/attestation/v1"
_BATCH_ROOT: Final = b"seawall/batch-root/v1"
_GENESIS_BLOCK: Final = b"seawall/genesis-block/v1"


def _integer(value: int) -> bytes:
    """Return a non-negative integer as 8 bytes."""
    return value.to_bytes(8, "big")


def block_signing_message(origin: str, epoch: int, ref: Ref) -> bytes:
    """Return what the author of the block with this reference signs, 32 bytes.

    Round and author stand in it beside the digest, so that two signatures prove that their author
    has filled a slot twice, without the blocks.
    """
    return tagged(_BLOCK_SIGNATURE, origin.encode(), _integer(epoch), encode_refs((ref,)))


def attestation_message(
    origin: str, epoch: int, site: int, number: int, pinned_height: int, root: bytes
) -> bytes:
    """Return what a site signs to attest batch `number` of `site`, 32 bytes.

    `root` is the `batch_root` of its records, `pinned_height` the commit index at whose state
    the updates were judged.
    """
    return tagged(
        _ATTESTATION,
        origin.encode(),
        _integer(epoch),
        _integer(site),
        _integer(number),
        _integer(pinned_height),
        root,
    )


def batch_root(records: bytes) -> bytes:
    """Return the digest over every field of every record of a batch, 32 bytes."""
    return tagged(_BATCH_ROOT, records)


def genesis_ref(origin: str, epoch: int, author: int) -> Ref:
    """Return the reference of an author's genesis block, which has no content."""
    digest = tagged(_GENESIS_BLOCK, origin.encode(), _integer(epoch), _integer(author))
    return Ref(GENESIS_ROUND, author, digest)
