"""An honest engine and a script: what it knows is true, what it says is not.

The engine inside takes part as ever, so its blocks keep up with the rounds and rest on what it
has heard; behaviours change the content of its blocks before they are signed, and what is sent to
whom. Simulated and real sites wrap their engine in the same way.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from seawall.consensus.byzantine.site import Behaviour, Site
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.dag.proposer import Proposer
from seawall.consensus.engine import (
    CommitHistory,
    Engine,
    Event,
    Identity,
    Instant,
    Output,
    Record,
    Send,
    Status,
)
from seawall.consensus.engines import EngineFactory
from seawall.domain.block import Block, Ref, VerifiedBlock
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters


class ScriptedProposer(Proposer):
    """A proposer that asks its behaviours what to sign."""

    def __init__(
        self,
        site: Site,
        parameters: ConsensusParameters,
        own_last: Ref,
        behaviours: Sequence[Behaviour],
    ) -> None:
        super().__init__(site.core, site.identity, site.committee, parameters, own_last)
        self._site = site
        self._behaviours = behaviours

    def _sign(self, block: Block) -> VerifiedBlock:
        for behaviour in self._behaviours:
            block = behaviour.content(block, self._site)
        return super()._sign(block)


class ByzantineEngine:
    """Wraps a DAG engine: implements `Engine` by lying as its behaviours say, in their order."""

    def __init__(
        self,
        inner: DagEngine,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        behaviours: Sequence[Behaviour],
    ) -> None:
        self._inner = inner
        self._behaviours = tuple(behaviours)
        core = inner._core  # noqa: SLF001 - the one module that reaches inside
        honest = inner._proposer  # noqa: SLF001 - same
        self._site = Site(identity=identity, committee=committee, core=core)
        scripted = ScriptedProposer(self._site, parameters, honest.own_last, self._behaviours)
        scripted.raise_floor(honest.floor)
        inner._proposer = scripted  # noqa: SLF001 - same

    def step(self, event: Event, now: Instant) -> Output:
        """Step the honest engine and change what leaves."""
        output = self._inner.step(event, now)
        sends: Sequence[Send] = output.send
        for behaviour in self._behaviours:
            sends = behaviour.sends(sends, self._site)
        return output if sends is output.send else replace(output, send=tuple(sends))

    def status(self) -> Status:
        """Return where the honest engine stands."""
        return self._inner.status()


def byzantine(
    honest: EngineFactory, behaviours: Callable[[], Sequence[Behaviour]]
) -> EngineFactory:
    """Return a factory of engines with fresh behaviours each; `honest` builds DAG engines."""

    def build(
        *,
        identity: Identity,
        committee: Committee,
        parameters: ConsensusParameters,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Engine:
        inner = honest(
            identity=identity,
            committee=committee,
            parameters=parameters,
            recovered=recovered,
            history=history,
        )
        assert isinstance(inner, DagEngine), "only DAG engines have a proposer to script"
        return ByzantineEngine(inner, identity, committee, parameters, behaviours())

    return build
