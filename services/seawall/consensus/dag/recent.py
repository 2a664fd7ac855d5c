"""The newest commits, in memory: for votes on them, for those behind, and for the next base."""

from collections.abc import Iterator
from typing import Final

from seawall.domain.commit import Commit

RECENT_COMMITS_MAX: Final = 4096
RECENT_BYTES_MAX: Final = 64 << 20


class RecentCommits:
    """Commits by index, oldest first, within a number and a size of their blocks.

    What the next base will need is kept however much it is.
    """

    def __init__(self) -> None:
        self._commits: dict[int, Commit] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._commits)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices, ascending."""
        return iter(self._commits)

    def __getitem__(self, index: int) -> Commit:
        """Return a commit that is kept."""
        return self._commits[index]

    def get(self, index: int) -> Commit | None:
        """Return a commit, None when it is not kept."""
        return self._commits.get(index)

    def keep(self, commit: Commit, base_index: int) -> None:
        """Add the next commit; let go of the oldest ones below `base_index` that do not fit."""
        self._commits[commit.index] = commit
        self._bytes += _bytes_in(commit)
        while len(self._commits) > RECENT_COMMITS_MAX or self._bytes > RECENT_BYTES_MAX:
            oldest = next(iter(self._commits))
            if oldest >= base_index:
                return
            self._bytes -= _bytes_in(self._commits.pop(oldest))


def _bytes_in(commit: Commit) -> int:
    """Return the size of a commit's blocks."""
    return sum([len(block.raw) for block in commit.blocks])
