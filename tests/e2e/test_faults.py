"""Whatever happens to one site or to the network between them, nothing acknowledged is lost.

The short form of `make faults`; kills are in `test_kills.py`.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.measure import FULL, QUICK, measure
from bench.faults.namespaces import obstacle
from bench.faults.table import FAULTS
from seawall.testbed.judging import Findings
from tests.e2e.local_network import LONG

SEED = 11
SHORT = ("stopped", "lost-disk", "old-copy", "partition-halves", "links-one-deaf")
LIMIT_SECONDS = 600 if LONG else 120
PARTITION_SECONDS = 12.0
"""Longer than the silence after which a link ends."""


@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("name", FAULTS if LONG else SHORT)
async def test_a_fault_under_load_loses_and_forks_nothing(name: str, tmp_path: Path) -> None:
    if FAULTS[name].apart and (reason := obstacle()) is not None:
        pytest.skip(reason)
    hold = PARTITION_SECONDS if FAULTS[name].apart else 2.0  # cut links are waited for
    lengths = FULL if LONG else replace(QUICK, before=2.0, hold=hold, after=0.0)
    done = await measure(name, lengths, tmp_path, SEED)
    assert done.acknowledged
    assert done.findings == Findings()
    assert (done.refused, done.complaint) == ((), "")
    assert done.level_seconds is not None
