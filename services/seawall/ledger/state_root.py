"""A digest of tables that depends on what they hold, never on how they came to hold it.

Rows are grouped by key into buckets of 256. A bucket is hashed when one of its rows changed, in
ascending order of keys, and a table's digest covers its buckets the same way. So a commit pays for
the buckets that it touches, two sites that hold equal rows have equal digests whatever their
histories, and no algebraic set hash is needed.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import Final

from seawall.crypto.hashing import tagged

_BUCKET_BITS: Final = 8
_ROW: Final = Struct(">QI")
_BUCKET: Final = Struct(">Q32s")
_TREE: Final = Struct(">Q32s")
_TAG: Final = b"seawall/state/v2"


class TableDigest:
    """The rows of one table by integer key, and their digest."""

    __slots__ = ("_buckets", "_digests", "_stale")

    def __init__(self) -> None:
        """Start with an empty table."""
        self._buckets: dict[int, dict[int, bytes]] = {}
        self._digests: dict[int, bytes] = {}
        self._stale: dict[int, None] = {}

    def set(self, key: int, value: bytes) -> None:
        """Set a row."""
        bucket = key >> _BUCKET_BITS
        self._buckets.setdefault(bucket, {})[key] = value
        self._stale[bucket] = None

    def remove(self, key: int) -> None:
        """Remove a row, which is there."""
        bucket = key >> _BUCKET_BITS
        del self._buckets[bucket][key]
        self._stale[bucket] = None

    def digest(self) -> bytes:
        """Return the digest of the table as it is now, 32 bytes."""
        for bucket in self._stale:
            rows = self._buckets[bucket]
            if rows:
                self._digests[bucket] = _digest_rows(rows)
            else:
                del self._buckets[bucket]
                self._digests.pop(bucket, None)
        self._stale.clear()
        ordered = sorted(self._digests.items())
        return sha256(b"".join([_BUCKET.pack(*bucket) for bucket in ordered])).digest()


def combine(tables: Sequence[bytes], tree_size: int, root: bytes, finality_digest: bytes) -> bytes:
    """Return the state root over the digests of the tables and what they stand beside.

    The tree covers everything that only grows (which sequence numbers and payloads were accepted,
    and where): that is a function of the log's entries and needs no second hash. The finaliser's
    digest covers what is delivered and not judged yet; it is empty before the first.
    """
    return tagged(_TAG, *tables, _TREE.pack(tree_size, root), finality_digest)


def _digest_rows(rows: dict[int, bytes]) -> bytes:
    pieces = []
    for key, value in sorted(rows.items()):
        pieces.append(_ROW.pack(key, len(value)))
        pieces.append(value)
    return sha256(b"".join(pieces)).digest()
