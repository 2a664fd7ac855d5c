import asyncio
from typing import Any

import pytest

from seawall.api.v1 import types_pb2
from seawall.errors import PeerError
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.progress import EXPIRING_SLACK, SINKS_MAX, Progress
from seawall.ingestion.update import Stage, Update
from tests.unit.ingestion.known import Listener, admitted, author

SETTINGS = IngestionSettings()


def progress_of(**limits: int) -> Progress:
    return Progress(IngestionSettings.model_validate(limits))


def enter(progress: Progress, at: int = 0, **changes: Any) -> tuple[Update, Listener]:  # noqa: ANN401 - members of a claim
    """Take one update in flight, with somebody who listens."""
    signed = author(at).update(**changes)
    update = progress.admit(admitted(signed), signed.payload, 0)
    listener = Listener()
    progress.attach(update, listener, 1)
    return update, listener


def test_stages_have_the_numbers_of_the_wire() -> None:
    for stage in Stage:
        assert int(types_pb2.UpdateStage.Value(f"UPDATE_STAGE_{stage.name}")) == stage.value


def test_an_update_takes_its_steps_once_and_in_order() -> None:
    progress = progress_of()
    update, listener = enter(progress)
    for stage in (Stage.RECEIVED, Stage.ATTESTED, Stage.RECEIVED):
        progress.advance([update], stage)
    assert progress.committed(update.update_id, 9) is update
    assert progress.committed(update.update_id, 9) is update
    progress.advance([update], Stage.ATTESTED)
    progress.refuse(update, PeerError("LATE", "too late"))
    progress.cut("small", 1, [update.update_id, bytes(32)])
    progress.usable("small", 1)
    progress.usable("small", 1)
    assert listener.stages == ["RECEIVED", "ATTESTED", "COMMITTED", "AGGREGATED"]
    last = listener.heard[-1][1]
    assert (last.entry_index, last.version) == (9, 1)
    assert len(progress) == 0
    assert progress.bytes_in_flight == 0


def test_what_is_taken_is_free_again_after_the_end() -> None:
    progress = progress_of()
    owner = author()
    first = owner.update(seq=5)
    update = progress.admit(admitted(first), first.payload, 0)
    same_seq = admitted(owner.update(seq=5))
    same_payload = admitted(owner.signed(first.payload))
    for other, code in ((same_seq, "REPLAY_SEQ"), (same_payload, "REPLAY_PAYLOAD")):
        with pytest.raises(PeerError) as caught:
            progress.admit(other, b"", 0)
        assert caught.value.code == code
    # Another contributor's equal number and equal bytes are no conflict.
    progress.check_conflict(admitted(author(1).signed(first.payload, seq=5)))
    progress.refuse(update, PeerError("DOWN", "again"))
    progress.admit(same_seq, b"", 0)
    assert progress.find(update.update_id) is update


def test_a_refused_update_may_come_again() -> None:
    progress = progress_of()
    signed = author().update()
    first = progress.admit(admitted(signed), signed.payload, 0)
    progress.refuse(first, PeerError("DOWN", "again"))
    second = progress.admit(admitted(signed), signed.payload, 0)
    assert progress.find(second.update_id) is second
    assert second.stage == 0


def test_a_commit_counts_more_than_an_earlier_refusal() -> None:
    progress = progress_of()
    update, listener = enter(progress)
    progress.refuse(update, PeerError("BATCH_TIMEOUT", "again"))
    progress.committed(update.update_id, 4)
    assert listener.stages == ["BATCH_TIMEOUT", "COMMITTED"]


def test_limits_have_codes() -> None:
    for limits, code, same in (
        ({"in_flight_max": 1}, "QUOTA_IN_FLIGHT", False),
        ({"in_flight_bytes_max": 1}, "QUOTA_IN_FLIGHT", False),
        ({"in_flight_contributor_max": 1}, "QUOTA_CONTRIBUTOR", True),
    ):
        progress = progress_of(**limits)
        owner = author()
        signed = owner.update()
        update = progress.admit(admitted(signed), signed.payload, 0)
        with pytest.raises(PeerError) as caught:
            progress.admit(admitted((owner if same else author(1)).update()), b"", 0)
        assert caught.value.code == code
        progress.release([update])
        progress.committed(update.update_id, 0)
        progress.admit(admitted(owner.update()), b"", 0)


def test_another_update_s_commit_ends_what_it_rules_out() -> None:
    progress = progress_of()
    by_seq, first = enter(progress, 0)
    by_payload, second = enter(progress, 1)
    assert by_seq.admitted is not None
    assert by_payload.admitted is not None
    claim, other = by_seq.admitted.submission, by_payload.admitted.submission
    progress.overtaken(claim.contributor, claim.seq, bytes(32), by_seq.update_id)
    assert first.stages == []
    progress.overtaken(claim.contributor, claim.seq, bytes(32), bytes(32))
    progress.overtaken(other.contributor, 77, other.payload_digest, bytes(32))
    assert first.stages == ["REPLAY_EQUIVOCATION"]
    assert second.stages == ["REPLAY_PAYLOAD"]


def test_an_update_expires_with_the_last_commit_that_could_take_it() -> None:
    progress = progress_of()
    short, first = enter(progress, 0, expires_height=10)
    _, second = enter(progress, 1, expires_height=11)
    progress.rise(9, 0)
    assert first.stages == []
    progress.rise(10, 0)
    assert (first.stages, second.stages) == (["REPLAY_EXPIRED"], [])
    progress.committed(short.update_id, 0)
    progress.rise(11, 0)
    assert second.stages == ["REPLAY_EXPIRED"]


def test_expiries_of_landed_updates_are_forgotten() -> None:
    progress = progress_of()
    owner = author()
    for at in range(3):
        signed = owner.update(expires_height=50_000 + at)
        update = progress.admit(admitted(signed), b"", 0)
        for _ in range(EXPIRING_SLACK):
            progress._note_expiry(60_000, bytes(32))  # noqa: SLF001 - as landed ones leave it
        progress.committed(update.update_id, at)
    assert len(progress._expiring) <= EXPIRING_SLACK + 4  # noqa: SLF001 - the bound is the point


def test_a_cut_s_decision_reaches_whoever_listens() -> None:
    progress = progress_of()
    update, listener = enter(progress)
    progress.committed(update.update_id, 3)
    progress.decided(update.update_id, 2, PeerError("CUT_STALE", "too old"))
    assert listener.stages == ["COMMITTED", "CUT_STALE"]
    event = listener.heard[-1][1]
    assert (event.stage, event.version, event.entry_index) == (Stage.AGGREGATED, 2, 3)
    progress.decided(bytes(32), 2, None)


def test_refusals_by_the_order_end_an_update_or_a_watch() -> None:
    progress = progress_of()
    update, listener = enter(progress)
    progress.refused(update.update_id, PeerError("REPLAY_SEQ", "used"))
    watcher = Listener()
    progress.watch(bytes(32), watcher)
    progress.refused(bytes(32), PeerError("REPLAY_SEQ", "used"))
    progress.refused(bytes(32), PeerError("REPLAY_SEQ", "used"))
    assert listener.stages == watcher.stages == ["REPLAY_SEQ"]


def test_watches_hear_of_updates_that_come_later() -> None:
    progress = progress_of()
    here, foreign, gone, old = Listener(), Listener(), Listener(), Listener()
    signed = author().update()
    progress.watch(signed.update_id, here)
    update = progress.admit(admitted(signed), b"", 0)
    progress.advance([update], Stage.RECEIVED)
    progress.watch(bytes(32), foreign)
    progress.watch(bytes(32), gone)
    progress.unwatch([bytes(32), b"never"], gone)
    assert progress.committed(bytes(32), 8) is not None
    assert progress.committed(b"nobody asked", 9) is None
    progress.watch(b"old", old)
    assert progress.recall(b"old", 7).stage == Stage.COMMITTED
    assert progress.recall(update.update_id, 6) is update
    assert here.stages == ["RECEIVED", "COMMITTED"]
    assert foreign.stages == ["COMMITTED"]
    assert gone.stages == []
    assert old.stages == ["COMMITTED"]
    late = Listener()
    progress.watch(bytes(32), late)
    assert late.stages == ["COMMITTED"]
    lonely = Listener()
    progress.watch(b"x", lonely)
    progress.unwatch([b"x"], lonely)
    assert progress.committed(b"x", 1) is None


def test_only_so_many_listen_and_closed_ones_make_room() -> None:
    progress = progress_of()
    update, first = enter(progress)
    for _ in range(SINKS_MAX - 1):
        progress.attach(update, Listener(), 0)
    with pytest.raises(PeerError) as caught:
        progress.attach(update, Listener(), 0)
    assert caught.value.code == "QUOTA_SINKS"
    first.closed = True
    progress.attach(update, Listener(), 0)
    progress.advance([update], Stage.RECEIVED)
    assert first.stages == []
    listeners = [Listener() for _ in range(SINKS_MAX)]
    for listener in listeners:
        progress.watch(bytes(32), listener)
    with pytest.raises(PeerError) as caught:
        progress.watch(bytes(32), Listener())
    assert caught.value.code == "QUOTA_SINKS"
    listeners[0].closed = True
    progress.watch(bytes(32), Listener())


def test_memory_of_outcomes_and_cuts_is_bounded() -> None:
    progress = progress_of(remembered_max=2)
    for at in range(3):
        progress.recall(bytes([at]), at)
    assert progress.find(bytes([0])) is None
    assert progress.find(bytes([2])) is not None
    for version in range(100):
        progress.cut("small", version, [bytes([2])])
    progress.usable("small", 0)
    progress.cut("small", 200, [b"unknown"])
    found = progress.find(bytes([2]))
    assert found is not None
    assert found.stage == Stage.COMMITTED


async def test_leaving_makes_room() -> None:
    progress = progress_of(in_flight_max=1)
    update, _ = enter(progress)
    assert progress.is_full
    progress.room.clear()
    progress.committed(update.update_id, 1)
    async with asyncio.timeout(1):
        await progress.room.wait()
    assert not progress.is_full


def test_final_is_a_step_between_attested_and_committed() -> None:
    progress = progress_of()
    update, listener = enter(progress)
    progress.advance([update], Stage.ATTESTED)
    progress.final([update.update_id])
    progress.final([update.update_id])
    # Nothing that goes wrong here can take it back.
    progress.refuse(update, PeerError("BATCH_TIMEOUT", "too few answer"))
    progress.refused(update.update_id, PeerError("VERDICT_OUTVOTED", "another place of it"))
    progress.committed(update.update_id, 9)
    progress.final([update.update_id])
    assert listener.stages == ["ATTESTED", "FINAL", "COMMITTED"]


def test_who_watches_at_another_site_hears_final_at_once_or_later() -> None:
    progress = progress_of(remembered_max=2)
    early, late, gone = Listener(), Listener(), Listener()
    progress.watch(b"a" * 32, early)
    progress.watch(b"a" * 32, gone)
    gone.closed = True
    progress.final([b"a" * 32])
    progress.watch(b"a" * 32, late)
    assert (early.stages, late.stages, gone.stages) == (["FINAL"], ["FINAL"], [])
    progress.final([b"b" * 32, b"c" * 32])
    forgotten = Listener()
    progress.watch(b"a" * 32, forgotten)
    progress.committed(b"a" * 32, 7)
    assert early.stages == late.stages == ["FINAL", "COMMITTED"]
    assert forgotten.stages == ["COMMITTED"]


def test_what_consensus_has_does_not_expire_here() -> None:
    progress = progress_of()
    (ours, waiting), (handed, heard) = (enter(progress, at, expires_height=5) for at in range(2))
    handed.handed = True
    progress.rise(5, 9)
    assert (ours.is_open, waiting.stages) == (False, ["REPLAY_EXPIRED"])
    assert (handed.is_open, heard.stages) == (True, [])


def test_a_copy_that_consensus_has_waits_for_its_own_verdict() -> None:
    owner = author()
    for is_handed, stages in ((False, ["REPLAY_PAYLOAD"]), (True, [])):
        progress = progress_of()
        signed = owner.update()
        update = progress.admit(admitted(signed), signed.payload, 0)
        listener = Listener()
        progress.attach(update, listener, 1)
        update.handed = is_handed
        assert update.admitted is not None
        claim = update.admitted.submission
        progress.overtaken(claim.contributor, claim.seq + 1, claim.payload_digest, b"a" * 32)
        assert listener.stages == stages
