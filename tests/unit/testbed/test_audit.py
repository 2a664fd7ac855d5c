"""The auditor's own rules and proofs give the same bytes as the package's."""

import json
from hashlib import sha256

import numpy as np
import pytest
from msgspec.structs import replace
from nacl.exceptions import BadSignatureError

from seawall.aggregation.rules import Contribution, RuleParameters, aggregate
from seawall.crypto import merkle
from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.domain.commit import Twins
from seawall.formats import entry as entries
from seawall.formats import genesis as genesis_format
from seawall.ledger.log import Log
from seawall.ledger.store import Table
from tests.unit.ledger.chain import append, delivery, make_genesis, origin_of, record, twins_by
from tests.unit.ledger.memory_store import MemoryStore
from tools import audit

SIZE = 700


def deltas(count: int, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    common = generator.normal(0, 4000, SIZE)
    rows = [common + generator.normal(0, 6000, SIZE) for _ in range(count)]
    rows[0] = -rows[0] * 100
    return [np.rint(np.clip(row, -audit.LIMIT, audit.LIMIT)).astype(np.int32) for row in rows]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 2, 9, 10])
@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("rule", ["fedavg", "root-gate", "clip-nnm-median"])
def test_rules_agree_with_the_package(rule: str, gate: bool, count: int, seed: int) -> None:  # noqa: FBT001 - a parameter of the test
    given = {"f": 4, "eta_numerator": 3, "eta_denominator": 2, "examples_cap": 7}
    *rows, root, head = deltas(count + 2, seed)
    names = [sha256(bytes([seed, at])).digest() for at in range(count)]
    outcome = aggregate(
        RuleParameters(name=rule, **given),
        head,
        [
            Contribution(update_id=name, delta=row, staleness=at % 5, num_examples=3 * at)
            for at, (name, row) in enumerate(zip(names, rows, strict=True))
        ],
        root if gate else None,
    )
    order = sorted(range(count), key=lambda at: names[at])
    chosen = [(at % 5, 3 * at, rows[at].astype(np.int64)) for at in order]
    reference = root.astype(np.int64) if gate else None
    spec = {"name": rule, "parameters": given, "version": 1}
    again = audit.next_head(spec, head.astype(np.int64), chosen, reference)
    assert np.array_equal(outcome.head, again)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 13, 64, 100])
def test_trees_and_paths_agree_with_the_package(size: int) -> None:
    lines = [f"entry {at}" for at in range(size)]
    leaves = [merkle.leaf_hash(entry.encode()) for entry in lines]
    root = merkle.root_of(leaves)
    assert audit.tree_root(lines) == root

    def node(level: int, at: int) -> bytes:
        return merkle.root_of(leaves[at << level : (at + 1) << level])

    for index in range(size):
        path = merkle.inclusion_proof(index, size, node)
        assert audit.path_root(leaves[index], index, size, path) == root
        if path:
            with pytest.raises(ValueError, match="length"):
                audit.path_root(leaves[index], index, size, path[1:])


def audited(*leaves: bytes) -> audit.Audit:
    """Return an audit of these entries; the contributors of the test chain are enrolled."""
    made = audit.Audit.__new__(audit.Audit)
    made.log = [leaf.decode() for leaf in leaves]
    made.people = {
        record(person, 1).contributor.hex(): {"roles": ["contributor"]} for person in range(3)
    }
    made.updates, made.heads = {}, {}
    return made


def leaf_of(update: UpdateRecord, *taint: str) -> bytes:
    return entries.encode_update(update, commit=1, task="digits", site=0, batch=1, taint=taint)


def convicting(*some: Twins) -> audit.Audit:
    """Return an audit of a ledger that got these twins."""
    genesis = make_genesis()
    log = Log(MemoryStore(), genesis, origin_of(genesis))
    append(log, *[delivery(at, twins=[one]) for at, one in enumerate(some, 1)])
    leaves = [value for _, value in log.store.scan(Table.ENTRIES, b"", 100)]
    made = audited(*leaves)
    made.origin = log.origin
    made.sites = json.loads(genesis_format.encode(genesis))["spec"]["sites"]
    return made


def test_convictions_are_what_the_keys_of_genesis_say() -> None:
    assert convicting().convictions() == "twins of nobody"
    made = convicting(twins_by(2), twins_by(2, 8), twins_by(0))
    assert made.convictions() == "twins of site-2, site-0"
    twins = twins_by(2)
    for false in (
        replace(twins, second_signature=bytes(64)),
        replace(twins, first_signature=twins.second_signature),
        replace(twins, second=replace(twins.second, round=8), second_signature=bytes(64)),
        twins_by(2, 8, second="a"),
    ):
        with pytest.raises((BadSignatureError, ValueError), match=r"Signature|two blocks"):
            convicting(false).convictions()
    made.log += made.log[-1:]
    with pytest.raises(ValueError, match="once a validator"):
        made.convictions()


def test_what_a_rule_forbids_is_accepted_only_as_taint() -> None:
    first, copy = record(0, 1, "same"), record(0, 2, "same")
    root = record(1, 1, kind=UpdateKind.ROOT)
    tainted = audited(
        leaf_of(first), leaf_of(copy, "REPLAY_PAYLOAD"), leaf_of(root, "KEY_ROLE", "REPLAY_BASE")
    )
    tainted.models()
    # Whatever is tainted, no cut may name.
    assert list(tainted.updates) == [first.update_id.hex()]
    for leaves, claim in (
        ((leaf_of(first), leaf_of(copy)), "payload counts once"),
        ((leaf_of(first), leaf_of(copy, "REPLAY_BASE")), "payload counts once"),
        ((leaf_of(root),), "enrolled key"),
        ((leaf_of(first), leaf_of(record(0, 1, "two"), "REPLAY_SEQ")), "seq counts once"),
    ):
        with pytest.raises(ValueError, match=claim):
            audited(*leaves).models()
