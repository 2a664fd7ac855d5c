"""The DAG engine: one uncertified DAG, one committer, as a deterministic state machine."""

from collections.abc import Sequence

from seawall.consensus.engine import CommitHistory, Event, Identity, Instant, Output, Record
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters


class DagEngine:
    """Implements `Engine` over a DAG of signed blocks (signatures first, body follows)."""

    def __init__(
        self,
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> None:
        self._identity = identity
        self._committee = committee
        self._parameters = parameters
        self._recovered = recovered
        self._history = history

    def step(self, event: Event, now: Instant) -> Output:
        """Apply one event and return what the outside must do."""
        del event, now
        return Output()
