from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pymerkle  # type: ignore[import-untyped]  # it publishes no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.merkle import (
    EMPTY_ROOT,
    Frontier,
    NodeReader,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from seawall.errors import PeerError
from tests.unit.crypto import rfc6962
from tests.unit.crypto.golden import read_json

CT = read_json("log/rfc6962.json")
ENTRIES = [b"entry %d" % i for i in range(70)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
SIZES = st.integers(min_value=1, max_value=len(ENTRIES))


def stored(leaves: list[bytes]) -> NodeReader:
    """Return node(level, index) over complete subtrees only, as a store would have them."""
    nodes = {(level, i): value for level, i, value in Frontier().extend_with_nodes(leaves)}

    def node(level: int, index: int) -> bytes:
        return nodes[level, index]

    return node


NODE = stored(LEAVES)


def root(size: int) -> bytes:
    return root_of(LEAVES[:size])


def refused(check: Callable[..., None], *arguments: object) -> str:
    with pytest.raises(PeerError) as caught:
        check(*arguments)
    return caught.value.code


def from_hex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


# ------------------------------------------------------------------------------- published vectors


def test_roots_of_the_certificate_transparency_tree() -> None:
    leaves = [leaf_hash(entry) for entry in from_hex(CT["leaves"])]
    frontier = Frontier()
    roots = [frontier.root()]
    for leaf in leaves:
        frontier.append(leaf)
        roots.append(frontier.root())
    assert roots == from_hex(CT["roots"])
    assert [root_of(leaves[:size]) for size in range(9)] == roots
    assert roots[0] == EMPTY_ROOT


@pytest.mark.parametrize("case", CT["inclusion"], ids=lambda c: f"{c['index']}-of-{c['size']}")
def test_inclusion_proofs_of_the_certificate_transparency_tree(case: dict[str, Any]) -> None:
    leaves = [leaf_hash(entry) for entry in from_hex(CT["leaves"])]
    index, size, proof = case["index"], case["size"], from_hex(case["proof"])
    assert inclusion_proof(index, size, stored(leaves)) == proof
    verify_inclusion(leaves[index], index, size, proof, bytes.fromhex(CT["roots"][size]))


@pytest.mark.parametrize("case", CT["consistency"], ids=lambda c: f"{c['old']}-to-{c['new']}")
def test_consistency_proofs_of_the_certificate_transparency_tree(case: dict[str, Any]) -> None:
    leaves = [leaf_hash(entry) for entry in from_hex(CT["leaves"])]
    old, new, proof = case["old"], case["new"], from_hex(case["proof"])
    roots = from_hex(CT["roots"])
    assert consistency_proof(old, new, stored(leaves)) == proof
    verify_consistency(old, roots[old], new, roots[new], proof)


# ------------------------------------------------------------- against definition and other library


def test_every_proof_of_every_small_tree_is_that_of_the_definition() -> None:
    for size in range(1, 18):
        entries = ENTRIES[:size]
        assert root(size) == rfc6962.tree_hash(entries)
        for index in range(size):
            assert inclusion_proof(index, size, NODE) == rfc6962.path(index, entries)
        for old in range(1, size):
            assert consistency_proof(old, size, NODE) == rfc6962.proof(old, entries)


@given(size=SIZES, data=st.data())
def test_proofs_of_any_tree_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    assert inclusion_proof(index, size, NODE) == rfc6962.path(index, ENTRIES[:size])
    if index:
        assert consistency_proof(index, size, NODE) == rfc6962.proof(index, ENTRIES[:size])


def test_agrees_with_pymerkle() -> None:
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for size, entry in enumerate(ENTRIES, start=1):
        assert other.append_entry(entry) == size
        assert other.get_leaf(size) == LEAVES[size - 1]
        assert other.get_root() == root(size)
    for index in range(0, 70, 7):
        theirs = other.prove_inclusion(index + 1, 70)
        pymerkle.verify_inclusion(LEAVES[index], root(70), theirs)
    for old in range(1, 70, 6):
        pymerkle.verify_consistency(root(old), root(70), other.prove_consistency(old, 70))


# ----------------------------------------------------------------------------------------- frontier


@given(cuts=st.lists(st.integers(min_value=0, max_value=70), max_size=5))
def test_how_leaves_arrive_does_not_matter(cuts: list[int]) -> None:
    marks = [0, *sorted(cuts), len(LEAVES)]
    batched, listing = Frontier(), Frontier()
    for start, stop in pairwise(marks):
        batched.extend(LEAVES[start:stop])
        listing.extend_with_nodes(LEAVES[start:stop])
    for frontier in (batched, listing):
        assert (frontier.size, frontier.root()) == (70, root(70))
        assert frontier.hashes == frontier_at(70, NODE).hashes


def test_copy_is_independent() -> None:
    frontier = Frontier()
    frontier.extend(LEAVES[:5])
    before = frontier.copy()
    frontier.append(LEAVES[5])
    assert (before.size, before.root()) == (5, root(5))
    assert (frontier.size, frontier.root()) == (6, root(6))
    before.append(LEAVES[5])
    assert before.root() == frontier.root()


def test_frontier_resumes_from_size_and_hashes() -> None:
    for size in range(30):
        frontier = Frontier()
        frontier.extend(LEAVES[:size])
        resumed = Frontier(frontier.size, frontier.hashes)
        resumed.extend(LEAVES[size:40])
        assert resumed.root() == root(40)


@pytest.mark.parametrize(("size", "hashes"), [(-1, []), (3, [bytes(32)]), (1, [bytes(31)])])
def test_impossible_frontier_is_our_bug(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(AssertionError):
        Frontier(size, hashes)


def test_completed_nodes_are_the_complete_subtrees() -> None:
    frontier = Frontier()
    nodes = [*frontier.extend_with_nodes(LEAVES[:3]), *frontier.extend_with_nodes(LEAVES[3:10])]
    places = [(level, index) for level, index, _ in nodes]
    expected = [(level, i) for level in range(4) for i in range(10 >> level)]
    assert sorted(places) == expected
    for level, index, value in nodes:
        assert value == rfc6962.tree_hash(ENTRIES[index << level : (index + 1) << level])


# --------------------------------------------------------------------------------- what is refused


@given(size=SIZES, data=st.data())
def test_inclusion_holds_for_nothing_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    proof = inclusion_proof(index, size, NODE)
    verify_inclusion(LEAVES[index], index, size, proof, root(size))

    wrong = leaf_hash(b"something else")
    codes = [refused(verify_inclusion, wrong, index, size, proof, root(size))]
    codes.append(refused(verify_inclusion, LEAVES[index], index, size, proof, wrong))
    for place in range(len(proof)):
        bent = [*proof[:place], wrong, *proof[place + 1 :]]
        codes.append(refused(verify_inclusion, LEAVES[index], index, size, bent, root(size)))
    assert set(codes) == {"LOG_PROOF_ROOT"}
    for other in range(size):
        if other != index:
            assert refused(verify_inclusion, LEAVES[index], other, size, proof, root(size)) in {
                "LOG_PROOF_ROOT",
                "LOG_PROOF_LENGTH",
            }


@given(size=SIZES, data=st.data())
def test_inclusion_proof_that_is_padded_cut_or_misshapen(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    proof = inclusion_proof(index, size, NODE)
    misshapen = [[*proof, root(size)], [root(size), *proof], [*proof, *proof, b""]]
    if proof:
        misshapen += [proof[:-1], proof[1:]]
    for bad in misshapen:
        code = refused(verify_inclusion, LEAVES[index], index, size, bad, root(size))
        assert code == "LOG_PROOF_LENGTH"
    for length in (0, 31, 33):
        bad = [value[:length].ljust(length, b"\x00") for value in proof]
        if bad:
            code = refused(verify_inclusion, LEAVES[index], index, size, bad, root(size))
            assert code == "LOG_PROOF_HASH"


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (6, 5), (-1, 5), (2**63, 5)])
def test_index_outside_the_tree(index: int, size: int) -> None:
    assert refused(verify_inclusion, LEAVES[0], index, size, [], root(5)) == "LOG_PROOF_INDEX"


@given(new=SIZES, data=st.data())
def test_consistency_holds_for_nothing_else(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(min_value=0, max_value=new))
    proof = consistency_proof(old, new, NODE)
    verify_consistency(old, root(old), new, root(new), proof)

    wrong = leaf_hash(b"something else")
    padded = [*proof, wrong]
    assert refused(verify_consistency, old, root(old), new, root(new), padded) == (
        "LOG_PROOF_LENGTH"
    )
    assert refused(verify_consistency, old, wrong, new, root(new), proof) in {
        "LOG_PROOF_OLD_ROOT",
        "LOG_PROOF_FORK",
        "LOG_PROOF_ROOT",
    }
    if 0 < old < new:
        assert refused(verify_consistency, old, root(old), new, wrong, proof) == "LOG_PROOF_ROOT"
        for place in range(len(proof)):
            bent = [*proof[:place], wrong, *proof[place + 1 :]]
            assert refused(verify_consistency, old, root(old), new, root(new), bent) in {
                "LOG_PROOF_OLD_ROOT",
                "LOG_PROOF_ROOT",
            }
        assert (
            refused(verify_consistency, old, root(old), new, root(new), proof[:-1])
            == "LOG_PROOF_LENGTH"
        )
        short = [value[:31] for value in proof]
        assert refused(verify_consistency, old, root(old), new, root(new), short) == (
            "LOG_PROOF_HASH"
        )


def test_wrong_old_root_is_told_from_wrong_new_root() -> None:
    # Sizes 6 and 8: the old tree is no single complete subtree, so both roots are recomputed.
    proof = consistency_proof(6, 8, NODE)
    assert refused(verify_consistency, 6, root(5), 8, root(8), proof) == "LOG_PROOF_OLD_ROOT"
    assert refused(verify_consistency, 6, root(6), 8, root(9), proof) == "LOG_PROOF_ROOT"


def test_shrinking_log_and_split_view() -> None:
    assert refused(verify_consistency, 8, root(8), 6, root(6), []) == "LOG_PROOF_SHRINK"
    assert refused(verify_consistency, -1, root(8), 6, root(6), []) == "LOG_PROOF_SHRINK"
    assert refused(verify_consistency, 6, root(6), 6, root(7), []) == "LOG_PROOF_FORK"
    assert refused(verify_consistency, 0, root(1), 6, root(6), []) == "LOG_PROOF_OLD_ROOT"


def test_a_leaf_is_never_an_inner_node() -> None:
    # Second preimage: an entry made of two leaf hashes must not hash like their parent.
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])
    with pytest.raises(PeerError):
        verify_inclusion(leaf_hash(LEAVES[0] + LEAVES[1]), 0, 1, [], root(2))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_proof_of_no_leaf_is_our_bug(index: int, size: int) -> None:
    with pytest.raises(AssertionError):
        inclusion_proof(index, size, NODE)


@pytest.mark.parametrize(("old", "new"), [(3, 2), (-1, 2)])
def test_proof_of_a_shrinking_tree_is_our_bug(old: int, new: int) -> None:
    with pytest.raises(AssertionError):
        consistency_proof(old, new, NODE)


def test_largest_tree_the_format_allows() -> None:
    # One subtree of 2^62 equal leaves per level: node(level, ·) depends on the level alone.
    levels = [leaf_hash(b"same")]
    for _ in range(63):
        levels.append(node_hash(levels[-1], levels[-1]))
    size = 2**63 - 1

    def node(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size
        return levels[level]

    huge = frontier_at(size, node).root()
    for index in (0, 1, 2**62, size - 1):
        proof = inclusion_proof(index, size, node)
        assert len(proof) <= 63
        verify_inclusion(levels[0], index, size, proof, huge)
    old = 2**62 + 12345
    proof = consistency_proof(old, size, node)
    verify_consistency(old, frontier_at(old, node).root(), size, huge, proof)
