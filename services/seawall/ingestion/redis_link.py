"""One worker's connection to Redis: scripts, each bounded in time, each failure with a code.

Nothing is tried again here. A script whose answer was lost may have run: every one of them may run
twice. While Redis cannot be reached, callers hear so at once, and not each after a wait of its own.
"""

import asyncio
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import TimeoutError as SlowError

from seawall.errors import OperationalError
from seawall.ingestion.config import RedisSettings
from seawall.telemetry.metrics import SharedMetrics

AWAY_SECONDS: Final = 0.25
"""How long nobody asks again after Redis could not be reached."""

CONNECTIONS_MAX: Final = 8
_FORGOTTEN: Final = "FORGOTTEN"


class ForgottenError(Exception):
    """Redis does not know this worker: it has lost its state, or the worker was away too long."""


class RedisLink:
    """Runs scripts."""

    def __init__(
        self, settings: RedisSettings, prefix: str, password: str | None, metrics: SharedMetrics
    ) -> None:
        """Connect when first asked; keys begin with `prefix`."""
        self._settings = settings
        self._metrics = metrics
        self._prefix = prefix
        options: dict[str, Any] = {}
        if settings.ca_file is not None:
            options["ssl_ca_certs"] = str(settings.ca_file)
        if password is not None:
            options["password"] = password
        pool = BlockingConnectionPool.from_url(
            settings.url,
            max_connections=CONNECTIONS_MAX,
            timeout=settings.seconds_max,
            socket_timeout=settings.seconds_max,
            socket_connect_timeout=settings.seconds_max,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **options,
        )
        self._redis = Redis(connection_pool=pool)
        self._scripts: dict[str, Any] = {}
        self._away_until = 0.0
        self.up = False

    async def ask(self, script: str, *arguments: bytes | str | int) -> Any:  # noqa: ANN401 - Redis's
        """Return what a script answers.

        Raises:
            OperationalError: SHARED_*.
            ForgottenError: the state is not the one that this worker knew.

        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            raise self._counted(away())
        made = self._scripts.get(script)
        if made is None:
            made = self._scripts[script] = self._redis.register_script(script)
        try:
            async with asyncio.timeout(self._settings.seconds_max):
                answer = await made(keys=[self._prefix], args=list(arguments))
        except (TimeoutError, RedisError) as fault:
            if isinstance(fault, ResponseError) and str(fault).startswith(_FORGOTTEN):
                raise ForgottenError from None
            self.up = False
            if not isinstance(fault, ResponseError):
                self._away_until = loop.time() + AWAY_SECONDS
            raise self._counted(_failure(fault)) from fault
        self.up = True
        return answer

    def _counted(self, failure: OperationalError) -> OperationalError:
        self._metrics.failures.labels(code=failure.code).inc()
        return failure

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose(close_connection_pool=True)
        await self._redis.connection_pool.disconnect()


def away() -> OperationalError:
    """Return the failure of a question that nobody could be asked."""
    hint = "this site cannot take updates for a moment: send again, or use another site"
    return OperationalError("SHARED_AWAY", hint)


def _failure(fault: Exception) -> OperationalError:
    """Return what a failure of Redis means; all of them leave what was acknowledged as it is."""
    cause = fault.__cause__ or fault.__context__
    if isinstance(cause, (AuthenticationError, BusyLoadingError)):
        # A refusal in the middle of a greeting comes as a lost connection.
        fault = cause
    text = str(fault)
    if isinstance(fault, (TimeoutError, SlowError)):
        hint = "this site is slow at the moment: send again, or use another site"
        return OperationalError("SHARED_SLOW", hint)
    if isinstance(fault, BusyLoadingError):
        hint = "this site has just started: send again in a few seconds, or use another site"
        return OperationalError("SHARED_LOADING", hint)
    if isinstance(fault, (AuthenticationError, NoPermissionError)):
        hint = "this site's Redis refuses its password: use another site until that is repaired"
        return OperationalError("SHARED_LOGIN", hint)
    if isinstance(fault, OutOfMemoryError):
        hint = "this site's Redis has no memory left: use another site, or send again later"
        return OperationalError("SHARED_FULL", hint)
    if isinstance(fault, ReadOnlyError):
        hint = "this site's Redis takes no writes: use another site until that is repaired"
        return OperationalError("SHARED_READONLY", hint)
    if text.startswith("MISCONF"):
        hint = "this site's Redis cannot write its disk: use another site until that is repaired"
        return OperationalError("SHARED_DISK", hint)
    if isinstance(fault, AwayError):
        return away()
    hint = "this site's Redis refuses what it was asked: use another site until that is repaired"
    return OperationalError("SHARED_REFUSED", hint)
