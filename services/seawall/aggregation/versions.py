"""What the log says about one task's versions, as far as it has been read.

Pure bookkeeping: entries go in, in order, any of them more than once; out come the cuts to work on
and the versions that stake has voted for.
"""

from typing import Final

import msgspec

from seawall.domain.genesis import Task
from seawall.formats import entry as entries

FINAL: Final = "final"


class RootUpdate(msgspec.Struct, frozen=True):
    """A root update as the log names it: digest and size of its payload, its entry."""

    payload: bytes
    size_bytes: int
    index: int


class LoggedCut(msgspec.Struct, frozen=True):
    """A cut, its place in the log, the root update that goes into it, when it was read."""

    index: int
    entry: entries.CutEntry
    root: RootUpdate | None
    read_us: int

    @property
    def version(self) -> int:
        """Return the number of the version that it forms."""
        return self.entry.version


class LoggedVersion(msgspec.Struct, frozen=True):
    """A usable version: what stake has voted for, and where the log says so.

    Attributes:
        version: its number; 0 is the base model of genesis.
        payload: digest of its payload, 32 bytes.
        size_bytes: length of its payload.
        index: leaf index of the entry that makes it usable; 0 for version 0.
        commit: commit of that entry.
        cut: leaf index of its cut; 0 for version 0.

    """

    version: int
    payload: bytes
    size_bytes: int
    index: int
    commit: int
    cut: int


def version_zero(task: Task) -> LoggedVersion:
    """Return the base model of a task as its version 0."""
    return LoggedVersion(0, task.base_payload_digest, task.payload_size_bytes, 0, 0, 0)


class TaskLog:
    """The cuts and versions of one task above those that are done."""

    def __init__(self, task: Task, site: int, done: LoggedVersion, final: int, voted: int) -> None:
        """Start above a version.

        Args:
            task: the task.
            site: the own site; its votes are told apart.
            done: the newest version whose payload this site holds.
            final: the newest version that is known to be final.
            voted: the newest version for which a vote of this site was counted.

        """
        self.task = task
        self.head = done
        """The newest usable version that the log names."""
        self.final = final
        self.voted = voted
        self.cuts: dict[int, LoggedCut] = {}
        """Cuts whose versions are not done, by version, ascending."""
        self.usable: dict[int, LoggedVersion] = {}
        """Usable versions that are not done, by number."""
        self._site = site
        self._done = done.version
        self._roots: dict[str, RootUpdate] = {}

    def apply(self, index: int, entry: entries.Entry, now_us: int) -> bool:
        """Take an entry of the log; say whether it changed anything here."""
        if isinstance(entry, entries.UpdateEntry):
            return self._apply_update(index, entry)
        if isinstance(entry, entries.CutEntry):
            return self._apply_cut(index, entry, now_us)
        if isinstance(entry, entries.VersionEntry):
            return self._apply_version(index, entry)
        return False

    def settled(self, version: int) -> bool:
        """Say whether a vote of this site for `version` is counted, or needed no more."""
        return version <= max(self.final, self.voted)

    def finish(self, version: int) -> None:
        """Note that the payload of a version is here."""
        self._done = version
        self.cuts.pop(version, None)
        self.usable.pop(version, None)

    def needed_from(self) -> int | None:
        """Return the first entry that a restart must read again, None when there is none."""
        needed = [root.index for root in self._roots.values()]
        for cut in self.cuts.values():
            needed.append(cut.index)
            if cut.root is not None:
                needed.append(cut.root.index)
        return min(needed, default=None)

    def _apply_update(self, index: int, entry: entries.UpdateEntry) -> bool:
        """Remember root updates for the head: the next cut may name one."""
        if entry.kind == "root" and entry.base_version == self.head.version:
            found = RootUpdate(bytes.fromhex(entry.payload), entry.payload_size, index)
            return self._roots.setdefault(entry.update_id, found) is found
        return False

    def _apply_cut(self, index: int, entry: entries.CutEntry, now_us: int) -> bool:
        if entry.version <= self._done or entry.version in self.cuts:
            return False
        root = self._roots[entry.root] if entry.root else None
        self.cuts[entry.version] = LoggedCut(index, entry, root, now_us)
        return True

    def _apply_version(self, index: int, entry: entries.VersionEntry) -> bool:
        if self._site in entry.votes:
            self.voted = max(self.voted, entry.version)
        if entry.status == FINAL:
            self.final = max(self.final, entry.version)
        if entry.version > self.head.version:
            payload, size = bytes.fromhex(entry.payload), entry.payload_size
            self.head = LoggedVersion(entry.version, payload, size, index, entry.commit, entry.cut)
            self.usable[entry.version] = self.head
            self._roots.clear()
        return True
