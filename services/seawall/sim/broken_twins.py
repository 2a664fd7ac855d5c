"""Evidence against authors broken on purpose, for `mutants`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from msgspec import structs

from seawall.codec import signature_of
from seawall.consensus.dag import core as core_module
from seawall.consensus.dag import engine as engine_module
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.recovery import Restored, restore
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.consensus.dag.twins import twins_in
from seawall.consensus.engine import Record
from seawall.domain.commit import Commit, Twins, Verdict
from seawall.domain.committee import Committee
from seawall.sim.broken_votes import many_rounds
from seawall.sim.machinery import Machinery
from seawall.sim.mutant import Mutant
from seawall.sim.network import MILLISECOND_US
from seawall.sim.plan import Crash, Plan

_CRASH_AT_US: Final = tuple([at * 150 * MILLISECOND_US for at in range(2, 8)])


def held_twins(store: BlockStore, delivered: Sequence[Vertex]) -> tuple[Twins, ...]:
    """Name a delivered block's twins that are held, delivered or not."""
    found: list[Twins] = []
    for second in delivered:
        slot = store.at_slot(second.round, second.author)
        others = sorted([one for one in slot if one is not second], key=lambda one: one.ref)
        for first in others[:1]:
            signatures = [signature_of(one.block.raw) for one in (first, second)]
            found.append(Twins(first.ref, signatures[0], second.ref, signatures[1]))
    return tuple(found)


def twins_within(store: BlockStore, delivered: Sequence[Vertex]) -> tuple[Twins, ...]:
    """Name twins of one commit only."""
    here = {vertex.ref for vertex in delivered}
    return tuple([one for one in twins_in(store, delivered) if one.first in here])


def twins_signed_once(store: BlockStore, delivered: Sequence[Vertex]) -> tuple[Twins, ...]:
    """Give one signature for both blocks."""
    return tuple(
        [
            structs.replace(one, first_signature=one.second_signature)
            for one in twins_in(store, delivered)
        ]
    )


def restore_without_twins(core: Core, committee: Committee, records: Sequence[Record]) -> Restored:
    """Deliver the commits of the journal again without what they say of twins."""
    restored = restore(core, committee, records)
    core.effects.deliver = [structs.replace(one, twins=()) for one in core.effects.deliver]
    return restored


class ForgetfulCore(Core):
    """Repeats what a base says of verdicts, and nothing of twins."""

    def take_verdicts(
        self, commit: Commit, verdicts: tuple[Verdict, ...], finality_digest: bytes
    ) -> Commit:
        """Name no twins."""
        return structs.replace(super().take_verdicts(commit, verdicts, finality_digest), twins=())


def _with_crashes(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let honest sites restart in turn, in the part of the run in which twins are delivered."""
    honest = [seat for seat in range(len(plan.stakes)) if seat not in plan.faulty]
    crashes = tuple(
        [
            Crash(
                at_us=at_us,
                seat=honest[turn % len(honest)],
                restart_after_us=50 * MILLISECOND_US,
            )
            for turn, at_us in enumerate(_CRASH_AT_US)
        ]
    )
    faults = sorted((*plan.faults, *crashes), key=lambda fault: fault.at_us)
    heal_us = max(plan.heal_us, _CRASH_AT_US[-1] + 350 * MILLISECOND_US)
    return replace(plan, faults=tuple(faults), heal_us=heal_us), parts


def _with_bases(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Let the restarts find bases that hold commits with twins."""
    return _with_crashes(*many_rounds(plan, parts))


TWINS_MUTANTS: Final[Mapping[str, Mutant]] = {
    "twins_held_not_delivered": Mutant(
        summary="a commit names twins of which the site holds one that was never delivered",
        profile="twins",
        caught_by=("TWINS",),
        replacements=((core_module, "twins_in", held_twins),),
    ),
    "twins_of_one_commit": Mutant(
        summary="a twin is not compared with what earlier commits delivered",
        profile="twins",
        caught_by=("TWINS",),
        replacements=((core_module, "twins_in", twins_within),),
    ),
    "twins_signed_once": Mutant(
        summary="evidence has the signature of one block twice",
        profile="twins",
        caught_by=("TWINS",),
        replacements=((core_module, "twins_in", twins_signed_once),),
    ),
    "twins_lost_at_restart": Mutant(
        summary="commits that are delivered again after a restart name no twins",
        profile="twins",
        caught_by=("TWINS",),
        change=_with_crashes,
        replacements=((engine_module, "restore", restore_without_twins),),
    ),
    "twins_not_in_base": Mutant(
        summary="commits that a base of the journal holds name no twins",
        profile="twins",
        caught_by=("TWINS",),
        seeds_max=40,
        change=_with_bases,
        replacements=((engine_module, "Core", ForgetfulCore),),
        engines=("sync",),  # a base and a pair of twins meet too rarely with longer waves
    ),
}
