"""The table of consensus engines by name; every scenario and checker runs over it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.engine import CommitHistory, Engine, Identity, Record
from seawall.domain.committee import Committee
from seawall.domain.parameters import ASYNC, SYNC, ConsensusParameters


class EngineFactory(Protocol):
    """Builds an engine in the state that the journal's records describe (none: a first start)."""

    def __call__(
        self,
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Engine:
        """Return the engine; its first step should be `Woken`, as soon as the host is ready."""
        ...


ENGINES: Mapping[str, EngineFactory] = {ASYNC: DagEngine, SYNC: DagEngine}
"""One engine runs both: the committee's coin keys, and w, make the difference."""
