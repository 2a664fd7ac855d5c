"""Coins broken on purpose, for `mutants`."""

from collections.abc import Mapping

from seawall.consensus.dag.coin import CoinBook
from seawall.crypto.coin import combine
from seawall.domain.block import CoinShares


class HastyCoinBook(CoinBook):
    """Pays each share one round early, when the leaders' fate may still be open."""

    def owed(self, round_: int, gc_round: int) -> CoinShares:
        """Return what the next round owes."""
        return super().owed(round_ + 1, gc_round)


class ForgetfulCoinBook(CoinBook):
    """Pays for the newest round only: what a slow site owes from before is never paid."""

    def owed(self, round_: int, gc_round: int) -> CoinShares:
        """Return the last one of the owed shares."""
        owed = super().owed(round_, gc_round)
        last = owed.first_round + len(owed.shares) - 1
        return CoinShares(last, owed.shares[-1:]) if owed.shares else owed


def combine_shifted(shares: Mapping[int, bytes]) -> bytes | None:
    """Interpolate as if every share were the one of the next holder."""
    return combine({holder + 1: share for holder, share in shares.items()})


def verify_nothing(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Believe every signature."""
    del public_key, message, signature
    return True
