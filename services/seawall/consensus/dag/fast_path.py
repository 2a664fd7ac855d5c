"""The fast path as one part of a replica: its votes, what is FINAL, and what commits judge.

Order within one step: commits and their verdicts, then FINAL statements under the new gc round.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.consensus.dag.ballots import Ballots
from seawall.consensus.dag.finaliser import Finaliser, FinaliserState
from seawall.consensus.dag.locks import Locks, LockState
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.consensus.engine import Finality
from seawall.domain.block import RejectSet
from seawall.domain.commit import Verdict
from seawall.domain.parameters import ConsensusParameters

REJECTS_BYTES_MAX: Final = 262_144
"""Most bytes of a block that rejects may take, if a quarter of a block is not less."""


class FastPathState(msgspec.Struct, frozen=True, array_like=True):
    """What a journal's base keeps of the fast path, after the last commit that it holds."""

    finaliser: FinaliserState
    locks: tuple[LockState, ...]


class FastPath:
    """Votes, ballots, locks and finaliser of one epoch at one site."""

    def __init__(
        self, store: BlockStore, stakes: StakeTable, parameters: ConsensusParameters, own: int
    ) -> None:
        self._store = store
        self._ballots = Ballots(store, stakes, parameters.accept_window, own)
        self.finaliser = Finaliser(stakes, parameters.finality_delay)
        rejects_bytes_max = min(REJECTS_BYTES_MAX, parameters.block_size_bytes_max // 4)
        self.locks = Locks(self.finaliser, rejects_bytes_max)
        self.final: list[Finality] = []
        """FINAL statements of the step in progress."""

    @property
    def is_idle(self) -> bool:
        """Return whether every delivered update has its verdict."""
        return self.finaliser.is_idle

    def on_accept(self, vertex: Vertex) -> None:
        """Count what an accepted block votes for and certifies."""
        self._ballots.on_accept(vertex)

    def vote(
        self, parents: Sequence[Vertex], cutoff: int, commit_index: int
    ) -> tuple[tuple[RejectSet, ...], int]:
        """Return rejects and vote cutoff of an own block with these parents; takes its locks."""
        history = 0
        for parent in parents:
            history |= parent.history | parent.bit
        return self.locks.vote(self._ballots.fresh(history, cutoff), cutoff, commit_index)

    def vote_again(self, vertex: Vertex) -> None:
        """Take the locks that an own block of the journal took."""
        self.locks.vote_again(self._ballots.voted_by(vertex), vertex)

    def on_commit(
        self, delivered: Sequence[Vertex], leader_round: int, gc_round: int
    ) -> tuple[Verdict, ...]:
        """Return the verdicts that a commit brings."""
        verdicts = self.finaliser.on_commit(delivered, leader_round, gc_round)
        self.locks.drop(self.finaliser.accepted_now)
        self.take_verdicts(verdicts)
        return verdicts

    def take_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """State FINAL what is accepted and was not FINAL before."""
        if verdicts:
            self.final += self._ballots.on_verdicts(verdicts, self._store.highest_round)

    def state_final(self, gc_round: int) -> list[Finality]:
        """Return all FINAL statements of this step."""
        statements = self.final
        statements += self._ballots.state_final(gc_round, self._store.highest_round)
        self.final = []
        return statements

    def collect(self, gc_round: int) -> None:
        """Forget blocks at or below the gc round."""
        self._ballots.collect(gc_round)

    def snapshot(self) -> FastPathState:
        """Return the state after the last commit."""
        return FastPathState(self.finaliser.snapshot(), self.locks.snapshot())

    def restore(self, state: FastPathState) -> bool:
        """Go on from a snapshot; False when a block that it needs is not held."""
        self.locks.restore(state.locks)
        return self.finaliser.restore(state.finaliser, self._store)
