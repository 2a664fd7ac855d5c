"""Structured logs: one JSON object a line, an event name and fields, never prose.

Loggers are values that travel through constructors; nothing global is configured.
"""

import logging
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, BinaryIO, Final, TypeAlias, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

Log: TypeAlias = FilteringBoundLogger
"""A logger: `log.info("round_advanced", round=7)`; `log.bind(site=0)` returns one that adds it."""

LEVELS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
    }
)
"""Level names that settings may use."""

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def open_log(level: str = "info", stream: BinaryIO | None = None, **fields: object) -> Log:
    """Return a logger that writes JSON lines to `stream` (standard error by default).

    Every line has `event`, `level`, `time` (RFC 3339, UTC) and `fields`. Bytes are written in
    hex. Writes are whole lines, so that several threads may share it.
    """
    logger = structlog.wrap_logger(
        structlog.BytesLogger(stream or sys.stderr.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return cast("Log", logger.bind(**fields))


def _render(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    plain: dict[str, Any] = {
        key: value.hex() if isinstance(value, bytes) else value for key, value in event.items()
    }
    return _encode(plain)
