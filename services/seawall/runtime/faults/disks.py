"""Disks that are slow, that lie, or that are full."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import sleep
from typing import Final

from seawall.runtime.faults.tally import Tally

SYNC_SECONDS_MAX: Final = 30.0
"""The longest that one sync is drawn out by one fault."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Illness:
    """What is wrong with a disk.

    Syncs take `add_us` longer in the median, log-normal with `sigma` of log time. A `lying` one
    answers a sync and keeps nothing, a `full` one takes nothing.
    """

    add_us: int = 0
    sigma: float = 0.0
    lying: bool = False
    full: bool = False
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - no secret
    tally: Tally = field(default_factory=Tally)

    def sync_seconds(self) -> float:
        """Draw how much longer a sync takes."""
        if not self.add_us:
            return 0.0
        longer = self.add_us * self.random.lognormvariate(0.0, self.sigma) / 1e6
        return min(longer, SYNC_SECONDS_MAX)


class IllDisk:
    """Implements `seawall.runtime.disk.Disk`: several illnesses add up.

    Asked by the threads that write while the event loop changes it: the tuple is replaced as a
    whole. A real sync that is slow holds its thread just so.
    """

    def __init__(self, wait: Callable[[float], None] = sleep) -> None:
        """Start sound; `wait` sleeps so many seconds."""
        self._illnesses: tuple[Illness, ...] = ()
        self._wait = wait

    def before_write(self) -> None:
        """Refuse the write while the disk is full."""
        for illness in self._illnesses:
            if illness.full:
                illness.tally.add()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def before_sync(self) -> None:
        """Make the sync take longer."""
        for illness in self._illnesses:
            if illness.add_us:
                illness.tally.add()
                self._wait(illness.sync_seconds())

    def is_lying(self) -> bool:
        """Return whether a sync is to keep nothing, and count it."""
        liars = [illness for illness in self._illnesses if illness.lying]
        for illness in liars:
            illness.tally.add()
        return bool(liars)

    def add(self, illness: Illness) -> None:
        """Let this be wrong too."""
        self._illnesses = (*self._illnesses, illness)

    def remove(self, illness: Illness) -> None:
        """Take back one call of `add` with the same argument."""
        self._illnesses = tuple(one for one in self._illnesses if one is not illness)
