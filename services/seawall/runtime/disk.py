"""What stands between a role and its disk: nothing, unless an experiment makes the disk bad."""

from typing import Protocol


class Disk(Protocol):
    """Asked before each write and each sync of a role's files, by the thread that does it."""

    def before_write(self) -> None:
        """Return when a write may go to the disk; raises `OSError` when there is no room."""
        ...

    def before_sync(self) -> None:
        """Return when a sync may begin."""
        ...

    def is_lying(self) -> bool:
        """Return whether a sync of the replica's files is to answer and keep nothing."""
        ...


class SoundDisk:
    """Implements `Disk` by doing nothing."""

    def before_write(self) -> None:
        """Return at once."""

    def before_sync(self) -> None:
        """Return at once."""

    def is_lying(self) -> bool:
        """Return False."""
        return False
