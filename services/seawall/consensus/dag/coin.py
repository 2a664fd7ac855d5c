"""The common coin: own shares that are owed, shares that have come, and the leaders they name.

An author owes a share for every round r from its first block at a round of at least r + w - 1 on,
and pays in its next blocks; it skips only rounds at or below its gc round, because a share that
may be skipped can halt the chain. Shares are combined first and verified once; single shares are
checked only when that fails. All of it comes out of accepted blocks, so a restart rebuilds it.

Source: Jovanovic et al., "Mahi-Mahi", arXiv 2410.08670; docs/protocol.md, section 3.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from seawall.consensus.dag.leaders import CoinLeaders
from seawall.crypto.coin import combine, sign, verify
from seawall.crypto.hashing import tagged
from seawall.domain.block import Block, CoinShares
from seawall.domain.committee import Committee

SHARES_PER_BLOCK_MAX: Final = 8

_MESSAGE: Final = b"seawall/coin/v1"


class Coin(Protocol):
    """Shares of one value per round that nobody can foresee or influence."""

    threshold: int

    def share(self, round_: int) -> bytes:
        """Return this site's share (48 bytes)."""
        ...

    def combine(self, round_: int, shares: Mapping[int, bytes]) -> bytes | None:
        """Return the coin of the round, verified; None when one of these shares is wrong."""
        ...

    def is_valid(self, round_: int, author: int, share: bytes) -> bool:
        """Return whether this is the author's share of the round."""
        ...


class ThresholdCoin:
    """The coin as a threshold signature over (origin, epoch, round)."""

    def __init__(self, committee: Committee, secret: bytes) -> None:
        keys = committee.coin
        assert keys is not None, "a committee with a coin has keys for it"
        assert len({member.stake for member in committee.members}) == 1, "a coin has equal weights"
        self._keys = keys
        self._secret = secret
        self._domain = (committee.origin.encode(), committee.epoch.to_bytes(8, "big"))
        self.threshold = keys.threshold

    def share(self, round_: int) -> bytes:
        """Return this site's share."""
        return sign(self._secret, self._message(round_))

    def combine(self, round_: int, shares: Mapping[int, bytes]) -> bytes | None:
        """Return the group's signature, if it verifies."""
        made = combine(shares)
        if made is None or not verify(self._keys.group_key, self._message(round_), made):
            return None
        return made

    def is_valid(self, round_: int, author: int, share: bytes) -> bool:
        """Return whether the share verifies under the author's share key."""
        return verify(self._keys.share_keys[author], self._message(round_), share)

    def _message(self, round_: int) -> bytes:
        return tagged(_MESSAGE, *self._domain, round_.to_bytes(8, "big"))


class CoinBook:
    """What this replica owes, and what it has of the coins that are not known yet."""

    def __init__(self, coin: Coin, schedule: CoinLeaders, own: int, wave_length: int) -> None:
        self._coin = coin
        self._schedule = schedule
        self._own = own
        self._delay = wave_length - 1
        self._next_owed = 1
        self._shares: dict[int, dict[int, bytes]] = {}
        self.bad: list[tuple[int, int]] = []
        """(round, author) of wrong shares that nobody has reported yet."""

    def owed(self, round_: int, gc_round: int) -> CoinShares:
        """Return the shares that an own block of this round has to carry."""
        first = max(self._next_owed, gc_round + 1)
        end = min(round_ - self._delay + 1, first + SHARES_PER_BLOCK_MAX)
        if end <= first:
            return CoinShares()
        return CoinShares(first, tuple([self._coin.share(one) for one in range(first, end)]))

    def on_accept(self, block: Block, next_round: int) -> list[int]:
        """Take an accepted block's shares of rounds not decided; return rounds now revealed."""
        revealed: list[int] = []
        carried = block.coin_shares
        if block.author == self._own and carried.shares:
            paid = carried.first_round + len(carried.shares)
            self._next_owed = max(self._next_owed, paid)
        for round_, share in enumerate(carried.shares, carried.first_round):
            if round_ < next_round or self._schedule.leaders(round_) is not None:
                continue
            held = self._shares.setdefault(round_, {})
            held.setdefault(block.author, share)
            if len(held) >= self._coin.threshold and self._reveal(round_, held):
                del self._shares[round_]
                revealed.append(round_)
        return revealed

    def forget(self, below: int) -> None:
        """Drop what belongs to rounds that are decided."""
        for round_ in [known for known in self._shares if known < below]:
            del self._shares[round_]
        self._schedule.forget(below)

    def _reveal(self, round_: int, held: dict[int, bytes]) -> bool:
        """Combine a threshold of shares; when that fails, drop the wrong ones and try again."""
        threshold = self._coin.threshold
        made = self._coin.combine(round_, dict(list(held.items())[:threshold]))
        if made is None:
            for author in list(held):
                if not self._coin.is_valid(round_, author, held[author]):
                    del held[author]
                    self.bad.append((round_, author))
            if len(held) < threshold:
                return False
            made = self._coin.combine(round_, dict(list(held.items())[:threshold]))
            assert made is not None, "valid shares make a valid coin"
        self._schedule.reveal(round_, made)
        return True
