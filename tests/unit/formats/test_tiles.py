import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.merkle import (
    NodeReader,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from seawall.errors import LocalError, PeerError
from seawall.formats.checkpoint import SIZE_MAX
from seawall.formats.tiles import (
    ENTRIES,
    Tile,
    decode_entries,
    decode_hashes,
    encode_entries,
    encode_hashes,
    has_tile,
    new_tiles,
    node_reader,
    parse_path,
    tile_width,
    tiles_of,
)
from tests.unit.crypto.test_merkle import stored

LEAVES = [leaf_hash(b"%d" % i) for i in range(70_000)]
NODE = stored(LEAVES)


def read_tile(tile: Tile) -> bytes:
    """Serve a tile of any tree that has it, straight from the definition."""
    start = tile.index * 256
    return b"".join(NODE(8 * tile.level, start + i) for i in range(tile.width))


def tile_node(size: int) -> NodeReader:
    return node_reader(size, read_tile)


# -------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(0, 1234067, 8), "tile/0/x001/x234/067.p/8"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(63, 1000, 1), "tile/63/x001/000.p/1"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
        (Tile(0, SIZE_MAX), "tile/0/x009/x223/x372/x036/x854/x775/807"),
    ],
)
def test_paths_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert parse_path(path) == tile


@given(
    level=st.integers(min_value=-1, max_value=63),
    index=st.integers(min_value=0, max_value=SIZE_MAX),
    width=st.integers(min_value=1, max_value=256),
)
def test_paths_round_trip(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_path(tile.path()) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/00/001",
        "tile/64/001",
        "tile/100/001",
        "tile/-1/001",
        "tile/data/001",
        "tile/0/001.p",
        "tile/0/001.p/",
        "tile/0/001.p/0",
        "tile/0/001.p/08",
        "tile/0/001.p/256",
        "tile/0/001.p/999",
        "tile/0/001.p/1/2",
        "tile/0/001/",
        "/tile/0/001",
        "tile/0/../001",
        "tile/0/001\n",
        "tile/0/\u0660\u0660\u0661",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/" + "x001/" * 7 + "000",
        "tile/0/" + "x001/" * 100_000 + "000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_path(path)
    assert caught.value.code == "LOG_TILE_PATH"


@given(path=st.text("tilexnrs/.p0123456789", max_size=24))
def test_no_second_spelling_of_a_path(path: str) -> None:
    try:
        tile = parse_path(f"tile/{path}")
    except PeerError:
        return
    assert tile.path() == f"tile/{path}"


@pytest.mark.parametrize("tile", [Tile(64, 0), Tile(-2, 0), Tile(0, -1), Tile(0, 0, 0)])
def test_path_of_an_impossible_tile_is_our_bug(tile: Tile) -> None:
    with pytest.raises(AssertionError):
        tile.path()


# ------------------------------------------------------------------------------- tiles of a tree


def test_tree_of_70_000_leaves_of_the_specification() -> None:
    tiles = list(tiles_of(70_000))
    level_0 = [tile for tile in tiles if tile.level == 0]
    assert [tile.width for tile in level_0] == [256] * 273 + [112]
    assert [tile for tile in tiles if tile.level > 0] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert [tile.width for tile in tiles if tile.level == ENTRIES] == [256] * 273 + [112]


def test_tree_of_256_leaves_and_the_empty_tree() -> None:
    assert list(tiles_of(256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(0)) == []


@given(sizes=st.tuples(st.integers(0, 70_000), st.integers(0, 70_000)))
def test_growing_step_by_step_writes_every_tile(sizes: tuple[int, int]) -> None:
    old, new = sorted(sizes)
    files = {(tile.level, tile.index): tile.width for tile in tiles_of(old)}
    for tile in new_tiles(old, new):
        assert files.get((tile.level, tile.index), 0) < tile.width
        assert has_tile(tile, new)
        assert not has_tile(tile, old)
        files[tile.level, tile.index] = tile.width
    assert files == {(tile.level, tile.index): tile.width for tile in tiles_of(new)}


def test_shrinking_tree_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        list(new_tiles(2, 1))


def test_width_outside_the_tree_is_zero() -> None:
    assert tile_width(0, 273, 70_000) == 112
    assert tile_width(0, 274, 70_000) == 0
    assert tile_width(3, 0, 70_000) == 0
    assert tile_width(63, 0, SIZE_MAX) == 0
    assert has_tile(Tile(0, 273, 111), 70_000)
    assert not has_tile(Tile(0, 273, 113), 70_000)


# -------------------------------------------------------------------------------------------- bytes


@given(hashes=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=256))
def test_hashes_round_trip(hashes: list[bytes]) -> None:
    data = encode_hashes(hashes)
    assert decode_hashes(data, len(hashes)) == hashes
    for bad in (data[:-1], data + b"\x00", data + bytes(32), b""):
        with pytest.raises(PeerError) as caught:
            decode_hashes(bad, len(hashes))
        assert caught.value.code == "LOG_TILE_WIDTH"


@pytest.mark.parametrize("width", [0, 257, -1])
def test_tile_of_impossible_width(width: int) -> None:
    for decode in (decode_hashes, decode_entries):
        with pytest.raises(PeerError) as caught:
            decode(bytes(32 * max(width, 0)), width)
        assert caught.value.code == "LOG_TILE_WIDTH"


def test_encoding_an_impossible_tile_is_our_bug() -> None:
    for hashes in ([], [bytes(32)] * 257, [bytes(31)]):
        with pytest.raises(AssertionError):
            encode_hashes(hashes)
    for entries in ([], [b""] * 257):
        with pytest.raises(AssertionError):
            encode_entries(entries)


@given(entries=st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_entries_round_trip(entries: list[bytes]) -> None:
    data = encode_entries(entries)
    assert data[:2] == len(entries[0]).to_bytes(2, "big")
    assert decode_entries(data, len(entries)) == entries
    for width in (len(entries) - 1, len(entries) + 1):
        with pytest.raises(PeerError) as caught:
            decode_entries(data, width)
        assert caught.value.code == "LOG_TILE_WIDTH"
    with pytest.raises(PeerError) as caught:
        decode_entries(data + b"\x00", len(entries) + 1)
    assert (caught.value.code, caught.value.offset) == ("LOG_BUNDLE_LENGTH", len(data))
    with pytest.raises(PeerError) as caught:
        decode_entries(data[:-1], len(entries))
    assert caught.value.code == "LOG_BUNDLE_LENGTH"


def test_longest_entry() -> None:
    longest = bytes(65_535)
    assert decode_entries(encode_entries([longest] * 256), 256) == [longest] * 256
    with pytest.raises(LocalError) as caught:
        encode_entries([b"", longest + b"\x00"])
    assert caught.value.code == "LOG_ENTRY_SIZE"


# ------------------------------------------------------------------------------- proofs from tiles


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000])
def test_proofs_from_tiles_are_those_from_the_tree(size: int) -> None:
    node = tile_node(size)
    assert frontier_at(size, node).root() == root_of(LEAVES[:size])
    for index in {0, size // 3, size // 2, size - 1}:
        assert inclusion_proof(index, size, node) == inclusion_proof(index, size, NODE)
        assert consistency_proof(index, size, node) == consistency_proof(index, size, NODE)


def test_each_tile_is_read_once_at_the_width_of_the_tree() -> None:
    asked: list[Tile] = []

    def read(tile: Tile) -> bytes:
        asked.append(tile)
        return read_tile(tile)

    node = node_reader(70_000, read)
    for _ in range(2):
        inclusion_proof(69_999, 70_000, node)
    # The full tile (1, 0) is not needed: its root is the one hash of tile level 2.
    assert sorted(asked) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_tile_of_wrong_length_from_a_replica() -> None:
    node = node_reader(300, lambda tile: read_tile(tile)[:-1])
    with pytest.raises(PeerError) as caught:
        inclusion_proof(5, 300, node)
    assert caught.value.code == "LOG_TILE_WIDTH"


def test_incomplete_subtree_is_not_in_any_tile() -> None:
    with pytest.raises(AssertionError):
        tile_node(300)(8, 1)
