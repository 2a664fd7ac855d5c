import pytest

from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats import entry as entries
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.progress import Progress
from seawall.ingestion.streams import Outbox
from seawall.ingestion.update import Stage
from seawall.ingestion.watching import Watching

ID = bytes(range(32))
DROPPED = entries.DroppedUpdate("STALE", ID.hex())
CUT = entries.CutEntry(
    base=0,
    base_payload="00" * 32,
    clock_ms=0,
    commit=3,
    dropped=(entries.DroppedUpdate("SUPERSEDED", "00" * 32), DROPPED),
    root="",
    rule=entries.Rule("fedavg", {}, 1),
    task="small",
    updates=(),
    version=4,
)
VERSION = entries.VersionEntry(3, 0, "00" * 32, 4, "usable", "small", 5, (0, 1))


class Past:
    """A ledger that knows what it is told."""

    def __init__(
        self, index: int | SeawallError | None, decision: entries.Entry | None = None
    ) -> None:
        self._index = index
        self._decision = decision

    async def entry_of(self, update_id: bytes) -> int | None:
        """Return the index, or refuse."""
        assert update_id == ID
        if isinstance(self._index, SeawallError):
            raise self._index
        return self._index

    async def decision_on(self, update_id: bytes) -> bytes | None:
        """Return the entry that decides."""
        assert update_id == ID
        return None if self._decision is None else entries.encode(self._decision)


async def news_of(past: Past, until: Stage) -> list[tuple[str, int]]:
    """Return what a watcher hears at once: stage or code, and version."""
    progress = Progress(IngestionSettings())
    outbox = Outbox(events_max=10, until=until)
    await Watching(progress, past).watch((ID,), outbox, until)
    if not outbox._events:  # noqa: SLF001 - taking would wait for ever
        return []
    return [
        (event.refusal.code if event.refusal else event.stage.name, event.version)
        for _, event in await outbox.take()
    ]


@pytest.mark.parametrize(
    ("past", "until", "heard"),
    [
        (Past(None), Stage.COMMITTED, []),
        (Past(7), Stage.COMMITTED, [("COMMITTED", 0)]),
        (Past(PeerError("REPLAY_SEQ", "used")), Stage.COMMITTED, [("REPLAY_SEQ", 0)]),
        (Past(7), Stage.AGGREGATED, [("COMMITTED", 0)]),
        (Past(7, VERSION), Stage.COMMITTED, [("COMMITTED", 0)]),
        (Past(7, VERSION), Stage.AGGREGATED, [("COMMITTED", 0), ("AGGREGATED", 5)]),
        (Past(7, CUT), Stage.AGGREGATED, [("COMMITTED", 0), ("CUT_STALE", 4)]),
        (
            Past(7, entries.DroppedEntry(3, (DROPPED,), "small", 4)),
            Stage.AGGREGATED,
            [("COMMITTED", 0), ("CUT_STALE", 4)],
        ),
        (Past(7, entries.DroppedEntry(3, (), "small", 4)), Stage.AGGREGATED, [("COMMITTED", 0)]),
    ],
)
async def test_the_ledger_tells_what_memory_does_not(
    past: Past, until: Stage, heard: list[tuple[str, int]]
) -> None:
    assert await news_of(past, until) == heard


async def test_a_ledger_that_does_not_answer_ends_the_watch() -> None:
    past = Past(OperationalError("DEADLINE", "later"))
    with pytest.raises(OperationalError):
        await news_of(past, Stage.COMMITTED)


async def test_a_closed_stream_is_not_served() -> None:
    progress = Progress(IngestionSettings())
    outbox = Outbox(events_max=10)
    outbox.closed = True
    watching = Watching(progress, Past(PeerError("NEVER", "asked")))
    await watching.watch((ID,), outbox, Stage.COMMITTED)
    watching.forget((ID,), outbox)
