"""What has become of each owner's numbers, within a window below the highest accepted one.

All of it follows from commits, so it is equal at all sites. Numbers further below than the window
are shut for good: honest sites accept nothing under them, so nothing of them needs to be
remembered, and what an owner can make a site keep is bounded.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from seawall.crypto.hashing import tagged

REMEMBERED_SEQS: Final = 1024
"""How far below an owner's highest accepted number others are remembered."""

_TAG: Final = b"seawall/owner/v1"


class OwnerState(msgspec.Struct, frozen=True, array_like=True):
    """One owner's numbers, as a journal's base keeps them; see `Owner`."""

    contributor: bytes
    floor: int
    first: dict[int, bytes]
    accepted: dict[int, bytes]
    contested: tuple[int, ...]
    closed: tuple[int, ...]
    settled: tuple[int, ...]


class Owner:
    """One contributor's keys by number.

    `first` are the digests delivered first for keys without an ACCEPT, `accepted` the accepted
    ones; `contested` keys have two delivered digests, `closed` ones passed a deadline, `settled`
    ones had a REJECT and no ACCEPT.
    """

    __slots__ = ("accepted", "closed", "contested", "first", "floor", "settled")

    def __init__(self) -> None:
        self.floor = 0
        self.first: dict[int, bytes] = {}
        self.accepted: dict[int, bytes] = {}
        self.contested: dict[int, None] = {}
        self.closed: dict[int, None] = {}
        self.settled: dict[int, None] = {}

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing but pending and accepted keys is known."""
        return not (self.contested or self.closed or self.settled)

    def is_shut(self, seq: int) -> bool:
        """Return whether honest sites accept nothing under this number any more."""
        return seq < self.floor or seq in self.accepted or seq in self.closed

    def deliver(self, seq: int, digest: bytes) -> bool:
        """Note a delivered instance; return whether its key is contested since."""
        known = self.accepted.get(seq)
        if known is None:
            if seq < self.floor:
                return False
            known = self.first.setdefault(seq, digest)
        if known == digest or seq in self.contested:
            return False
        self.contested[seq] = None
        return True

    def accept(self, seq: int, digest: bytes) -> None:
        """Note an ACCEPT, and forget the numbers that it puts out of the window."""
        self.first.pop(seq, None)
        self.settled.pop(seq, None)
        if seq >= self.floor:
            self.accepted[seq] = digest
            floor = seq - REMEMBERED_SEQS
            if floor > self.floor:
                for table in (
                    self.first,
                    self.accepted,
                    self.contested,
                    self.closed,
                    self.settled,
                ):
                    drop_below(table, self.floor, floor)
                self.floor = floor

    def close(self, seq: int) -> None:
        """Note that a deadline passed: without an ACCEPT the key is closed."""
        if seq not in self.accepted:
            self.closed[seq] = None

    def settle(self, seq: int) -> None:
        """Note a REJECT."""
        if seq >= self.floor and seq not in self.accepted:
            self.settled[seq] = None

    def digest(self, contributor: bytes) -> bytes:
        """Return the digest of what neither ledger nor pending blocks say."""
        firsts = [self.first[seq] for seq in self.settled]
        return tagged(
            _TAG,
            contributor,
            *[_packed(table) for table in (self.contested, self.closed, self.settled)],
            b"".join(firsts),
        )

    def snapshot(self, contributor: bytes) -> OwnerState:
        """Return the state."""
        return OwnerState(
            contributor,
            self.floor,
            dict(self.first),
            dict(self.accepted),
            tuple(self.contested),
            tuple(self.closed),
            tuple(self.settled),
        )

    @classmethod
    def restored(cls, state: OwnerState) -> "Owner":
        """Return an owner in this state."""
        owner = cls()
        owner.floor = state.floor
        owner.first = dict(state.first)
        owner.accepted = dict(state.accepted)
        owner.contested = dict.fromkeys(state.contested)
        owner.closed = dict.fromkeys(state.closed)
        owner.settled = dict.fromkeys(state.settled)
        return owner


def drop_below(table: dict[int, bytes] | dict[int, None], before: int, floor: int) -> None:
    """Drop numbers below a floor; none stands below the floor `before`."""
    if floor - before > len(table):
        for seq in [seq for seq in table if seq < floor]:
            del table[seq]
        return
    for seq in range(before, floor):
        table.pop(seq, None)


def _packed(numbers: Iterable[int]) -> bytes:
    """Return the numbers, 8 bytes each."""
    return b"".join([number.to_bytes(8, "big") for number in numbers])
