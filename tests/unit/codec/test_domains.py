"""Each purpose, chain and epoch has a domain of its own."""

from seawall.codec import attestation_message, batch_root, block_signing_message, genesis_ref
from seawall.crypto.hashing import tagged
from seawall.domain.block import Ref

ORIGIN = "seawall/0123456789abcdef"


def test_an_attestation_binds_every_field() -> None:
    base = (ORIGIN, 0, 1, 2, 3, bytes(32))
    others = [
        ("seawall/other", 0, 1, 2, 3, bytes(32)),
        (ORIGIN, 1, 1, 2, 3, bytes(32)),
        (ORIGIN, 0, 2, 2, 3, bytes(32)),
        (ORIGIN, 0, 1, 3, 3, bytes(32)),
        (ORIGIN, 0, 1, 2, 4, bytes(32)),
        (ORIGIN, 0, 1, 2, 3, b"r" * 32),
    ]
    messages = {attestation_message(*fields) for fields in [base, *others]}
    assert len(messages) == len(others) + 1


def test_messages_are_the_documented_bytes() -> None:
    eight = (0).to_bytes(8, "big")
    ref = Ref(7, 2, b"d" * 32)
    reference = (7).to_bytes(8, "big") + (2).to_bytes(2, "big") + b"d" * 32
    assert block_signing_message(ORIGIN, 0, ref) == tagged(
        b"seawall/block-signature/v2", ORIGIN.encode(), eight, reference
    )
    assert batch_root(b"records") == tagged(b"seawall/batch-root/v1", b"records")


def test_genesis_blocks_differ_by_author_epoch_and_chain() -> None:
    found = {
        genesis_ref(ORIGIN, 0, 0),
        genesis_ref(ORIGIN, 0, 1),
        genesis_ref(ORIGIN, 1, 0),
        genesis_ref("seawall/other", 0, 0),
    }
    assert len({ref.digest for ref in found}) == 4
    assert {ref.round for ref in found} == {0}
