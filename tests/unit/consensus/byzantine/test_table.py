import pytest

from seawall.consensus.byzantine.engine import ByzantineEngine
from seawall.consensus.byzantine.table import BEHAVIOURS, Script, scripted
from seawall.consensus.engines import ENGINES
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.byzantine.scripts import ScriptedCluster
from tests.unit.consensus.cluster import make_committee, make_identity

SECOND_US = 1_000_000


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if name != "forge"])
def test_no_behaviour_of_one_in_four_stops_or_splits_the_others(name: str) -> None:
    cluster = ScriptedCluster({3: [Script(behaviour=name, peers=(1,), rounds=2)]})
    for number in range(6):
        cluster.submit(number % 4, number)
    # Blocks of a selective site are asked for in vain twice before the right peer has its turn.
    cluster.run((8 if name == "selective" else 2) * SECOND_US)
    cluster.check_agreement()
    assert min(cluster.heights()[:3]) > 15
    for seat in range(3):
        assert {0, 1, 2, 4, 5} <= set(cluster.delivered_batches(seat))


def test_behaviours_can_be_combined_and_survive_a_restart() -> None:
    scripts = [
        Script(behaviour="stale_parents", rounds=5),
        Script(behaviour="two_chains", peers=(0,)),
        Script(behaviour="delay", rounds=1),
    ]
    cluster = ScriptedCluster({2: scripts})
    cluster.run(SECOND_US)
    cluster.restart(2)
    cluster.run(SECOND_US)
    cluster.check_agreement()
    assert min(cluster.heights()[seat] for seat in (0, 1, 3)) > 20


def test_a_scripted_engine_tells_where_its_honest_one_stands() -> None:
    engine = scripted(ENGINES["sync"], [Script(behaviour="delay")])(
        identity=make_identity(0), committee=make_committee(), parameters=ConsensusParameters()
    )
    assert isinstance(engine, ByzantineEngine)
    assert engine.status().round == 1
