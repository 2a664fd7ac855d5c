from seawall.domain.block import UpdateKind
from seawall.errors import PeerError
from seawall.formats import entry as entries
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.following import Page, follow
from seawall.ingestion.progress import Progress
from seawall.ingestion.update import Update
from tests.unit.ingestion.known import Listener, admitted, author

RULE = entries.Rule("fedavg", {}, 1)


def leaf(update: Update, commit: int = 3) -> bytes:
    assert update.admitted is not None
    return entries.encode_update(
        update.admitted.record, commit=commit, task="small", site=0, batch=1
    )


def cut_of(
    updates: tuple[bytes, ...], dropped: tuple[tuple[str, bytes], ...], root: bytes = b""
) -> bytes:
    return entries.encode(
        entries.CutEntry(
            base=0,
            base_payload="00" * 32,
            clock_ms=0,
            commit=3,
            dropped=tuple(entries.DroppedUpdate(reason, one.hex()) for reason, one in dropped),
            root=root.hex(),
            rule=RULE,
            task="small",
            updates=tuple(
                entries.SelectedUpdate("00" * 32, 1, "00" * 32, 4, 0, one.hex()) for one in updates
            ),
            version=1,
        )
    )


def version_of(status: str) -> bytes:
    spec = entries.VersionEntry(3, 0, "00" * 32, 4, status, "small", 1, (0, 1))
    return entries.encode(spec)


def enter(progress: Progress, at: int) -> tuple[Update, Listener]:
    signed = author(at).update()
    update = progress.admit(admitted(signed), signed.payload, 0)
    listener = Listener()
    progress.attach(update, listener, at)
    return update, listener


def test_entries_tell_what_becomes_of_updates() -> None:
    progress = Progress(IngestionSettings())
    people = [enter(progress, at) for at in range(6)]
    ids = [update.update_id for update, _ in people]
    commit = entries.encode(
        entries.CommitEntry(0, "00" * 32, 3, entries.Leader(0, "00" * 32, 1), "00" * 32, 0, 5)
    )
    leaves = [commit, *(leaf(update) for update, _ in people[:4])]
    cut = cut_of((ids[0],), (("STALE", ids[2]), ("SUPERSEDED", ids[3])), root=ids[1])
    dropped = entries.encode(entries.DroppedEntry(3, (), "small", 1))
    leaves += [cut, dropped, version_of("usable"), version_of("final")]
    page = Page(
        start=100,
        entries=tuple(leaves),
        commit_index=3,
        refused=((ids[4], PeerError("REPLAY_SEQ", "used")),),
    )
    assert follow(page, progress).committed == [update for update, _ in people[:4]]
    assert [listener.stages for _, listener in people] == [
        ["COMMITTED", "AGGREGATED"],
        ["COMMITTED", "AGGREGATED"],
        ["COMMITTED", "CUT_STALE"],
        ["COMMITTED", "CUT_SUPERSEDED"],
        ["REPLAY_SEQ"],
        [],
    ]
    assert [listener.heard[0][1].entry_index for _, listener in people[:4]] == [101, 102, 103, 104]
    assert (progress.height, progress.tree_size) == (3, 109)


def test_a_foreign_update_under_the_same_number_ends_ours() -> None:
    progress = Progress(IngestionSettings())
    update, listener = enter(progress, 0)
    foreign = admitted(author(0).update(seq=1, num_examples=77))
    assert foreign.update_id != update.update_id
    entry = entries.encode_update(foreign.record, commit=1, task="small", site=2, batch=9)
    assert foreign.record.kind is UpdateKind.DELTA
    assert follow(Page(0, (entry,), 1), progress).committed == []
    assert listener.stages == ["REPLAY_EQUIVOCATION"]


def test_a_cut_of_nothing_known_changes_nothing() -> None:
    progress = Progress(IngestionSettings())
    assert follow(Page(0, (cut_of((), ()), version_of("usable")), 2), progress).committed == []
    assert progress.height == 2


def test_a_tainted_update_is_committed_and_in_no_version() -> None:
    progress = Progress(IngestionSettings())
    update, listener = enter(progress, 0)
    assert update.admitted is not None
    record = update.admitted.record
    taint = ("REPLAY_BASE", "REPLAY_EXPIRED")
    entry = entries.encode_update(record, commit=1, task="small", site=2, batch=9, taint=taint)
    assert follow(Page(5, (entry,), 1), progress).committed == [update]
    assert listener.stages == ["COMMITTED", "CUT_TAINTED"]
    refusal = listener.heard[-1][1].refusal
    assert refusal is not None
    assert "REPLAY_BASE, REPLAY_EXPIRED" in refusal.hint


def test_an_undecided_update_of_this_site_comes_back_and_is_not_refused() -> None:
    progress = Progress(IngestionSettings())
    reason = PeerError("VERDICT_UNDECIDED", "send it again")
    (own, heard), (waiting, _), (final, _) = (enter(progress, at) for at in range(3))
    watcher = Listener()
    progress.watch(bytes(32), watcher)
    own.handed = final.handed = True
    progress.final([final.update_id])
    ids = (own.update_id, waiting.update_id, final.update_id, own.update_id, bytes(32))
    page = Page(0, (), 1, tuple([(one, reason) for one in ids]))
    assert follow(page, progress).undecided == [(own, reason)]
    assert (own.handed, heard.stages, watcher.stages) == (False, [], [])
