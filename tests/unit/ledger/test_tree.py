import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.merkle import Frontier, leaf_hash, root_of, verify_consistency, verify_inclusion
from seawall.errors import OperationalError, PeerError
from seawall.formats import tlog_proof
from seawall.formats.cosignature import verify_quorum
from seawall.ledger import rows
from seawall.ledger.log import Log
from seawall.ledger.store import Batch, Table
from seawall.ledger.tree import Tree, checkpoint_note
from tests.unit.ledger.chain import (
    LOG_KEY,
    append,
    block,
    certify,
    delivery,
    make_genesis,
    origin_of,
    record,
)
from tests.unit.ledger.memory_store import MemoryStore

LEAVES = [leaf_hash(bytes((at,))) for at in range(40)]
GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)


def tree_of(size: int) -> Tree:
    store, batch = MemoryStore(), Batch()
    for level, index, value in Frontier().extend_with_nodes(LEAVES[:size]):
        batch.put(Table.NODES, rows.node_key(level, index), value)
    store.stage(batch).commit()
    return Tree(store)


@given(st.data())
def test_proofs_verify_at_every_size(data: st.DataObject) -> None:
    size_max = data.draw(st.integers(1, 40))
    tree = tree_of(size_max)
    size = data.draw(st.integers(1, size_max))
    old = data.draw(st.integers(0, size))
    index = data.draw(st.integers(0, size - 1))
    root = root_of(LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, tree.inclusion(index, size, size_max), root)
    proof = tree.consistency(old, size, size_max)
    verify_consistency(old, root_of(LEAVES[:old]), size, root, proof)


@pytest.mark.parametrize(
    ("index", "size", "code"), [(0, 0, "LOG_SIZE"), (0, 9, "LOG_SIZE"), (8, 8, "LOG_INDEX")]
)
def test_what_no_tree_has_is_refused(index: int, size: int, code: str) -> None:
    with pytest.raises(PeerError) as refused:
        tree_of(8).inclusion(index, size, 8)
    assert refused.value.code == code


@pytest.mark.parametrize(("old", "new"), [(3, 2), (0, 9), (9, 9)])
def test_a_tree_that_shrinks_or_is_not_there_is_refused(old: int, new: int) -> None:
    with pytest.raises(PeerError, match="LOG_SIZE"):
        tree_of(8).consistency(old, new, 8)


def test_a_missing_node_is_our_own_fault() -> None:
    with pytest.raises(OperationalError, match="STORE_CORRUPT"):
        tree_of(4).inclusion(0, 8, 8)


def test_checkpoint_and_proof_verify_for_any_c2sp_client() -> None:
    log = Log(MemoryStore(), GENESIS, ORIGIN)
    append(log, delivery(1, block(0, [record(0, 1)])))
    certify(log, (1, 2, 3))
    assert log.certificate is not None
    note = checkpoint_note(log.certificate, log.committee, LOG_KEY)
    cosigners = [(m.cosigner_name, m.cosigner_key, m.stake) for m in log.committee.members]
    checkpoint = verify_quorum(note, ORIGIN, GENESIS.log_key, cosigners, log.committee.quorum)
    assert (checkpoint.size, checkpoint.root) == (log.head.row.tree_size, log.head.row.root)
    index = checkpoint.size - 1
    entry = log.store.get(Table.ENTRIES, rows.key_of(index))
    assert entry is not None
    proven = tlog_proof.verify(
        Tree(log.store).proof(index, checkpoint.size, note),
        entry,
        origin=ORIGIN,
        log_key=GENESIS.log_key,
        cosigners=cosigners,
        quorum_stake=log.committee.quorum,
    )
    assert proven.index == index
