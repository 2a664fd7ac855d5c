"""Workers of one site's ingestion as tests see them, and a model of what they share."""

import asyncio
import os
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

from seawall.errors import SeawallError
from seawall.ingestion.claims import Claim
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.redis_link import RedisLink
from seawall.ingestion.redis_sessions import RedisSessions
from seawall.ingestion.redis_shared import RedisShared
from seawall.ingestion.shared import Alone, Shared
from seawall.ingestion.streams import StreamQuota
from seawall.runtime.admission_cache import AdmissionCache
from seawall.telemetry.logs import open_log
from seawall.telemetry.metrics import SharedMetrics, open_registry
from tests.cases.redis_server import PASSWORD, RedisServer, redis_server
from tests.unit.ingestion.known import ADMISSION, ORIGIN

T = TypeVar("T")

LIMITS: Final[dict[str, object]] = {
    "in_flight_contributor_max": 2,
    "uploads_max": 3,
    "uploads_contributor_max": 2,
    "streams_max": 64,
    "streams_peer_max": 2,
}
LEASE_SECONDS: Final = 600.0
"""No lease ends by itself in a test that does not say so."""

SECONDS_MAX: Final = 30.0
"""Of one question: a busy machine is no failure."""

LOG: Final = open_log("error")
METRICS: Final = SharedMetrics(open_registry("test"))


def settings_of(url: str | None, **changes: object) -> IngestionSettings:
    """Return settings with small limits."""
    shared = {"url": url, "lease_seconds": LEASE_SECONDS, "seconds_max": SECONDS_MAX}
    redis = {} if url is None else {"redis": shared}
    return IngestionSettings.model_validate({**LIMITS, **redis, **changes})


def redis_worker(url: str, *, password: str = PASSWORD, **changes: object) -> RedisShared:
    """Return a new worker with a Redis."""
    settings = settings_of(url, workers=4, **changes)
    assert settings.redis is not None, "given above"
    link = RedisLink(settings.redis, f"{{{ORIGIN}/0}}:", password, METRICS)
    sessions = RedisSessions(link, settings, AdmissionCache(ADMISSION), os.urandom)
    token = os.urandom(8).hex()
    quota = StreamQuota(settings)
    return RedisShared(link, sessions, settings, quota, token, METRICS, LOG)


class Workers(Protocol):
    """The workers of one site, under one implementation."""

    count: int
    remembers_used: bool

    def new(self) -> Shared:
        """Return one more worker."""
        ...

    async def settle(self, workers: Sequence[Shared]) -> None:
        """Return once all workers see what any of them has done."""
        ...

    async def lose(self, workers: Sequence[Shared]) -> None:
        """Lose everything that may be lost, and let these workers notice."""
        ...

    async def end(self, workers: Sequence[Shared]) -> None:
        """Let workers go."""
        ...


class OneWorker:
    """A worker alone, with nothing but its memory."""

    count = 1
    remembers_used = False

    def new(self) -> Alone:
        """Return the worker."""
        return Alone(settings_of(None), os.urandom, lambda: 0.0, LOG)

    async def settle(self, workers: Sequence[Shared]) -> None:
        """Return: memory is settled."""

    async def lose(self, workers: Sequence[Shared]) -> None:
        """Return: memory is lost with its process only."""

    async def end(self, workers: Sequence[Shared]) -> None:
        """Return: there is nothing to close."""


class RedisWorkers:
    """Several workers with one Redis."""

    count = 3
    remembers_used = True

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        server.ask("FLUSHALL")

    def new(self) -> RedisShared:
        """Return one more worker."""
        return redis_worker(self.server.url)

    async def settle(self, workers: Sequence[Shared]) -> None:
        """Tell Redis what has ended."""
        for one in workers:
            assert isinstance(one, RedisShared)
            await one.give_back()

    async def lose(self, workers: Sequence[Shared]) -> None:
        """Empty Redis."""
        self.server.ask("FLUSHALL")
        for one in workers:
            assert isinstance(one, RedisShared)
            await one.enter()

    async def end(self, workers: Sequence[Shared]) -> None:
        """Close connections."""
        for one in workers:
            assert isinstance(one, RedisShared)
            await one.close()


@contextmanager
def own_memory(directory: Path) -> Iterator[Workers]:
    """Return the implementation for one worker."""
    del directory
    yield OneWorker()


@contextmanager
def one_redis(directory: Path) -> Iterator[Workers]:
    """Return the implementation for several workers."""
    with redis_server(directory / "redis") as server:
        yield RedisWorkers(server)


class Model:
    """Who holds which claim: what every implementation has to agree with."""

    def __init__(self, contributor_max: int, *, remembers_used: bool) -> None:
        self.holders: dict[Claim, list[int]] = {}
        self.used: list[Claim] = []
        self._contributor_max = contributor_max
        self._remembers_used = remembers_used

    def expected(self, claim: Claim, worker: int) -> tuple[str, ...]:
        """Return the codes with which a claim may be refused, none when it is taken.

        Which of several comes first depends on what a worker knows without asking.
        """
        if worker in self.holders.get(claim, ()):
            return ()
        rivals = [*self.holders, *(self.used if self._remembers_used else ())]
        of_owner = [one for one in rivals if one.contributor == claim.contributor and one != claim]
        flying = [one for one in self.holders if one.contributor == claim.contributor]
        reasons = {
            "REPLAY_SEQ": any(one.seq == claim.seq for one in of_owner),
            "REPLAY_PAYLOAD": any(one.payload_digest == claim.payload_digest for one in of_owner),
            "QUOTA_CONTRIBUTOR": claim not in flying and len(flying) >= self._contributor_max,
        }
        return tuple(reason for reason, holds in reasons.items() if holds)

    def take(self, claim: Claim, worker: int) -> None:
        """Note that a worker holds a claim."""
        if worker not in self.holders.setdefault(claim, []):
            self.holders[claim].append(worker)

    def drop(self, claim: Claim, worker: int, *, used: bool) -> None:
        """Note that a worker holds a claim no more."""
        self.holders[claim].remove(worker)
        if not self.holders[claim]:
            del self.holders[claim]
        if used and claim not in self.used:
            self.used.append(claim)


def code(answer: SeawallError | None) -> str:
    """Return the code of a refusal, empty for none."""
    return "" if answer is None else answer.code


class Loop:
    """An event loop that lives as long as a test of many steps."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __call__(self, work: Awaitable[T]) -> T:
        """Return what work returns."""
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        """End it."""
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
