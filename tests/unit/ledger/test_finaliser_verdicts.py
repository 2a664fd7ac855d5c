"""What the real finaliser says of random runs with equivocators, executed by a ledger."""

import pytest

from seawall.domain.block import UpdateRecord
from seawall.domain.commit import Judgement, Verdict
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.log import Log
from seawall.ledger.store import Table
from seawall.sim.fastpath.site import Site
from tests.unit.consensus.dag.modelled import drawn, told_by
from tests.unit.ledger.chain import (
    START_MS,
    append,
    delivery,
    make_genesis,
    origin_of,
    record,
    verdict,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis()
TOGETHER = 3
"""Verdicts of one commit."""

Judged = tuple[UpdateRecord, Judgement, int]


def judged_by(site: Site, delay: int) -> list[Judged]:
    """Return what a site's finaliser says; each key of the model is one number of one person."""
    blocks = site.dag.blocks
    keys = sorted({update.key for block in blocks for update in block.updates})
    found: list[Judged] = []
    for number, index, judgement, rule in told_by(site, delay):
        update = blocks[number].updates[index]
        one = record(0, 1 + keys.index(update.key), update.digest)
        found.append((one, Judgement[judgement], rule))
    return found


def executed(judged: list[Judged]) -> tuple[Log, list[str]]:
    """Return a log that has executed these verdicts, and its alarms."""
    log, alarms = Log(MemoryStore(), GENESIS, origin_of(GENESIS)), []
    for start in range(0, len(judged), TOGETHER):
        part: list[Verdict] = [
            verdict(judgement, update, rule=rule)
            for update, judgement, rule in judged[start : start + TOGETHER]
        ]
        made = delivery(log.head.index + 1, clock_ms=START_MS, verdicts=part)
        alarms += [alarm for one in append(log, made) for alarm in one.alarms]
    return log, alarms


@pytest.mark.parametrize("seed", range(12))
def test_each_number_has_one_entry_at_most_and_the_first_accepted_has_it(seed: int) -> None:
    draw = drawn(seed)
    longest = max(
        (judged_by(site, draw.scope.deadline) for site in draw.stage.sites.values()),
        key=len,
        default=[],
    )
    log, alarms = executed(longest)
    found = [
        entries.parse(value) for _, value in log.store.scan(Table.ENTRIES, rows.key_of(0), 9999)
    ]
    updates = [one for one in found if isinstance(one, entries.UpdateEntry)]
    accepted: dict[int, str] = {}
    rivals: dict[int, dict[bytes, None]] = {}
    for update, judgement, _ in longest:
        rivals.setdefault(update.seq, {})[update.update_id] = None
        if judgement is Judgement.ACCEPT:
            accepted.setdefault(update.seq, update.update_id.hex())
    assert len(longest) > 0
    assert sorted((one.seq, one.update_id) for one in updates) == sorted(accepted.items())
    reported = [one.number for one in found if isinstance(one, entries.EvidenceEntry)]
    assert sorted(reported) == sorted(seq for seq, ids in rivals.items() if len(ids) > 1)
    assert alarms == []
