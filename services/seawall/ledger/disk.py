"""Blocking writes beside the event loop, finished even when nobody waits any more."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finish(write: Callable[[], T]) -> T:
    """Return what a blocking write returns, from a thread of its own.

    When the caller is cancelled, the write is awaited first: files are closed after it, not under
    it.
    """
    running = asyncio.get_running_loop().run_in_executor(None, write)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
