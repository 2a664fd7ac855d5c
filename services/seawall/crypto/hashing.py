"""SHA-256, plain and with a domain tag."""

from hashlib import sha256 as _sha256

DIGEST_BYTES = 32


def sha256(data: bytes | memoryview) -> bytes:
    """Return the SHA-256 digest of `data`, 32 bytes."""
    return _sha256(data).digest()


def tagged(tag: bytes, *parts: bytes) -> bytes:
    """Return a digest that binds `parts` to the one purpose named by `tag`, 32 bytes.

    The hashed bytes are, for the tag and then for each part in order, the length as an unsigned
    32-bit big-endian integer followed by the bytes themselves:

        SHA-256(u32(len(tag)) ‖ tag ‖ u32(len(parts[0])) ‖ parts[0] ‖ …)

    So no two different calls hash the same bytes, wherever the parts are cut. Each part is
    shorter than 4 GiB.
    """
    pieces = [len(tag).to_bytes(4, "big"), tag]
    for part in parts:
        pieces.append(len(part).to_bytes(4, "big"))
        pieces.append(part)
    return _sha256(b"".join(pieces)).digest()
