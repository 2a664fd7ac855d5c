"""Ed25519: sign, verify, and refuse keys that no honest owner would have.

Which signatures count as valid must be equal on every site, or one signature forks the chain.
Ed25519 libraries differ at the edges, so exactly one is used: libsodium, through PyNaCl. It refuses
small-order and non-canonical public keys, a small-order R, and S >= L. Tests pin this set.

Source: RFC 8032; Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs", SSR 2020.
"""

from typing import Final, Self, TypeAlias

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

from seawall.crypto.hashing import sha256
from seawall.errors import LocalError, PeerError

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_FIELD_PRIME: Final = 2**255 - 19
_CURVE_D: Final = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME
_SQRT_MINUS_ONE: Final = pow(2, (_FIELD_PRIME - 1) // 4, _FIELD_PRIME)
_SIGN_BIT: Final = 1 << 255

_Point: TypeAlias = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z."""


class SigningKey:
    """An Ed25519 private key. It never prints or compares its secret."""

    __slots__ = ("_secret", "public")

    public: bytes
    """The public key, 32 bytes."""

    def __init__(self, public: bytes, secret: bytes) -> None:
        """Keep a key pair; use `from_seed` to make one."""
        self.public = public
        self._secret = secret

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Derive the key pair from a seed of 32 bytes of entropy.

        Raises LocalError `KEY_SEED` when the seed has another length.
        """
        if len(seed) != SEED_BYTES:
            raise LocalError("KEY_SEED", "a seed is exactly 32 bytes", field="seed")
        return cls(*crypto_sign_seed_keypair(seed))

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`, 64 bytes, deterministic."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` is a valid one by `public` over `message`.

    A key or signature of the wrong length is invalid, never an exception.
    """
    if len(signature) != SIGNATURE_BYTES or len(public) != PUBLIC_KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


def key_id(public: bytes) -> bytes:
    """Return the identity of a key's owner: SHA-256 of the public key, 32 bytes."""
    return sha256(public)


def check_public_key(public: bytes, *, field: str) -> None:
    """Refuse a public key that must not be enrolled.

    `verify` alone does not need this; enrolment does, so that every enrolled key can sign, and
    what it signs is judged the same by every correct Ed25519 library.

    Raises PeerError:
        KEY_LENGTH: not 32 bytes.
        KEY_NON_CANONICAL: the same point has another, shorter encoding.
        KEY_NOT_ON_CURVE: the bytes encode no point at all.
        KEY_LOW_ORDER: one of the eight points whose multiples are all of small order.
        KEY_MIXED_ORDER: a point outside the prime-order group, with a small-order component.
    """
    if len(public) != PUBLIC_KEY_BYTES:
        raise PeerError("KEY_LENGTH", "an Ed25519 public key is exactly 32 bytes", field=field)
    if crypto_core_ed25519_is_valid_point(public):
        return
    # Refused; what follows only finds out why.
    encoded = int.from_bytes(public, "little")
    y = encoded % _SIGN_BIT
    if y >= _FIELD_PRIME:
        raise PeerError("KEY_NON_CANONICAL", "encode y as less than 2^255 - 19", field=field)
    x = _recover_x(y)
    if x is None:
        raise PeerError("KEY_NOT_ON_CURVE", "send the key your library generated", field=field)
    if x == 0 and encoded >= _SIGN_BIT:
        raise PeerError("KEY_NON_CANONICAL", "zero has no negative encoding", field=field)
    if _has_low_order((x, y, 1, x * y % _FIELD_PRIME)):
        raise PeerError("KEY_LOW_ORDER", "generate a fresh key pair", field=field)
    raise PeerError("KEY_MIXED_ORDER", "generate a fresh key pair", field=field)


def _recover_x(y: int) -> int | None:
    """Return one x with -x² + y² = 1 + d·x²·y², or None when there is none.

    Source: RFC 8032, section 5.1.3. The sign of x does not matter for the order of the point.
    """
    numerator = (y * y - 1) % _FIELD_PRIME
    denominator = (_CURVE_D * y * y + 1) % _FIELD_PRIME
    square = numerator * pow(denominator, -1, _FIELD_PRIME) % _FIELD_PRIME
    root = pow(square, (_FIELD_PRIME + 3) // 8, _FIELD_PRIME)
    for candidate in (root, root * _SQRT_MINUS_ONE % _FIELD_PRIME):
        if candidate * candidate % _FIELD_PRIME == square:
            return candidate
    return None


def _double(p: _Point) -> _Point:
    """Return 2·p, by the addition law of RFC 8032, section 5.1.4, which is complete."""
    a = (p[1] - p[0]) ** 2
    b = (p[1] + p[0]) ** 2
    c = 2 * _CURVE_D * p[3] ** 2
    d = 2 * p[2] ** 2
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _FIELD_PRIME, g * h % _FIELD_PRIME, f * g % _FIELD_PRIME, e * h % _FIELD_PRIME)


def _has_low_order(point: _Point) -> bool:
    """Return whether 8 · point is the neutral element (0, 1)."""
    multiple = _double(_double(_double(point)))
    return multiple[0] == 0 and multiple[1] == multiple[2]
