"""Calls to this process that are late, or refused, by method and by who calls.

Handlers are wrapped when they are registered, and only where chaos is enabled. While no fault acts
a call costs one look at an empty tuple, and a message that a caller streams passes through one
more generator. Calls inside the process are hit as well: they come from the own site.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

from seawall.errors import OperationalError
from seawall.runtime.exchange import Handler, behaviour_of, with_behaviour
from seawall.runtime.faults.tally import Tally
from seawall.runtime.status import AnyContext, abort

SiteOf: TypeAlias = Callable[[AnyContext], int | None]
"""Tells the site that calls: its index, None for clients."""

API: Final = "seawall.api.v1."
EXEMPT: Final = (f"{API}FaultPlaneService",)
"""Services that are never hit: an order to end a fault has to get through."""

LINKS: Final = f"{API}ConsensusService/Blocks"
"""Links between replicas; their faults are those of `seawall.runtime.faults.links`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallRule:
    """Whom one fault hits, and how; times in microseconds.

    `hits_site` is asked with the calling site, None for clients.
    """

    methods: tuple[str, ...]
    hits_site: Callable[[int | None], bool]
    delay_us: int = 0
    jitter_us: int = 0
    refuse: bool = False
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - no secret
    tally: Tally = field(default_factory=Tally)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def hits(self, method: str, site: int | None) -> bool:
        """Return whether a call of this method by this site is hit."""
        return method in self.methods and self.hits_site(site)

    async def pause(self) -> None:
        """Wait as long as the fault says, or until it ends."""
        around_us = self.random.randint(-self.jitter_us, self.jitter_us)
        seconds = (self.delay_us + around_us) / 1e6
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.ended.wait()


@dataclass(slots=True, eq=False)
class _Running:
    """One call at work; `refused` once a fault has ended it."""

    method: str
    site_of: Callable[[], int | None]
    task: "asyncio.Task[Any] | None"
    refused: bool = False


class CallFaults:
    """The rules of one process, the methods that it serves, and the calls that run.

    Belongs to the event loop.
    """

    def __init__(self) -> None:
        """Start without a rule."""
        self._rules: tuple[CallRule, ...] = ()
        self._running: dict[_Running, None] = {}
        self._methods: dict[str, None] = {}

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the full names of the methods that can be hit."""
        return tuple(self._methods)

    def add(self, rule: CallRule) -> None:
        """Let this act too; a rule that refuses ends the calls of its kind that run."""
        self._rules = (*self._rules, rule)
        if not rule.refuse:
            return
        for call in tuple(self._running):
            if call.task is not None and rule.hits(call.method, call.site_of()):
                rule.tally.add()
                call.refused = True
                call.task.cancel()

    def remove(self, rule: CallRule) -> None:
        """Take back one call of `add` with the same argument."""
        self._rules = tuple(one for one in self._rules if one is not rule)
        rule.ended.set()

    def wrapped(
        self, service: str, handlers: Mapping[str, Handler], site_of: SiteOf
    ) -> dict[str, Handler]:
        """Return the handlers of a service, each behind the rules."""
        if service in EXEMPT:
            return dict(handlers)
        found: dict[str, Handler] = {}
        for name, handler in handlers.items():
            method = f"{service}/{name}"
            if method != LINKS:
                self._methods[method] = None
                handler = self._wrap(method, handler, site_of)  # noqa: PLW2901 - stands for it
            found[name] = handler
        return found

    def _wrap(self, method: str, handler: Handler, site_of: SiteOf) -> Handler:
        behaviour = behaviour_of(handler)
        streams = handler.request_streaming

        def begin(context: AnyContext) -> _Running:
            call = _Running(method, lambda: site_of(context), asyncio.current_task())
            self._running[call] = None
            return call

        async def single(request: Any, context: AnyContext) -> object:  # noqa: ANN401 - any kind
            call = begin(context)
            try:
                await self._arrive(call, context)
                given = self._requests(call, request) if streams else request
                return await behaviour(given, context)
            except asyncio.CancelledError:
                await _end(call, context)
                raise
            finally:
                del self._running[call]

        async def stream(request: Any, context: AnyContext) -> AsyncIterator[object]:  # noqa: ANN401 - any kind
            call = begin(context)
            try:
                await self._arrive(call, context)
                given = self._requests(call, request) if streams else request
                async for response in behaviour(given, context):
                    yield response
            except asyncio.CancelledError:
                await _end(call, context)
                raise
            finally:
                del self._running[call]

        chosen = stream if inspect.isasyncgenfunction(behaviour) else single
        return with_behaviour(handler, chosen)

    async def _arrive(self, call: _Running, context: AnyContext) -> None:
        """Let a new call in: late, or not at all."""
        for rule in self._hitting(call):
            rule.tally.add()
            if rule.refuse:
                await abort(context, _refusal())
            await rule.pause()

    async def _requests(self, call: _Running, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield what the caller streams, late while it is hit."""
        async for request in requests:
            if self._rules:
                for rule in self._hitting(call):
                    rule.tally.add()
                    await rule.pause()
            yield request

    def _hitting(self, call: _Running) -> Sequence[CallRule]:
        if not self._rules:
            return ()
        site = call.site_of()
        return [rule for rule in self._rules if rule.hits(call.method, site)]


async def _end(call: _Running, context: AnyContext) -> None:
    """Tell the caller why, when a fault has ended the call; return when something else did."""
    if call.refused and call.task is not None:
        call.task.uncancel()
        await abort(context, _refusal())


def _refusal() -> OperationalError:
    return OperationalError("FAULT_REFUSED", "an experiment keeps this service from answering")
