"""Every pair of delivered twins is named, at the same commit by everybody, and nothing else is."""

from collections.abc import Sequence
from functools import cache
from random import Random

import pytest

from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.dag.recovery import make_base, restore
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_committee, make_identity
from tests.unit.consensus.dag.drawing import RandomDag

COMMITTEE = make_committee()
LIAR = 3
SEEDS = range(8)


def new_core() -> Core:
    """Return the core of member 0; its gc rounds pass over blocks soon."""
    parameters = ConsensusParameters(gc_depth=8)
    return Core(make_identity(0), COMMITTEE, parameters, PermutationLeaders(COMMITTEE, 2))


def admit_all(core: Core, blocks: Sequence[VerifiedBlock]) -> None:
    """Admit blocks, those of the liar as answers, and commit what they decide."""
    for block in blocks:
        core.admit(block, solicited=True)
        core.decide()


@cache
def drawn(seed: int) -> list[VerifiedBlock]:
    """Return a random DAG in which one author signs as often as it likes."""
    return RandomDag(COMMITTEE, frozenset({LIAR}), 30, seed).blocks


def grown(seed: int, *, order: int = 0) -> Core:
    """Return a core that has accepted a random DAG, the blocks of a round in some order."""
    random = Random(order)
    core = new_core()
    admit_all(core, sorted(drawn(seed), key=lambda one: (one.ref.round, random.random())))
    return core


def pairs(commits: Sequence[Commit]) -> list[tuple[tuple[Ref, Ref], ...]]:
    """Return the blocks that each commit says are twins."""
    return [tuple((one.first, one.second) for one in commit.twins) for commit in commits]


def expected(commits: Sequence[Commit]) -> list[tuple[tuple[Ref, Ref], ...]]:
    """Return what each commit must say, from the blocks of all commits up to it."""
    slots: dict[tuple[int, int], list[Ref]] = {}
    said = []
    for commit in commits:
        found = []
        for block in commit.blocks:
            before = slots.setdefault(block.ref.slot, [])
            if before:
                found.append((min(before), block.ref))
            before.append(block.ref)
        said.append(tuple(found))
    return said


def test_random_dags_have_twins_in_one_commit_and_across_commits() -> None:
    commits = [grown(seed).effects.deliver for seed in SEEDS]
    within = across = 0
    for chain in commits:
        for commit, found in zip(chain, expected(chain), strict=True):
            here = {block.ref for block in commit.blocks}
            within += sum(first in here for first, _ in found)
            across += sum(first not in here for first, _ in found)
    assert min(within, across) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_delivered_twins_are_named_whatever_else_is_held(seed: int) -> None:
    first, second = grown(seed), grown(seed, order=1)
    commits = first.effects.deliver
    assert len(commits) > 10
    assert pairs(commits) == expected(commits)
    assert {one.second.author for commit in commits for one in commit.twins} <= {LIAR}
    assert second.effects.deliver == commits
    raws = {block.ref: block.raw for commit in commits for block in commit.blocks}
    for commit in commits:
        for one in commit.twins:
            assert raws[one.first].endswith(one.first_signature)
            assert raws[one.second].endswith(one.second_signature)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_repeats_what_was_said(seed: int) -> None:
    core = grown(seed)
    commits = core.effects.deliver
    again = new_core()
    restore(again, COMMITTEE, core.unwritten)
    assert again.effects.deliver == commits
    middle = len(commits) // 2
    for commit in commits:
        core.rooted(commit.index, commit.index, bytes(32))
    core.votes.certified_index = middle
    based = new_core()
    restore(based, COMMITTEE, make_base(core, core.store.at_slot(1, 0)[0].ref, floor=0))
    assert based.effects.deliver == commits[middle:]


@pytest.mark.parametrize("seed", SEEDS)
def test_who_takes_over_commits_says_the_same(seed: int) -> None:
    commits = grown(seed).effects.deliver
    behind = new_core()
    for commit in commits:
        behind._adopt_one(commit)  # noqa: SLF001 - certificates are another matter
    assert behind.effects.deliver == commits
