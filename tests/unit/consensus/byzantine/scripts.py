"""A committee in memory in which some sites follow scripts."""

from collections.abc import Mapping, Sequence

from seawall.consensus.byzantine.table import Script, scripted
from seawall.consensus.engine import CommitHistory, Message, Record
from seawall.consensus.engines import ENGINES
from seawall.consensus.replica import Replica
from seawall.domain.block import VerifiedBlock
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import Cluster, MemoryJournal, Site, make_identity

QUICK = ConsensusParameters(gc_depth=10, round_delay_ms_min=20, round_delay_ms_idle=40)


class ScriptedCluster(Cluster):
    """Runs these sites by script; all blocks are verified on their way, and so must be valid."""

    def __init__(self, scripts: Mapping[int, Sequence[Script]]) -> None:
        self._scripts = scripts
        super().__init__(parameters=QUICK, verify=True)

    def build(
        self,
        index: int,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Site:
        """Return a site, honest or not."""
        if index not in self._scripts:
            return super().build(index, recovered, history)
        journal = MemoryJournal()
        journal.durable.extend(recovered)
        engine = scripted(ENGINES[self.engine], self._scripts[index])(
            identity=make_identity(index),
            committee=self.committee,
            parameters=self.parameters,
            recovered=recovered,
            history=history,
        )
        return Site(Replica(engine, journal), journal)

    def heights(self) -> list[int]:
        """Return the last commit index of every site."""
        return [site.replica.status().commit_index for site in self.sites]

    def delivered(self, author: int, seat: int = 0) -> list[VerifiedBlock]:
        """Return the author's blocks that a site has delivered."""
        commits = self.sites[seat].commits
        return [b for commit in commits for b in commit.blocks if b.ref.author == author]


class Wire:
    """Keeps what passes between sites; use its `look` as a cluster's filter."""

    def __init__(self) -> None:
        self.passed: list[tuple[int, int, Message]] = []

    def look(self, source: int, target: int, message: Message) -> bool:
        """Note a message and let it pass."""
        self.passed.append((source, target, message))
        return True
