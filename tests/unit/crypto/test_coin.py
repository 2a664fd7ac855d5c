"""Threshold signatures: a published beacon, uniqueness, wrong shares, the identity."""

from itertools import combinations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.crypto.coin import check_keys, combine, deal, public_key, sign, verify
from seawall.crypto.hashing import sha256
from seawall.domain.committee import CoinKeys
from seawall.errors import PeerError

# Chain 52db9ba7... of the League of Entropy ("quicknet"), round 1000.
QUICKNET_KEY = bytes.fromhex(
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c"
    "8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5"
    "a6e9c76a4bc09e76eae8991ef5ece45a"
)
QUICKNET_SIGNATURE = bytes.fromhex(
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
    "e342b73a8dd2bacbe47e4b6b63ed5e39"
)
QUICKNET_RANDOMNESS = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"

G1_IDENTITY = b"\xc0" + bytes(47)
G2_IDENTITY = b"\xc0" + bytes(95)
KEYS, SECRETS = deal(bytes(range(32)), 3, 4)
SHARES = {holder: sign(secret, b"round 7") for holder, secret in enumerate(SECRETS)}


def test_a_published_beacon_verifies() -> None:
    assert sha256(QUICKNET_SIGNATURE).hex() == QUICKNET_RANDOMNESS
    assert verify(QUICKNET_KEY, sha256((1000).to_bytes(8, "big")), QUICKNET_SIGNATURE)
    assert not verify(QUICKNET_KEY, sha256((1001).to_bytes(8, "big")), QUICKNET_SIGNATURE)


def test_any_threshold_of_shares_gives_the_same_signature() -> None:
    made = {combine({one: SHARES[one] for one in chosen}) for chosen in combinations(SHARES, 3)}
    made.add(combine(SHARES))
    (signature,) = made
    assert signature is not None
    assert verify(KEYS.group_key, b"round 7", signature)


@settings(max_examples=10, deadline=None)
@given(st.binary(min_size=32, max_size=40), st.integers(1, 5), st.integers(0, 3), st.binary())
def test_dealt_keys_fit_together(entropy: bytes, threshold: int, more: int, message: bytes) -> None:
    keys, secrets = deal(entropy, threshold, threshold + more)
    chosen = range(more, threshold + more)
    signature = combine({holder: sign(secrets[holder], message) for holder in chosen})
    assert signature is not None
    assert verify(keys.group_key, message, signature)


def test_too_few_shares_give_nothing() -> None:
    signature = combine({0: SHARES[0], 1: SHARES[1]})
    assert signature is not None
    assert not verify(KEYS.group_key, b"round 7", signature)


def test_a_wrong_share_or_index_is_detected() -> None:
    wrong = {**SHARES, 2: sign(SECRETS[2], b"round 8")}
    signature = combine(wrong)
    assert signature is not None
    assert not verify(KEYS.group_key, b"round 7", signature)
    valid = [verify(KEYS.share_keys[one], b"round 7", wrong[one]) for one in wrong]
    assert valid == [True, True, False, True]
    swapped = combine({0: SHARES[1], 1: SHARES[0], 2: SHARES[2]})
    assert swapped is not None
    assert not verify(KEYS.group_key, b"round 7", swapped)


@pytest.mark.parametrize("bad", [G1_IDENTITY, b"", bytes(48), b"\xff" * 48, bytes(49)])
def test_the_identity_and_what_is_no_point_are_refused(bad: bytes) -> None:
    assert not verify(KEYS.group_key, b"round 7", bad)
    assert combine({**SHARES, 1: bad}) is None


@pytest.mark.parametrize("bad", [G2_IDENTITY, b"", b"\xff" * 96])
def test_the_identity_is_no_key(bad: bytes) -> None:
    assert not verify(bad, b"round 7", SHARES[0])


@pytest.mark.parametrize(
    ("threshold", "holders"), [(1, 1), (2, 2), (3, 3), (3, 4), (4, 5), (7, 10)]
)
def test_keys_of_one_dealing_are_accepted(threshold: int, holders: int) -> None:
    keys, secrets = deal(bytes(range(32)), threshold, holders)
    check_keys(keys, field="coin")
    assert tuple(map(public_key, secrets)) == keys.share_keys


OTHER_KEYS, _ = deal(bytes(range(1, 33)), 3, 4)
HIGHER_KEYS, _ = deal(bytes(range(32)), 4, 4)
OUTSIDE_SUBGROUP = b"\x80" + bytes(94) + b"\x02"
"""A point on the curve, whose order is another."""


def with_share(place: int, key: bytes) -> CoinKeys:
    """Return the keys with one share's key replaced."""
    shares = list(KEYS.share_keys)
    shares[place] = key
    return msgspec.structs.replace(KEYS, share_keys=tuple(shares))


@pytest.mark.parametrize(
    ("keys", "code", "field"),
    [
        (with_share(2, OTHER_KEYS.share_keys[2]), "KEY_COIN_SHARES", "coin.shareKeys"),
        (with_share(3, KEYS.share_keys[0]), "KEY_COIN_SHARES", "coin.shareKeys"),
        (
            msgspec.structs.replace(KEYS, share_keys=KEYS.share_keys[::-1]),
            "KEY_COIN_SHARES",
            "coin.shareKeys",
        ),
        (
            msgspec.structs.replace(KEYS, group_key=OTHER_KEYS.group_key),
            "KEY_COIN_SHARES",
            "coin.shareKeys",
        ),
        (msgspec.structs.replace(HIGHER_KEYS, threshold=3), "KEY_COIN_SHARES", "coin.shareKeys"),
        (msgspec.structs.replace(KEYS, group_key=G2_IDENTITY), "KEY_COIN", "coin.groupKey"),
        (with_share(1, G2_IDENTITY), "KEY_COIN", "coin.shareKeys[1]"),
        (with_share(1, bytes(96)), "KEY_COIN", "coin.shareKeys[1]"),
        (with_share(3, bytes(48)), "KEY_COIN", "coin.shareKeys[3]"),
        (with_share(0, OUTSIDE_SUBGROUP), "KEY_COIN", "coin.shareKeys[0]"),
    ],
)
def test_keys_that_make_no_coin_are_refused(keys: CoinKeys, code: str, field: str) -> None:
    with pytest.raises(PeerError) as raised:
        check_keys(keys, field="coin")
    assert (raised.value.code, raised.value.field) == (code, field)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, b"\x73" + b"\xff" * 31])
def test_only_scalars_below_the_order_have_a_public_half(secret: bytes) -> None:
    assert public_key(secret) is None
