"""The state of several workers in Redis.

Each worker keeps its own claims in memory and takes them in Redis as well. They are leases: a
worker that is killed leaves none behind for longer than one, and a worker that lives renews its
own. When Redis has lost its state, the next question says so (`FORGOTTEN`), and the worker writes
its claims there anew before it asks again. Two workers may then find that they have taken one
number for two updates: both go on, and the order of blocks accepts one of them at most.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, TypeVar

from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.ingestion import redis_scripts as scripts
from seawall.ingestion.claims import (
    Claim,
    Claims,
    contributor_refusal,
    payload_refusal,
    seq_refusal,
)
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.redis_link import ForgottenError, RedisLink, away
from seawall.ingestion.redis_sessions import RedisSessions
from seawall.ingestion.shared import taken
from seawall.ingestion.streams import StreamQuota, host_of, stream_refusal
from seawall.runtime.service import Context
from seawall.telemetry.logs import Log
from seawall.telemetry.metrics import SharedMetrics

T = TypeVar("T")

TOKEN_BYTES: Final = 16
CLAIMS_ASKED_MAX: Final = 256
"""Claims in one script: about a millisecond of Redis, which does one thing at a time."""

RELEASES_MAX: Final = 65_536
"""What waits to be given back while Redis is away; leases end by themselves."""

USED_MS: Final = 60_000
"""How long a committed update keeps its number here: until all workers have read its entry."""

BEAT_SECONDS: Final = 1.0
_REFUSALS: Final[dict[int, Callable[[], PeerError]]] = {
    1: seq_refusal,
    2: payload_refusal,
    3: contributor_refusal,
}


class RedisShared:
    """The state of one site's workers, as one of them sees it."""

    def __init__(
        self,
        link: RedisLink,
        sessions: RedisSessions,
        settings: IngestionSettings,
        quota: StreamQuota,
        token: str,
        metrics: SharedMetrics,
        log: Log,
    ) -> None:
        """Ask nothing yet; `token` names this life of this worker and no other."""
        assert settings.redis is not None, "workers share their state in a Redis"
        self.claims = Claims(settings.in_flight_contributor_max)
        self.claims.on_drop = self._release
        self.sessions = sessions
        self._link = link
        self._settings = settings
        self._quota = quota
        self._token = token
        self._metrics = metrics
        self._log = log
        self._lease_ms = int(settings.redis.lease_seconds * 1000)
        self._releases: deque[tuple[Claim, bool]] = deque(maxlen=RELEASES_MAX)
        self._ended: deque[tuple[str, str]] = deque(maxlen=RELEASES_MAX)
        self._streams: dict[str, str] = {}
        self._numbers = count(1)
        self._leaving = asyncio.Event()
        # A claim that is given back and taken again must arrive in this order.
        self._in_order = asyncio.Lock()

    async def claim(self, claims: Sequence[Claim]) -> list[SeawallError | None]:
        """Take claims here, then in Redis; return why not, for each."""
        answers = [taken(self.claims, one) for one in claims]
        passed = [at for at, answer in enumerate(answers) if answer is None]
        try:
            for part in _parts(passed, CLAIMS_ASKED_MAX):
                said = await self._claim_some([claims[at] for at in part])
                for at, answer in zip(part, said, strict=True):
                    answers[at] = answer
        except BaseException:
            for at in passed:
                self.claims.withdraw(claims[at])
            raise
        for at in passed:
            if answers[at] is not None:
                self.claims.withdraw(claims[at])
        return answers

    async def _claim_some(self, claims: Sequence[Claim]) -> Sequence[SeawallError | None]:
        try:
            async with self._in_order:
                answers: list[SeawallError | None] = await self._known(self._take, claims)
                return answers
        except OperationalError as failure:
            return [failure] * len(claims)

    @asynccontextmanager
    async def stream(self, peer: str) -> AsyncIterator[None]:
        """Count a stream, with those of other workers; without Redis, this worker's alone."""
        host, name = host_of(peer), f"{self._token}:{next(self._numbers)}"
        with self._quota.stream(peer):
            self._streams[name] = host
            try:
                if await self._is_one_too_many(host, name):
                    raise stream_refusal()
                yield
            finally:
                del self._streams[name]
                self._ended.append((host, name))
                self._leaving.set()

    def ready(self) -> bool:
        """Say whether Redis answered when it was last asked."""
        return self._link.up

    async def run(self) -> None:
        """Renew what this worker has and give back what it had, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat(), name="renew")
                group.create_task(self._keep_giving_back(), name="give-back")
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections; what was claimed is held until its leases end."""
        await self._link.close()

    async def enter(self) -> None:
        """Make this worker known; what it has, where it was not known before.

        Raises:
            OperationalError: SHARED_*.

        """
        known = await self._link.ask(scripts.ENTER, self._token, self._lease_ms)
        if not known:
            self._metrics.rebuilds.inc()
            await self._renew()

    async def give_back(self) -> None:
        """Tell Redis what has ended.

        Raises:
            OperationalError: SHARED_*; what was not told is told the next time.

        """
        while self._releases or self._ended:
            async with self._in_order:
                await self._give_some_back()

    # --- asking ----------------------------------------------------------------------------------

    async def _take(self, claims: Sequence[Claim], *, most: int | None = None) -> list[Any]:
        """Return why each claim cannot be had; `most` 0 is for those that this worker has."""
        limit = self._settings.in_flight_contributor_max if most is None else most
        words: list[str | int] = [self._token, self._lease_ms, limit]
        for one in claims:
            words += _words(one)
        answers = await self._link.ask(scripts.CLAIM, *words)
        return [None if answer == 0 else _REFUSALS[answer]() for answer in answers]

    async def _known(self, ask: Callable[[T], Any], what: T) -> Any:  # noqa: ANN401 - as `ask`
        """Ask; when Redis has forgotten this worker, tell it everything first, and ask again."""
        try:
            return await ask(what)
        except ForgottenError:
            await self.enter()
        try:
            return await ask(what)
        except ForgottenError:
            raise away() from None

    async def _renew(self) -> None:
        """Renew every claim and stream of this worker; what Redis has lost it gets again.

        A claim that is only asked for is not confirmed, and has to pass like any other.
        """
        conflicts = 0
        for part in _parts(self.claims.confirmed(), CLAIMS_ASKED_MAX):
            try:
                answers = await self._take(part, most=0)
            except ForgottenError:
                raise away() from None
            conflicts += sum(answer is not None for answer in answers)
        for some in _parts(tuple(self._streams.items()), CLAIMS_ASKED_MAX):
            words = [word for name, host in some for word in (host, name)]
            await self._link.ask(scripts.STREAM, self._lease_ms, 0, *words)
        if conflicts:
            self._metrics.conflicts.inc(conflicts)
            self._log.warning("claims_taken_twice", updates=conflicts)

    async def _is_one_too_many(self, host: str, name: str) -> bool:
        most = self._settings.streams_peer_max
        try:
            refused = await self._link.ask(scripts.STREAM, self._lease_ms, most, host, name)
        except OperationalError:
            return False
        return bool(refused)

    # --- keeping ---------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Stay known, and renew every third part of a lease."""
        loop = asyncio.get_running_loop()
        renewed_at, was_up = loop.time(), False
        while True:
            try:
                async with self._in_order:
                    await self.enter()
                    if loop.time() > renewed_at + self._lease_ms / 3000:
                        renewed_at = loop.time()
                        await self._renew()
            except OperationalError as failure:
                if was_up:
                    self._log.warning("shared_away", code=failure.code, hint=failure.hint)
            if self._link.up and not was_up:
                self._log.info("shared_back")
            was_up = self._link.up
            self._metrics.up.set(was_up)
            await asyncio.sleep(min(BEAT_SECONDS, self._lease_ms / 4000))

    async def _keep_giving_back(self) -> None:
        while True:
            await self._leaving.wait()
            self._leaving.clear()
            try:
                await self.give_back()
            except OperationalError:
                self._leaving.set()
                await asyncio.sleep(BEAT_SECONDS)

    async def _give_some_back(self) -> None:
        """Give back the oldest; what cannot be given back stays first in line."""
        some = [self._releases[at] for at in range(min(len(self._releases), CLAIMS_ASKED_MAX))]
        # What was taken again meanwhile is not given back.
        gone = [(claim, used) for claim, used in some if claim.update_id not in self.claims]
        if gone:
            words: list[str | int] = [self._token, USED_MS]
            for claim, used in gone:
                words += [*_words(claim), int(used)]
            await self._link.ask(scripts.RELEASE, *words)
        for _ in some:
            self._releases.popleft()
        ended = [self._ended[at] for at in range(min(len(self._ended), CLAIMS_ASKED_MAX))]
        if ended:
            await self._link.ask(scripts.STREAM_END, *(word for pair in ended for word in pair))
        for _ in ended:
            self._ended.popleft()

    def _release(self, claim: Claim, used: bool) -> None:  # noqa: FBT001 - as `Claims.on_drop`
        self._releases.append((claim, used))
        self._leaving.set()


def _words(claim: Claim) -> tuple[str, str, int, str]:
    """Return a claim as arguments of a script."""
    owner, digest = claim.contributor.hex(), claim.payload_digest.hex()
    return claim.update_id.hex(), owner, claim.seq, digest


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def open_redis(context: Context, settings: IngestionSettings) -> RedisShared:
    """Return the state of this site's workers, as this one sees it.

    Keys stand in braces up to the site, so that a cluster of Redis keeps those of a site together.

    Raises:
        OperationalError: SITE_CONFIG_READ when the password cannot be read.

    """
    redis = settings.redis
    assert redis is not None, "the caller has looked"
    password: str | None = None
    if redis.password_file is not None:
        try:
            password = redis.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as fault:
            hint = f"cannot read {redis.password_file}: the password of Redis stands in it"
            raise OperationalError("SITE_CONFIG_READ", hint) from fault
    metrics = SharedMetrics(context.registry)
    link = RedisLink(redis, f"{{{context.origin}/{context.site}}}:", password, metrics)
    sessions = RedisSessions(link, settings, context.admission, context.entropy)
    return RedisShared(
        link,
        sessions,
        settings,
        StreamQuota(settings),
        f"{context.worker}-{context.entropy(TOKEN_BYTES).hex()}",
        metrics,
        context.log,
    )
