"""Blocks that wait for missing parents, found by the reference that they miss."""

from seawall.domain.block import Ref, VerifiedBlock


class _Waiting:
    """A suspended block and how many of its parents are missing."""

    __slots__ = ("block", "missing")

    def __init__(self, block: VerifiedBlock, missing: int) -> None:
        self.block = block
        self.missing = missing


class PendingBlocks:
    """Suspended blocks, at most `per_author_max` of each author."""

    def __init__(self, size: int, per_author_max: int) -> None:
        self._waiting: dict[Ref, _Waiting] = {}
        self._children: dict[Ref, list[Ref]] = {}
        self._counts = [0] * size
        self._per_author_max = per_author_max

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._waiting

    def get(self, ref: Ref) -> VerifiedBlock | None:
        """Return the suspended block with this reference."""
        waiting = self._waiting.get(ref)
        return None if waiting is None else waiting.block

    def wants(self, ref: Ref) -> bool:
        """Return whether a suspended block waits for this one."""
        return ref in self._children

    def has_room(self, author: int) -> bool:
        """Return whether another block of this author may be suspended."""
        return self._counts[author] < self._per_author_max

    def add(self, block: VerifiedBlock, missing: list[Ref]) -> list[Ref]:
        """Suspend a block; return those missing references that are not suspended themselves."""
        absent: list[Ref] = []
        self._waiting[block.ref] = _Waiting(block, len(missing))
        self._counts[block.ref.author] += 1
        for ref in missing:
            self._children.setdefault(ref, []).append(block.ref)
            if ref not in self._waiting:
                absent.append(ref)
        return absent

    def resolve(self, ref: Ref) -> list[VerifiedBlock]:
        """Return the blocks that waited for this reference alone; they are suspended no longer."""
        free: list[VerifiedBlock] = []
        for child in self._children.pop(ref, ()):
            waiting = self._waiting[child]
            waiting.missing -= 1
            if waiting.missing == 0:
                free.append(self._remove(child))
        return free

    def collect(self, gc_round: int) -> list[VerifiedBlock]:
        """Drop suspended blocks at or below the gc round; return those that are free now.

        Parents at or below that round count as present.
        """
        for ref in [ref for ref in self._waiting if ref.round <= gc_round]:
            self.drop(ref)
        free: list[VerifiedBlock] = []
        for ref in [ref for ref in self._children if ref.round <= gc_round]:
            free.extend(self.resolve(ref))
        return free

    def drop(self, ref: Ref) -> None:
        """Forget a block if it is suspended, and what it waited for."""
        if ref not in self._waiting:
            return
        for parent in self._remove(ref).block.parents:
            children = self._children.get(parent)
            if children is not None and ref in children:
                children.remove(ref)
                if not children:
                    del self._children[parent]

    def _remove(self, ref: Ref) -> VerifiedBlock:
        """Take a block out."""
        self._counts[ref.author] -= 1
        return self._waiting.pop(ref).block
