"""Distances between zones on one machine: delays of fault planes, as long as a run lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from seawall.chaos.runner.injection import Injection
from seawall.chaos.runner.protocols import Actuator, Journal
from seawall.chaos.runner.records import Intended, Reverted, Reverting
from seawall.errors import SeawallError

LEASE_SECONDS: Final = 30
RENEW_SECONDS: Final = 2.0
"""How soon a site that was started again is as far away as before."""


@asynccontextmanager
async def terrain(
    injections: Sequence[Injection],
    actuator: Actuator,
    journal: Journal,
    clock: Callable[[], int],
) -> AsyncIterator[None]:
    """Keep these delays in force until the end of the block; journalled like any fault.

    Raises:
        SeawallError: a site refuses one.

    """
    try:
        for injection in injections:
            intended = Intended(at_us=clock(), injection=injection, lease_seconds=LEASE_SECONDS)
            await journal.write(intended)
            await actuator.apply(injection, LEASE_SECONDS)
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(_keep(injections, actuator), name="terrain")
            try:
                yield
            finally:
                keeping.cancel()
    finally:
        await _flatten(injections, actuator, journal, clock)


async def _keep(injections: Sequence[Injection], actuator: Actuator) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        for injection in injections:
            # A site that is down is asked again the next time.
            with suppress(SeawallError):
                await _keep_one(injection, actuator)


async def _keep_one(injection: Injection, actuator: Actuator) -> None:
    try:
        await actuator.renew(injection, LEASE_SECONDS)
    except SeawallError:
        await actuator.apply(injection, LEASE_SECONDS)


async def _flatten(
    injections: Sequence[Injection],
    actuator: Actuator,
    journal: Journal,
    clock: Callable[[], int],
) -> None:
    for injection in injections:
        # What cannot be reverted ends by its lease, and stays in the journal for `clean`.
        with suppress(SeawallError):
            await journal.write(Reverting(at_us=clock(), id=injection.id))
            await actuator.revert(injection)
            await journal.write(Reverted(at_us=clock(), id=injection.id))
