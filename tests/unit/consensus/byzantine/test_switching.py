"""Lies that are switched on and off while a replica runs."""

from collections.abc import Sequence

from seawall.consensus.byzantine.switching import Order, switched
from seawall.consensus.byzantine.table import Script
from seawall.consensus.engine import Blocks, CommitHistory, Record
from seawall.consensus.engines import ENGINES
from seawall.consensus.replica import Replica
from seawall.runtime.faults.lies import Lie, Lies
from tests.unit.consensus.byzantine.scripts import QUICK, Wire
from tests.unit.consensus.byzantine.test_sending import blocks_in
from tests.unit.consensus.cluster import Cluster, MemoryJournal, Site, make_identity

SECOND_US = 1_000_000
LIAR = 3


class SwitchedCluster(Cluster):
    """The last site can be told to lie."""

    def __init__(self, scripts: Sequence[Script] = ()) -> None:
        self.lies = Lies()
        self._scripts = scripts
        super().__init__(parameters=QUICK, verify=True)

    def build(
        self,
        index: int,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Site:
        """Return a site."""
        if index != LIAR:
            return super().build(index, recovered, history)

        def orders() -> tuple[Order, ...]:
            return self.lies.told

        journal = MemoryJournal()
        engine = switched(ENGINES[self.engine], orders, self._scripts)(
            identity=make_identity(index),
            committee=self.committee,
            parameters=self.parameters,
            recovered=recovered,
            history=history,
        )
        return Site(Replica(engine, journal), journal)


def slots_told(wire: Wire) -> list[int]:
    """Return the rounds of which the liar has shown two different blocks."""
    shown: dict[int, dict[bytes, None]] = {}
    for source, _, message in wire.passed:
        if source == LIAR and isinstance(message, Blocks):
            for block in message.blocks:
                if block.ref.author == LIAR:
                    shown.setdefault(block.ref.round, {})[block.ref.digest] = None
    return [round_ for round_, digests in shown.items() if len(digests) > 1]


def test_a_replica_equivocates_only_while_it_is_told_to() -> None:
    cluster, wire = SwitchedCluster(), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)
    assert slots_told(wire) == []
    lie = Lie(behaviour="equivocate", peers=(1,))
    cluster.lies.add(lie)
    cluster.run(SECOND_US)
    told = slots_told(wire)
    assert told
    assert lie.tally.count >= len(told)
    cluster.lies.remove(lie)
    wire.passed.clear()
    cluster.run(SECOND_US)
    # What it has told before may be asked for once more.
    assert [round_ for round_ in slots_told(wire) if round_ not in told] == []


def test_scripts_of_the_settings_go_on_beside_lies_of_the_moment() -> None:
    cluster, wire = SwitchedCluster([Script(behaviour="withhold", peers=(1,))]), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)

    def told() -> list[int]:
        return sorted(
            {
                target
                for source, target, message in wire.passed
                if source == LIAR and any(author == LIAR for author, _ in blocks_in(message))
            }
        )

    assert told() == [1]
    lie = Lie(behaviour="withhold", peers=(2,))
    cluster.lies.add(lie)
    wire.passed.clear()
    cluster.run(SECOND_US)
    assert told() in ([], [2])
    assert lie.tally.count > 0
    cluster.lies.remove(lie)
    wire.passed.clear()
    cluster.run(SECOND_US)
    assert told() == [1]


def test_lies_come_and_go_beside_each_other() -> None:
    cluster, wire = SwitchedCluster(), Wire()
    cluster.filter = wire.look
    late, stale = Lie(behaviour="delay", rounds=2), Lie(behaviour="stale_parents", rounds=3)
    cluster.lies.add(late)
    cluster.run(SECOND_US)
    assert late.tally.count > 0
    assert stale.tally.count == 0
    cluster.lies.add(stale)
    cluster.run(SECOND_US)
    told = stale.tally.count
    assert told > 0
    cluster.lies.remove(stale)
    cluster.run(SECOND_US)
    assert stale.tally.count == told
    cluster.lies.remove(late)
    silent = late.tally.count
    cluster.run(SECOND_US)
    assert late.tally.count == silent
    heights = [site.replica.status().commit_index for site in cluster.sites]
    assert min(heights) > 0
