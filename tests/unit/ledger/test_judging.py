"""State rules at a pinned commit: equal answers whatever was executed since."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.merkle import EMPTY_ROOT
from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.errors import PeerError
from seawall.ledger.judging import Claim, Judge
from seawall.ledger.log import Log
from tests.unit.ledger.chain import (
    START_MS,
    accepting,
    append,
    block,
    delivery,
    digest,
    make_genesis,
    origin_of,
    record,
    vote,
)
from tests.unit.ledger.memory_store import MemoryStore

GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)
BASE = digest("base digits")


def open_log() -> Log:
    return Log(MemoryStore(), GENESIS, ORIGIN)


def claim(update: UpdateRecord, **changes: object) -> Claim:
    made = Claim(update, BASE, 0, EMPTY_ROOT)
    return msgspec.structs.replace(made, **changes)


def codes(log: Log, height: int, *claims: Claim) -> list[str | None]:
    refused = dict(Judge(log, height).refuse(claims))
    return [refused[at].code if at in refused else None for at in range(len(claims))]


def deliver(log: Log, *records: UpdateRecord) -> None:
    append(log, delivery(log.head.index + 1, block(1, records), clock_ms=START_MS))


def make_version(log: Log, version: int) -> None:
    """Cut and vote a version of the first task."""
    index = log.head.index + 1
    records = [record(at, 500 + version, base=version - 1) for at in range(1, 4)]
    clock = log.head.row.clock_ms or START_MS
    append(log, delivery(index, block(1, records), clock_ms=clock))
    append(log, delivery(index + 1, clock_ms=clock + 2000))
    blocks = [block(at, (), [vote(version, f"v{version}")]) for at in range(2)]
    append(log, delivery(index + 2, *blocks, clock_ms=clock + 2000))
    assert log.versions[0] == version


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (claim(record(1, 1)), None),
        (claim(record(99, 1)), "KEY_UNKNOWN"),
        (claim(record(1, 1, task=2)), "REPLAY_TASK"),
        (claim(record(1, 1, kind=UpdateKind.ROOT)), "KEY_ROLE"),
        (claim(record(0, 1, kind=UpdateKind.ROOT)), None),
        (claim(record(1, 1024)), None),
        (claim(record(1, 1025)), "REPLAY_SEQ"),
        (claim(record(1, 1, base=1), base_digest=digest("v1")), "REPLAY_BASE"),
        (claim(record(1, 1), base_digest=digest("v1")), "REPLAY_BASE"),
        (claim(record(1, 1, expires=1)), "REPLAY_EXPIRED"),
        (claim(record(1, 1, expires=2)), None),
        (claim(record(1, 1, expires=100_001)), None),
        (claim(record(1, 1, expires=100_002)), "REPLAY_EXPIRY_AHEAD"),
        (claim(record(1, 1), checkpoint_root=b"x" * 32), "REPLAY_CHECKPOINT"),
        (claim(record(1, 1), checkpoint_size=3), "REPLAY_CHECKPOINT"),
    ],
)
def test_each_rule(made: Claim, code: str | None) -> None:
    log = open_log()
    deliver(log)
    assert codes(log, 1, made) == [code]


def test_a_checkpoint_is_one_that_this_log_went_through() -> None:
    log = open_log()
    deliver(log)
    deliver(log, record(0, 1))
    row, first = log.head.row, log.row(1)
    assert first is not None
    good = claim(record(1, 1), checkpoint_size=row.tree_size, checkpoint_root=row.root)
    mixed = msgspec.structs.replace(good, checkpoint_root=first.root)
    assert codes(log, 1, good) == [None]
    assert codes(log, 2, mixed) == ["REPLAY_CHECKPOINT"]


def test_numbers_and_payloads_are_judged_as_they_were() -> None:
    log = open_log()
    deliver(log)
    deliver(log, record(1, 1, "one"))
    deliver(log, record(1, 1000))
    same_number, same_payload = claim(record(1, 1, "two")), claim(record(1, 2, "one"))
    far = claim(record(1, 2024))
    assert codes(log, 1, same_number) == [None]
    assert codes(log, 1, same_payload) == [None]
    assert codes(log, 2, same_number, same_payload) == ["REPLAY_SEQ", "REPLAY_PAYLOAD"]
    assert codes(log, 2, far) == ["REPLAY_SEQ"]
    assert codes(log, 3, far) == [None]
    # Another contributor's numbers are its own.
    assert codes(log, 3, claim(record(2, 1000)), claim(record(2, 1001, "one"))) == [None, None]


def test_what_counts_is_the_commit_of_the_verdict_not_of_the_delivery() -> None:
    log = open_log()
    update = record(1, 1, "one")
    append(log, delivery(1, block(1, [update]), clock_ms=START_MS, verdicts=()))
    append(log, delivery(2, clock_ms=START_MS))
    append(log, delivery(3, clock_ms=START_MS, verdicts=accepting(block(1, [update]))))
    for _ in range(2):
        assert codes(log, 2, claim(update), claim(record(1, 2, "one"))) == [None, "REPLAY_PAYLOAD"]
        assert codes(log, 2, claim(record(1, 2, "one"))) == [None]
        assert codes(log, 3, claim(update)) == ["REPLAY_SEQ"]
        assert codes(log, 3, claim(record(1, 2, "one"))) == ["REPLAY_PAYLOAD"]
        deliver(log, record(1, 1000))


def test_two_claims_of_one_request_cannot_share_number_or_payload() -> None:
    log = open_log()
    deliver(log)
    made = [record(1, 1, "a"), record(1, 1, "b"), record(1, 2, "a"), record(2, 1, "a")]
    answers = codes(log, 1, *[claim(one) for one in made])
    assert answers == [None, "REPLAY_SEQ", "REPLAY_PAYLOAD", None]


def test_bases_are_usable_versions_that_are_not_too_old() -> None:
    log = open_log()
    deliver(log)
    for version in range(1, 4):
        make_version(log, version)
    height = log.head.index

    def judge(base: int, payload: str, at: int) -> str | None:
        return codes(log, at, claim(record(4, 1, base=base), base_digest=digest(payload)))[0]

    assert judge(3, "v3", height) is None
    assert judge(1, "v1", height) is None
    assert judge(1, "v2", height) == "REPLAY_BASE"
    assert judge(4, "v4", height) == "REPLAY_BASE"
    assert judge(3, "v3", height - 1) == "REPLAY_BASE"
    # The base model is three versions old now; before the last commit it was two.
    assert judge(0, "base digits", height) == "REPLAY_BASE"
    assert judge(0, "base digits", height - 1) is None


def test_a_pin_too_far_back_is_refused() -> None:
    log = open_log()
    for _ in range(12):
        deliver(log)
    Judge(log, 4)
    with pytest.raises(PeerError) as refused:
        Judge(log, 3)
    assert (refused.value.code, refused.value.field) == ("BATCH_PIN", "pinned_height")


commits = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6), st.sampled_from("abc")), max_size=4),
    min_size=1,
    max_size=8,
)


@given(commits, st.data())
def test_later_commits_do_not_change_a_verdict(
    script: list[list[tuple[int, int, str]]], data: st.DataObject
) -> None:
    log = open_log()
    asked = [claim(record(*one)) for part in script for one in part]
    pin = data.draw(st.integers(1, len(script)))
    verdicts = None
    for part in script:
        deliver(log, *[record(*one) for one in part])
        if log.head.index == pin:
            verdicts = codes(log, pin, *asked)
    assert codes(log, pin, *asked) == verdicts
