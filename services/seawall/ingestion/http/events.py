"""News of updates as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import json
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from seawall.errors import SeawallError
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.http.models import event_of, text_of
from seawall.ingestion.http.problems import document_of
from seawall.ingestion.streams import Outbox
from seawall.ingestion.update import Stage
from seawall.ingestion.watching import Watching

MEDIA_TYPE: Final = "text/event-stream"
SILENCE_SECONDS_MAX: Final = 15.0
"""After it a comment goes out, so that nobody on the way takes the connection for dead."""

COMMENT: Final = b": nothing new\n\n"
END: Final = b"event: end\ndata: {}\n\n"


class EventStream(Response):
    """Events of some updates, until each has come far enough or was refused.

    `update` carries an event, `problem` says why the stream ends early, `end` that all is said: a
    browser's EventSource has to be closed then, or it connects again.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        watching: Watching,
        settings: IngestionSettings,
        update_ids: tuple[bytes, ...],
        until: Stage,
    ) -> None:
        """Begin when the server calls."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._watching = watching
        self._settings = settings
        self._update_ids = update_ids
        self._until = until

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what becomes of the updates; end when the reader goes away or is too slow."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        outbox = Outbox(events_max=self._settings.events_max, until=self._until)
        last = END
        try:
            async with asyncio.TaskGroup() as group:
                guard = group.create_task(outbox.guard(self._settings.stream_idle_seconds))
                telling = group.create_task(self._tell(outbox, send))
                leaving = group.create_task(_gone(receive, telling))
                group.create_task(self._watching.watch(self._update_ids, outbox, self._until))
                await asyncio.wait((telling,))
                outbox.closed = True  # whoever still looks updates up need not
                guard.cancel()
                leaving.cancel()
        except* SeawallError as failures:
            last = _event("problem", json.dumps(document_of(_first(failures))))
        finally:
            outbox.closed = True
            self._watching.forget(self._update_ids, outbox)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _tell(self, outbox: Outbox, send: Send) -> None:
        """Write events as they come, those that are there together."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS_MAX):
                    events = await outbox.take()
            except TimeoutError:
                await send({"type": "http.response.body", "body": COMMENT, "more_body": True})
                continue
            if not events:
                return
            data = b"".join(_event("update", text_of(event_of(event))) for _, event in events)
            await send({"type": "http.response.body", "body": data, "more_body": True})


def _event(name: str, data: str) -> bytes:
    """Return one event; JSON has no line breaks."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def _first(failures: BaseExceptionGroup[SeawallError]) -> SeawallError:
    """Return one failure of several."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _gone(receive: Receive, telling: asyncio.Task[None]) -> None:
    """Stop telling when the reader has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    telling.cancel()
