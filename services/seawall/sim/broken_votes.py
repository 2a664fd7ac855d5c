"""Fast paths broken on purpose, for `mutants`: votes, locks, FINAL, and the finaliser."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from seawall.consensus.dag import ballots as ballots_module
from seawall.consensus.dag import core as core_module
from seawall.consensus.dag import fast_path as fast_path_module
from seawall.consensus.dag import finaliser as finaliser_module
from seawall.consensus.dag import recovery as recovery_module
from seawall.consensus.dag.ballots import Ballots
from seawall.consensus.dag.committer import Committer, Verdict
from seawall.consensus.dag.fast_path import FastPath, FastPathState
from seawall.consensus.dag.finaliser import Finaliser, FinaliserState, _Carrier, _vote
from seawall.consensus.dag.locks import Locks, Taken
from seawall.consensus.dag.records import fast_path_record
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.consensus.engine import Finality, Record
from seawall.domain.commit import Verdict as UpdateVerdict
from seawall.domain.parameters import ConsensusParameters
from seawall.sim.machinery import Machinery
from seawall.sim.mutant import Mutant
from seawall.sim.network import MILLISECOND_US, FixedDelay
from seawall.sim.plan import Owners, Plan

RIVALS: Final = Owners(equivocating=8, copied=30, resubmitting=True)


class TakesNoLock(Locks):
    """Votes by what is locked, and locks nothing."""

    def _take(self, taken: Taken) -> None:
        """Do nothing."""


class KeepsLocks(Locks):
    """Never drops a lock."""

    def drop(self, keys: Iterable[tuple[bytes, int]]) -> None:
        """Do nothing."""


class ForgetfulFastPath(FastPath):
    """Keeps its locks in memory only."""

    def vote_again(self, vertex: Vertex) -> None:
        """Do nothing."""


class EagerBallots(Ballots):
    """Calls FINAL what one block certifies."""

    def state_final(self, gc_round: int, highest_round: int) -> list[Finality]:
        """Take every certificate for one of stake Q."""
        everyone = (1 << self._stakes.size) - 1
        for ballot in self._changed.values():
            ballot.certificates = [(everyone, left_out) for _, left_out in ballot.certificates]
        return super().state_final(gc_round, highest_round)


class PatientBallots(Ballots):
    """Takes certificates of any round, over votes of any round."""

    def __init__(self, store: BlockStore, stakes: StakeTable, window: int, own: int) -> None:
        """Begin with a window without end."""
        super().__init__(store, stakes, window + 1000, own)


class HoardingBallots(Ballots):
    """Never forgets a ballot."""

    def collect(self, gc_round: int) -> None:
        """Do nothing."""


class LocalFastPath(FastPath):
    """Lets the finaliser count every vote that this site holds."""

    def __init__(
        self, store: BlockStore, stakes: StakeTable, parameters: ConsensusParameters, own: int
    ) -> None:
        """Hand it the store."""
        super().__init__(store, stakes, parameters, own)
        self.finaliser = LocalFinaliser(stakes, parameters.finality_delay, store)
        self.locks = Locks(self.finaliser, fast_path_module.REJECTS_BYTES_MAX)


class LocalFinaliser(Finaliser):
    """Counts delivered votes, and all others that it can see."""

    def __init__(self, stakes: StakeTable, delay: int, store: BlockStore) -> None:
        """Look into the store."""
        super().__init__(stakes, delay)
        self._store = store

    def _count_all(self, delivered: Sequence[Vertex], leader_round: int, gc_round: int) -> None:
        """Count what is delivered, then the rest."""
        super()._count_all(delivered, leader_round, gc_round)
        for vertex in self._store:
            fresh = vertex.history & ~finaliser_module.history_before(vertex, gc_round)
            for carrier in self._carriers:
                if fresh & carrier.vertex.bit:
                    _vote(vertex, carrier)


class OpenFinaliser(Finaliser):
    """Says of no key that it is accepted or closed."""

    def is_shut(self, contributor: bytes, seq: int) -> bool:
        """Return False."""
        del contributor, seq
        return False


class HurriedFinaliser(Finaliser):
    """Looks at the deadline before it looks at votes."""

    def _judge_all(
        self, carrier: _Carrier, leader_round: int, gc_round: int
    ) -> Iterator[UpdateVerdict]:
        """Forget the votes on a contested update whose time is up."""
        if leader_round >= carrier.delivered_at + self._delay:
            keys = [instance[0::2] for instance in carrier.vertex.instances]
            if any(seq in self.owners[owner].contested for owner, seq in keys):
                carrier.votes.clear()
        yield from super()._judge_all(carrier, leader_round, gc_round)


class EndlessFinaliser(Finaliser):
    """Waits for votes also when the gc round has passed a block."""

    def _judge_all(
        self, carrier: _Carrier, leader_round: int, gc_round: int
    ) -> Iterator[UpdateVerdict]:
        """Never give up."""
        del gc_round
        yield from super()._judge_all(carrier, leader_round, -1)


class RepeatingCarrier(_Carrier):
    """Forgets what has been judged, until nothing else is left to judge."""

    def settle(self, judged: int) -> None:
        """Keep the last update pending for one more verdict."""
        if judged.bit_count() > 1:
            super().settle(judged & (judged - 1))
        else:
            super().settle(judged)


class HoardingStore(BlockStore):
    """Never forgets a block."""

    def prune(self, round_: int) -> list[Vertex]:
        """Do nothing."""
        del round_
        return []


class BurstCommitter(Committer):
    """Decides only every now and then."""

    def decide(self) -> list[Verdict]:
        """Wait until many rounds have gathered."""
        if self._store.highest_round - self.next_slot[0] < 20 * self._wave:
            return []
        return super().decide()


def votes_with_every_block(vertex: Vertex, gc_round: int) -> int:
    """Return an empty history: so every block votes on all that is below it."""
    del vertex, gc_round
    return 0


def empty_state(state: FastPathState) -> Record:
    """Return the record of a fast path that has seen nothing."""
    del state
    return fast_path_record(FastPathState(FinaliserState((), (), b""), ()))


def _with_rivals(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    return replace(plan, owners=RIVALS), parts


def _with(
    *, gc_depth: int | None = None, finality_delay: int | None = None
) -> Callable[[Plan, Machinery], tuple[Plan, Machinery]]:
    def change(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
        old = plan.parameters
        least = old.accept_window + old.finality_delay + 3
        new = replace(
            old,
            gc_depth=old.gc_depth if gc_depth is None else least + gc_depth,
            finality_delay=old.finality_delay if finality_delay is None else finality_delay,
        )
        return replace(plan, owners=RIVALS, parameters=new), parts

    return change


def many_rounds(plan: Plan, parts: Machinery) -> tuple[Plan, Machinery]:
    """Make rounds short and garbage early, so that bases are written before a crash."""
    plan, parts = _with(gc_depth=0)(plan, parts)
    parameters = replace(plan.parameters, round_delay_ms_min=5)
    return replace(
        plan,
        parameters=parameters,
        delay=FixedDelay(delay_us=MILLISECOND_US),
        sync_us=0,
        submit_every_us=10 * MILLISECOND_US,
        commits=120,
    ), parts


FAST_PATH_MUTANTS: Final[Mapping[str, Mutant]] = {
    "lock_not_taken": Mutant(
        summary="a vote takes no lock",
        profile="honest",
        caught_by=("I8", "LOCK"),
        change=_with_rivals,
        replacements=((fast_path_module, "Locks", TakesNoLock),),
    ),
    "lock_lost_at_restart": Mutant(
        summary="locks are kept in memory only",
        profile="crash",
        caught_by=("LOCK",),
        seeds_max=40,
        change=_with_rivals,
        replacements=((core_module, "FastPath", ForgetfulFastPath),),
    ),
    "state_not_in_base": Mutant(
        summary="a base of the journal leaves the fast path out",
        profile="crash",
        caught_by=("I10", "LOCK"),
        seeds_max=40,
        change=many_rounds,
        replacements=((recovery_module, "fast_path_record", empty_state),),
    ),
    "shut_key_accepted": Mutant(
        summary="sites vote for keys that are accepted or closed",
        profile="honest",
        caught_by=("LOCK",),
        change=_with_rivals,
        replacements=((fast_path_module, "Finaliser", OpenFinaliser),),
    ),
    "every_block_votes": Mutant(
        summary="each block votes on all that is below it, not only the first of its chain",
        profile="twins",
        caught_by=("I9",),
        change=_with_rivals,
        replacements=((ballots_module, "history_before", votes_with_every_block),),
        engines=("async",),  # with W = 1 all votes that count are of one round
    ),
    "finaliser_counts_every_block": Mutant(
        summary="the finaliser counts each block above an update, not only the first of a chain",
        profile="twins",
        caught_by=("I10",),
        change=_with_rivals,
        replacements=((finaliser_module, "history_before", votes_with_every_block),),
    ),
    "certificates_without_window": Mutant(
        summary="certificates are of any round, over votes of any round",
        profile="partition",
        caught_by=("I9",),
        change=_with_rivals,
        replacements=((fast_path_module, "Ballots", PatientBallots),),
    ),
    "one_certificate_is_final": Mutant(
        summary="what one block certifies is called FINAL",
        profile="partition",
        caught_by=("I9",),
        change=_with_rivals,
        replacements=((fast_path_module, "Ballots", EagerBallots),),
    ),
    "short_deadline": Mutant(
        summary="contested updates are rejected one round after their delivery",
        profile="honest",
        caught_by=("I9",),
        seeds_max=40,
        change=_with(finality_delay=1),
    ),
    "local_finaliser": Mutant(
        summary="the finaliser counts votes that only this site holds",
        profile="honest",
        caught_by=("I10",),
        change=_with_rivals,
        replacements=((core_module, "FastPath", LocalFastPath),),
    ),
    "deadline_before_votes": Mutant(
        summary="the finaliser looks at the deadline before it looks at votes",
        profile="twins",
        caught_by=("I10",),
        seeds_max=40,
        change=_with_rivals,
        replacements=((fast_path_module, "Finaliser", HurriedFinaliser),),
        engines=("sync",),
    ),
    "waits_for_ever": Mutant(
        summary="updates stay pending when the gc round has passed them",
        profile="crash",
        caught_by=("I10", "JUDGED"),
        seeds_max=40,
        change=_with(gc_depth=0),
        replacements=((fast_path_module, "Finaliser", EndlessFinaliser),),
    ),
    "judged_twice": Mutant(
        summary="the finaliser forgets that it has judged an update",
        profile="honest",
        caught_by=("I10", "JUDGED"),
        change=_with_rivals,
        replacements=((finaliser_module, "_Carrier", RepeatingCarrier),),
    ),
    "blocks_never_pruned": Mutant(
        summary="blocks are kept for ever",
        profile="honest",
        caught_by=("I14",),
        change=_with(gc_depth=0),
        replacements=((core_module, "BlockStore", HoardingStore),),
    ),
    "ballots_never_collected": Mutant(
        summary="votes on updates are kept for ever",
        profile="honest",
        caught_by=("I14",),
        change=_with(gc_depth=0),
        replacements=((fast_path_module, "Ballots", HoardingBallots),),
    ),
    "locks_never_dropped": Mutant(
        summary="locks are kept for ever",
        profile="honest",
        caught_by=("I14",),
        replacements=((fast_path_module, "Locks", KeepsLocks),),
    ),
    "decides_in_bursts": Mutant(
        summary="leaders are decided only when many have gathered",
        profile="honest",
        caught_by=("I16",),
        replacements=((core_module, "Committer", BurstCommitter),),
    ),
}
