"""Every engine in the table can be built from its keyword arguments and starts."""

import pytest

from seawall.consensus.engine import Instant, Woken
from seawall.consensus.engines import ENGINES
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_committee, make_identity


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_starts_without_a_journal(name: str) -> None:
    engine = ENGINES[name](
        identity=make_identity(0), committee=make_committee((1,)), parameters=ConsensusParameters()
    )
    output = engine.step(Woken(), Instant(0, 1_700_000_000_000))
    assert output.persist
    assert output.send
    assert engine.status().last_proposed_round == 1
