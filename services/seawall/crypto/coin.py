"""Threshold BLS signatures over BLS12-381: equal shares of one key, one signature per message.

Signatures lie in G1 (48 bytes), public keys in G2 (96 bytes), secrets are scalars (32 bytes, big
endian). Any `threshold` shares give the same signature, and fewer give nothing: which is what a
common coin needs. Holder i has the value at i + 1 of a random polynomial whose value at 0 is the
group's secret.

Source: Boneh, Lynn and Shacham, ASIACRYPT 2001; Boldyreva, PKC 2003; RFC 9380 (hash to curve);
ciphersuite BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_; Shamir, CACM 1979.
"""

from collections.abc import Mapping
from hashlib import shake_256
from typing import Final

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from seawall.domain.committee import CoinKeys
from seawall.errors import PeerError

CIPHERSUITE: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
SHARE_SIZE_BYTES: Final = 48
SECRET_SIZE_BYTES: Final = 32
ENTROPY_SIZE_BYTES_MIN: Final = 32

_COEFFICIENTS: Final = b"seawall/coin-dealer/v1"
_CHECK: Final = b"seawall/coin-check/v1"
_COEFFICIENT_SIZE_BYTES: Final = 64


def deal(entropy: bytes, threshold: int, holders: int) -> tuple[CoinKeys, tuple[bytes, ...]]:
    """Return the public keys and every holder's secret; whoever deals must forget the latter.

    `entropy` has at least 32 bytes that nobody else knows. Coefficients are 64 bytes modulo the
    group order, so their bias is below 2^-256.
    """
    assert len(entropy) >= ENTROPY_SIZE_BYTES_MIN, "a dealer needs 256 bits of entropy"
    assert 1 <= threshold <= holders, "some holders together have the key"
    coefficients = _draw(_COEFFICIENTS + entropy, threshold)
    secrets = [_value_at(coefficients, holder + 1) for holder in range(holders)]
    public = CoinKeys(
        threshold=threshold,
        group_key=bytes((G2Point() * coefficients[0]).to_compressed_bytes()),
        share_keys=tuple([bytes((G2Point() * one).to_compressed_bytes()) for one in secrets]),
    )
    return public, tuple([bytes(one.to_be_bytes()) for one in secrets])


def check_keys(keys: CoinKeys, *, field: str) -> None:
    """Refuse public keys that are not those of one dealing: some coins could not be made of them.

    The keys at 0 (the group's) to n lie on a polynomial of degree below the threshold exactly when
    their product with every word of the dual code is the identity; one word is tried, drawn from
    the keys themselves, and lets other keys pass with a chance of about 2^-255.

    Raises PeerError:
        KEY_COIN: no point of G2, outside its subgroup, or the identity; `field` says which.
        KEY_COIN_SHARES: the share keys do not belong to each other or to the group's key.

    Source: Cascudo and David, "SCRAPE", ACNS 2017.
    """
    named = [(f"{field}.groupKey", keys.group_key)]
    named += [(f"{field}.shareKeys[{at}]", key) for at, key in enumerate(keys.share_keys)]
    points = []
    for place, data in named:
        point = _read_key(data)
        if point is None:
            raise PeerError("KEY_COIN", "deal the coin's keys again", field=place)
        points.append(point)
    size = len(points)
    seed = _CHECK + keys.threshold.to_bytes(8, "big") + b"".join([data for _, data in named])
    word = _draw(seed, size - keys.threshold)
    weights = [_value_at(word, place) * _dual(place, size) for place in range(size)]
    if G2Point.multiexp_unchecked(points, weights) != G2Point.identity():
        hint = "deal the coin's keys again, all at once"
        raise PeerError("KEY_COIN_SHARES", hint, field=f"{field}.shareKeys")


def public_key(secret: bytes) -> bytes | None:
    """Return the public half of a secret; None when it is no scalar below the order, or 0."""
    try:
        scalar = Scalar.from_be_bytes(secret)
    except ValueError:
        return None
    return None if scalar.is_zero() else bytes((G2Point() * scalar).to_compressed_bytes())


def _draw(seed: bytes, count: int) -> list[Scalar]:
    """Return scalars that the seed determines."""
    size = _COEFFICIENT_SIZE_BYTES
    stream = shake_256(seed).digest(size * count)
    return [
        Scalar.from_be_bytes_mod_order(stream[place * size : (place + 1) * size])
        for place in range(count)
    ]


def _dual(place: int, size: int) -> Scalar:
    """Return the inverse of the product of this place's distances to all others below `size`."""
    product = Scalar(1)
    for other in range(size):
        if other != place:
            product = product * (Scalar(place) - Scalar(other))
    return product.inverse()


def _value_at(coefficients: list[Scalar], place: int) -> Scalar:
    """Return the polynomial's value, by Horner's rule."""
    at, value = Scalar(place), Scalar(0)
    for coefficient in reversed(coefficients):
        value = value * at + coefficient
    return value


def sign(secret: bytes, message: bytes) -> bytes:
    """Return the signature, or share of it, that this secret makes."""
    point = G1Point.hash_to_curve(message, CIPHERSUITE) * Scalar.from_be_bytes(secret)
    return bytes(point.to_compressed_bytes())


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature or share belongs to the message under this public key."""
    point, key = _read_signature(signature), _read_key(public_key)
    if point is None or key is None:
        return False
    hashed = G1Point.hash_to_curve(message, CIPHERSUITE)
    return GT.pairing_check([point, -hashed], [G2Point(), key])


def combine(shares: Mapping[int, bytes]) -> bytes | None:
    """Return the signature that these shares interpolate to, unverified.

    Keys are holders from 0 on. None when a share is no point of the group other than the identity.
    """
    holders = sorted(shares)
    total = G1Point.identity()
    for holder in holders:
        point = _read_signature(shares[holder])
        if point is None:
            return None
        total = total + point * _weight_at_zero(holder, holders)
    return bytes(total.to_compressed_bytes())


def _weight_at_zero(holder: int, holders: list[int]) -> Scalar:
    """Return the Lagrange coefficient of a holder for the value at 0."""
    above, below = Scalar(1), Scalar(1)
    for other in holders:
        if other != holder:
            above = above * Scalar(other + 1)
            below = below * (Scalar(other + 1) - Scalar(holder + 1))
    return above * below.inverse()


def _read_signature(data: bytes) -> G1Point | None:
    """Return the point in G1, unless it is malformed, outside the subgroup, or the identity."""
    try:
        point = G1Point.from_compressed_bytes(data)
    except ValueError:
        return None
    return None if point == G1Point.identity() else point


def _read_key(data: bytes) -> G2Point | None:
    """Return the point in G2, unless it is malformed, outside the subgroup, or the identity."""
    try:
        point = G2Point.from_compressed_bytes(data)
    except ValueError:
        return None
    return None if point == G2Point.identity() else point
