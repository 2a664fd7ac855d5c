"""C2SP tiles: a log as static files that any replica or cache can serve.

A tile holds up to 256 consecutive hashes of one level; tile level L has the tree's hashes of
level 8·L, so eight levels of the tree lie inside each tile. An entry bundle holds up to 256
entries, each after its length as an unsigned 16-bit big-endian integer. Only the last tile of a
level is partial; its width is then part of its path.

Source: c2sp.org/tlog-tiles.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from seawall.crypto.hashing import DIGEST_BYTES
from seawall.crypto.merkle import NodeReader, root_of
from seawall.errors import LocalError, PeerError
from seawall.formats.checkpoint import SIZE_MAX

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
TILE_LEVEL_MAX: Final = 63
TILE_BYTES_MAX: Final = TILE_WIDTH * DIGEST_BYTES
ENTRY_BYTES_MAX: Final = 65_535
BUNDLE_BYTES_MAX: Final = TILE_WIDTH * (2 + ENTRY_BYTES_MAX)
ENTRIES: Final = -1
"""The level of entry bundles, which lie under the leaf hashes of level 0."""

_GROUP: Final = 1000
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|[0-9]|[1-9][0-9])"
    r"/(?P<index>(?!x000)(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Tile(msgspec.Struct, frozen=True, order=True):
    """Which tile: not its content."""

    level: int
    """0 to 63, or `ENTRIES`."""
    index: int
    """Position within the level, from 0."""
    width: int = TILE_WIDTH
    """Number of hashes or entries, 1 to 256; less than 256 is a partial tile."""

    def path(self) -> str:
        """Return the path under the log's prefix, such as `tile/0/x001/x234/067.p/8`."""
        assert ENTRIES <= self.level <= TILE_LEVEL_MAX, "a tile level is at most 63"
        assert 0 <= self.index <= SIZE_MAX, "a tile index is not negative"
        assert 1 <= self.width <= TILE_WIDTH, "a tile has 1 to 256 hashes"
        rest, last = divmod(self.index, _GROUP)
        number = f"{last:03d}"
        while rest:
            rest, group = divmod(rest, _GROUP)
            number = f"x{group:03d}/{number}"
        level = "entries" if self.level == ENTRIES else str(self.level)
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{number}{suffix}"


def parse_path(path: str) -> Tile:
    """Read a tile path, strictly: `parse_path(p).path() == p`.

    Raises PeerError `LOG_TILE_PATH` for anything else.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise PeerError("LOG_TILE_PATH", "write tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")
    level = ENTRIES if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = int(match["width"] or TILE_WIDTH)
    if level > TILE_LEVEL_MAX or index > SIZE_MAX:
        raise PeerError("LOG_TILE_PATH", "a level is at most 63, an index at most 2^63 - 1")
    if match["width"] and width >= TILE_WIDTH:
        raise PeerError("LOG_TILE_PATH", "a partial tile has a width of 1 to 255")
    return Tile(level, index, width)


def tile_width(level: int, index: int, size: int) -> int:
    """Return how wide a tile is in the tree of `size` leaves: 0 (not there) to 256."""
    count = size >> (TILE_HEIGHT * max(level, 0))
    return max(0, min(TILE_WIDTH, count - index * TILE_WIDTH))


def has_tile(tile: Tile, size: int) -> bool:
    """Return whether every hash of this tile, partial or full, exists in the tree."""
    return tile.width <= tile_width(tile.level, tile.index, size)


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every tile of the tree of `size` leaves, entry bundles first, level by level."""
    return new_tiles(0, size)


def new_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Yield the tiles that the larger tree has and the smaller does not, level by level.

    These are the files to write when a checkpoint moves on: each tile whose content changed, once,
    at its new width.
    """
    assert 0 <= old_size <= new_size, "a tree only grows"
    level = ENTRIES
    while level < 0 or new_size >> (TILE_HEIGHT * level):
        shift = TILE_HEIGHT * max(level, 0)
        old_count, new_count = old_size >> shift, new_size >> shift
        if new_count > old_count:
            for index in range(old_count // TILE_WIDTH, (new_count - 1) // TILE_WIDTH + 1):
                yield Tile(level, index, tile_width(level, index, new_size))
        level += 1


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the bytes of a tile of 1 to 256 hashes."""
    assert 1 <= len(hashes) <= TILE_WIDTH, "a tile has 1 to 256 hashes"
    assert all(len(value) == DIGEST_BYTES for value in hashes), "hashes are 32 bytes"
    return b"".join(hashes)


def decode_hashes(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile of this width, 1 to 256.

    Raises PeerError `LOG_TILE_WIDTH` when the data is not exactly that many hashes.
    """
    if len(data) != width * DIGEST_BYTES or not 1 <= width <= TILE_WIDTH:
        raise PeerError("LOG_TILE_WIDTH", "a tile is 32 bytes for each of its 1 to 256 hashes")
    return [data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES)]


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Return the bundle of 1 to 256 entries.

    Raises LocalError `LOG_ENTRY_SIZE` for an entry over 65,535 bytes.
    """
    assert 1 <= len(entries) <= TILE_WIDTH, "a bundle has 1 to 256 entries"
    pieces: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise LocalError("LOG_ENTRY_SIZE", "an entry is at most 65,535 bytes")
        pieces.append(len(entry).to_bytes(2, "big"))
        pieces.append(entry)
    return b"".join(pieces)


def decode_entries(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle of this width, 1 to 256.

    Raises PeerError `LOG_BUNDLE_LENGTH` when an entry is cut short, `LOG_TILE_WIDTH` when the
    bundle has another number of entries.
    """
    entries: list[bytes] = []
    offset, end = 0, len(data)
    while offset < end and len(entries) <= width:
        start = offset + 2
        stop = start + int.from_bytes(data[offset:start], "big")
        if start > end or stop > end:
            raise PeerError("LOG_BUNDLE_LENGTH", "the last entry is cut short", offset=offset)
        entries.append(data[start:stop])
        offset = stop
    if len(entries) != width or not 1 <= width <= TILE_WIDTH:
        raise PeerError("LOG_TILE_WIDTH", "a bundle has exactly its width of 1 to 256 entries")
    return entries


def node_reader(size: int, read: Callable[[Tile], bytes]) -> NodeReader:
    """Return `node(level, index)` for the tree of `size` leaves, computed from its tiles.

    `read` returns a tile's bytes; it is asked once for each tile, at the width the tree of this
    size has, and what it raises passes through. A tile of another length is refused with PeerError
    `LOG_TILE_WIDTH`. The tiles read are kept as long as the reader: at most two for each tile
    level of a proof.
    """
    known: dict[tuple[int, int], list[bytes]] = {}

    def node(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size, "only complete subtrees are in tiles"
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        place = (tile_level, first // TILE_WIDTH)
        if place not in known:
            tile = Tile(*place, tile_width(*place, size))
            known[place] = decode_hashes(read(tile), tile.width)
        start = first % TILE_WIDTH
        return root_of(known[place][start : start + (1 << height)])

    return node
