"""Edge cases of Ed25519, built from known scalars: points of small and mixed order, and more.

Everything follows from fixed seeds, so the cases are the same bytes on every run.
"""

from collections.abc import Iterator
from hashlib import sha512
from typing import NamedTuple

from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_scalarmult_ed25519_base_noclamp,
)

FIELD_PRIME = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
SIGN_BIT = 1 << 255

# y of the two pairs of points of order 8: the roots of d·y⁴ + 2·y² = 1.
_ORDER_8_Y = (
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)


def encode(y: int, *, negative: bool = False) -> bytes:
    """Return y and the sign of x as 32 bytes, canonical or not."""
    return (y | (SIGN_BIT if negative else 0)).to_bytes(32, "little")


SMALL_ORDER = tuple(
    encode(y, negative=negative)
    for y, signs in (
        (1, (False,)),
        (FIELD_PRIME - 1, (False,)),
        (0, (False, True)),
        (_ORDER_8_Y[0], (False, True)),
        (_ORDER_8_Y[1], (False, True)),
    )
    for negative in signs
)
"""The eight points whose order divides 8, each in its one canonical encoding."""

NON_CANONICAL_SMALL_ORDER = (
    encode(1, negative=True),
    encode(FIELD_PRIME - 1, negative=True),
    encode(FIELD_PRIME),
    encode(FIELD_PRIME, negative=True),
    encode(FIELD_PRIME + 1),
    encode(FIELD_PRIME + 1, negative=True),
)
"""The six other encodings of them: 14 in all."""

NON_CANONICAL_MIXED_ORDER = tuple(
    encode(FIELD_PRIME + y, negative=negative) for y in (3, 4, 5, 6) for negative in (False, True)
)
"""Points outside the prime-order group whose y is written with the prime added."""


class Case(NamedTuple):
    """One signature at the edge, and whether it must be accepted."""

    name: str
    public: bytes
    message: bytes
    signature: bytes
    valid: bool


def scalar(label: str) -> int:
    """Return a fixed scalar that looks random."""
    return int.from_bytes(sha512(label.encode()).digest(), "little") % GROUP_ORDER


def times_base(value: int) -> bytes:
    """Return value · B, encoded."""
    return bytes(crypto_scalarmult_ed25519_base_noclamp(value.to_bytes(32, "little")))


def add(p: bytes, q: bytes) -> bytes:
    """Return p + q, encoded."""
    return bytes(crypto_core_ed25519_add(p, q))


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    """Return SHA-512(R ‖ A ‖ M) mod L."""
    return int.from_bytes(sha512(r + public + message).digest(), "little") % GROUP_ORDER


def sign_as(public: bytes, r_encoded: bytes, message: bytes, *, a: int, r: int) -> bytes:
    """Return R ‖ S with S = r + h·a, whatever else the encodings of A and R carry."""
    s = (r + challenge(r_encoded, public, message) * a) % GROUP_ORDER
    return r_encoded + s.to_bytes(32, "little")


def small_order_cases() -> Iterator[Case]:
    """Yield signatures whose A, R or both are one of the 14 small-order encodings."""
    a, r = scalar("a"), scalar("r")
    public, nonce = times_base(a), times_base(r)
    for i, point in enumerate(SMALL_ORDER + NON_CANONICAL_SMALL_ORDER):
        # h is even often enough that a lax library accepts at least one of these.
        for message in (b"m0", b"m1", b"m2"):
            key_only = sign_as(point, nonce, message, a=0, r=r)
            yield Case(f"small A {i}", point, message, key_only, valid=False)
            nonce_only = sign_as(public, point, message, a=a, r=0)
            yield Case(f"small R {i}", public, message, nonce_only, valid=False)
            yield Case(f"small A, R {i}", point, message, point + bytes(32), valid=False)


def mixed_order_cases() -> Iterator[Case]:
    """Yield signatures with a small-order part in A or R.

    The equation without the cofactor decides: with a part T of order 8 in A it holds when h is a
    multiple of 8, with a part in R alone it never holds.
    """
    a, r, torsion = scalar("a"), scalar("r"), SMALL_ORDER[4]
    public, nonce = add(times_base(a), torsion), times_base(r)
    for i in range(32):
        message = b"mixed %d" % i
        divides = challenge(nonce, public, message) % 8 == 0
        signature = sign_as(public, nonce, message, a=a, r=r)
        yield Case(f"mixed A, h mod 8 = 0: {divides}", public, message, signature, valid=divides)
    mixed_nonce = add(nonce, torsion)
    signature = sign_as(times_base(a), mixed_nonce, b"m", a=a, r=r)
    yield Case("mixed R", times_base(a), b"m", signature, valid=False)
    for point in NON_CANONICAL_MIXED_ORDER:
        signature = sign_as(point, nonce, b"m", a=0, r=r)
        yield Case("non-canonical mixed A", point, b"m", signature, valid=False)
        signature = sign_as(public, point, b"m", a=a, r=0)
        yield Case("non-canonical mixed R", public, b"m", signature, valid=False)


def scalar_cases() -> Iterator[Case]:
    """Yield one signature with S, and the same with every multiple of L that fits added to it."""
    a, r = scalar("a"), scalar("r")
    public, nonce = times_base(a), times_base(r)
    signature = sign_as(public, nonce, b"m", a=a, r=r)
    s = int.from_bytes(signature[32:], "little")
    for k in range(16):
        if s + k * GROUP_ORDER < 2**256:
            shifted = nonce + (s + k * GROUP_ORDER).to_bytes(32, "little")
            yield Case(f"S + {k}·L", public, b"m", shifted, valid=k == 0)
    # S = 0 is in range: R = -h·A makes the equation hold.
    zero_case = nonce + bytes(32)
    yield Case("S = 0 and another R", public, b"m", zero_case, valid=False)
    at_order = nonce + GROUP_ORDER.to_bytes(32, "little")
    yield Case("S = L", public, b"m", at_order, valid=False)


def all_cases() -> list[Case]:
    """Return every case."""
    return [*small_order_cases(), *mixed_order_cases(), *scalar_cases()]
