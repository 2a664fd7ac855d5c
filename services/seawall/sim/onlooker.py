"""What shows only inside an engine, for checkers and for tests that bound what it holds.

This is the one place that reads private members of a replica, and it changes none.
"""

# ruff: noqa: SLF001  # an onlooker

from collections.abc import Iterable

from seawall.consensus.dag.core import Core
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.engine import Engine
from seawall.consensus.replica import Replica
from seawall.domain.block import Ref


def engine_of(replica: Replica) -> Engine:
    """Return the engine that a replica steps."""
    return replica._engine


def core_of(engine: Engine | None) -> Core | None:
    """Return what a DAG engine knows, None for other families."""
    return engine._core if isinstance(engine, DagEngine) else None


def suspended(core: Core) -> list[Ref]:
    """Return the blocks that wait for a missing parent."""
    return list(core.pending._waiting)


def held_rounds(core: Core) -> Iterable[int]:
    """Return the rounds of which a replica holds blocks."""
    return core.store._rounds


def ballot_rounds(core: Core) -> Iterable[int]:
    """Return the rounds of which a replica holds votes on blocks with updates."""
    return core.fast_path._ballots._rounds


def queued_batches(core: Core) -> int:
    """Return how many batches wait for a block."""
    return len(core.payloads._batches)


def tallied_commits(core: Core) -> int:
    """Return of how many commits votes are counted and not yet certified."""
    return len(core.votes._tally)


def coin_rounds(core: Core) -> int:
    """Return of how many rounds shares of the coin are held; 0 without a coin."""
    return 0 if core.coin is None else len(core.coin._shares)


def outstanding(engine: DagEngine) -> int:
    """Return how many missing blocks an engine remembers to ask for."""
    return len(engine._synchroniser)


def served_peers(engine: DagEngine) -> int:
    """Return of how many peers an engine remembers that it has sent them commits."""
    return len(engine._catch_up._answered)
