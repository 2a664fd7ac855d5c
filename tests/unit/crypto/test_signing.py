from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.signing import SigningKey, check_public_key, key_id, verify
from seawall.errors import LocalError, PeerError
from tests.unit.crypto import ed25519_edges as edges
from tests.unit.crypto.golden import read_json

SEEDS = st.binary(min_size=32, max_size=32)
KEY = SigningKey.from_seed(bytes(range(32)))


def openssl_accepts(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def refusal(public: bytes) -> str | None:
    try:
        check_public_key(public, field="key")
    except PeerError as error:
        return error.code if error.field == "key" else f"no field: {error.code}"
    return None


@pytest.mark.parametrize("case", read_json("ed25519/rfc8032.json"), ids=lambda c: c["name"])
def test_rfc_8032_vectors(case: dict[str, str]) -> None:
    key = SigningKey.from_seed(bytes.fromhex(case["seed"]))
    message, signature = bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])
    assert key.public.hex() == case["public"]
    assert key.sign(message) == signature
    assert verify(key.public, message, signature)
    assert not verify(key.public, message + b"\x00", signature)


@pytest.mark.parametrize("case", read_json("ed25519/speccheck.json"), ids=lambda c: c["name"])
def test_accept_set_on_published_edge_cases(case: dict[str, Any]) -> None:
    facts = (bytes.fromhex(case[name]) for name in ("public", "message", "signature"))
    assert verify(*facts) is case["valid"]


def test_accept_set_on_constructed_edge_cases() -> None:
    wrong = [
        case.name
        for case in edges.all_cases()
        if verify(case.public, case.message, case.signature) is not case.valid
    ]
    assert wrong == []


def test_constructed_edge_cases_tell_libraries_apart() -> None:
    # OpenSSL takes small-order points; if it took none of these, they would be no edge cases.
    cases = list(edges.small_order_cases())
    assert any(openssl_accepts(c.public, c.message, c.signature) for c in cases)
    assert any(c.valid for c in edges.mixed_order_cases())
    assert not all(c.valid for c in edges.mixed_order_cases())


def test_equals_openssl_once_small_order_and_non_canonical_points_are_refused() -> None:
    refused = {
        *edges.SMALL_ORDER,
        *edges.NON_CANONICAL_SMALL_ORDER,
        *edges.NON_CANONICAL_MIXED_ORDER,
    }
    for case in edges.all_cases():
        expected = (
            openssl_accepts(case.public, case.message, case.signature)
            and case.public not in refused
            and case.signature[:32] not in refused
        )
        assert verify(case.public, case.message, case.signature) is expected, case.name


@given(seed=SEEDS, message=st.binary(max_size=300))
def test_signs_and_verifies_as_openssl_does(seed: bytes, message: bytes) -> None:
    key, other = SigningKey.from_seed(seed), Ed25519PrivateKey.from_private_bytes(seed)
    assert key.public == other.public_key().public_bytes_raw()
    assert key.sign(message) == other.sign(message)
    assert verify(key.public, message, key.sign(message))


@given(
    message=st.binary(max_size=40),
    place=st.integers(min_value=0, max_value=63),
    flip=st.integers(min_value=1, max_value=255),
)
def test_no_changed_byte_survives(message: bytes, place: int, flip: int) -> None:
    signature = bytearray(KEY.sign(message))
    signature[place] ^= flip
    assert not verify(KEY.public, message, bytes(signature))
    public = bytearray(KEY.public)
    public[place % 32] ^= flip
    assert not verify(bytes(public), message, KEY.sign(message))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_signature_of_wrong_length_is_invalid(length: int) -> None:
    assert not verify(KEY.public, b"m", (KEY.sign(b"m") * 2)[:length])


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_key_of_wrong_length_is_invalid_and_refused(length: int) -> None:
    public = (KEY.public * 2)[:length]
    assert not verify(public, b"m", KEY.sign(b"m"))
    assert refusal(public) == "KEY_LENGTH"


@given(seed=SEEDS)
def test_every_generated_key_may_be_enrolled(seed: bytes) -> None:
    assert refusal(SigningKey.from_seed(seed).public) is None


def test_small_order_keys_are_refused() -> None:
    assert len(set(edges.SMALL_ORDER)) == 8
    assert {refusal(public) for public in edges.SMALL_ORDER} == {"KEY_LOW_ORDER"}


def test_non_canonical_keys_are_refused() -> None:
    keys = edges.NON_CANONICAL_SMALL_ORDER + edges.NON_CANONICAL_MIXED_ORDER
    assert {refusal(public) for public in keys} == {"KEY_NON_CANONICAL"}


def test_mixed_order_keys_are_refused() -> None:
    for torsion in edges.SMALL_ORDER[1:]:
        assert refusal(edges.add(KEY.public, torsion)) == "KEY_MIXED_ORDER"


def test_bytes_that_are_no_point_are_refused() -> None:
    assert refusal(edges.encode(2)) == "KEY_NOT_ON_CURVE"
    assert refusal(edges.encode(7, negative=True)) == "KEY_NOT_ON_CURVE"


@given(public=SEEDS)
def test_any_32_bytes_are_judged_and_only_their_form_decides_canonicity(public: bytes) -> None:
    y = int.from_bytes(public, "little") % edges.SIGN_BIT
    non_canonical = y >= edges.FIELD_PRIME or public in edges.NON_CANONICAL_SMALL_ORDER
    assert (refusal(public) == "KEY_NON_CANONICAL") is non_canonical


def test_seed_of_wrong_length_is_our_callers_fault() -> None:
    with pytest.raises(LocalError) as caught:
        SigningKey.from_seed(bytes(31))
    assert caught.value.code == "KEY_SEED"


def test_secret_is_not_printed() -> None:
    assert repr(KEY) == f"SigningKey(public={KEY.public.hex()})"
    assert bytes(range(32)).hex() not in repr(KEY)


def test_key_id_is_the_digest_of_the_key() -> None:
    assert key_id(bytes(32)).hex() == (
        "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    )
