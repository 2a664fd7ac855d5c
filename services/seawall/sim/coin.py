"""The common coin of simulated worlds: the true one, or a keyed hash that costs next to nothing.

Simulated worlds have no secrets: the keyed hash lets everybody compute everybody's shares, so it
lives here only, and some schedules run with threshold BLS as real sites do. Keys are dealt once
per committee size.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from hashlib import shake_256
from typing import Final

from seawall.consensus.dag.coin import Coin, ThresholdCoin
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.dag.leaders import CoinLeaders
from seawall.consensus.engine import CommitHistory, Engine, Identity, Record
from seawall.crypto.coin import SHARE_SIZE_BYTES, combine, deal
from seawall.crypto.hashing import sha256
from seawall.domain.committee import CoinKeys, Committee
from seawall.domain.parameters import ConsensusParameters

_KEYED_HASH: Final = b"simulated keyed hash"
"""Stands in place of the group's key, and says that there is none."""


class CoinKind(StrEnum):
    """Which coin names the leaders of a world; `NONE`: a permutation that everybody foresees."""

    NONE = "none"
    KEYED_HASH = "keyed_hash"
    THRESHOLD_BLS = "threshold_bls"


@cache
def dealt(kind: CoinKind, threshold: int, size: int) -> tuple[CoinKeys, tuple[bytes, ...]]:
    """Return the public keys and all secrets of a committee of this size."""
    if kind is CoinKind.THRESHOLD_BLS:
        return deal(sha256(b"simulated coin"), threshold, size)
    secrets = tuple([sha256(b"simulated coin key %d" % author) for author in range(size)])
    return CoinKeys(threshold=threshold, group_key=_KEYED_HASH, share_keys=secrets), secrets


def kind_of(committee: Committee) -> CoinKind:
    """Return which coin a committee has."""
    if committee.coin is None:
        return CoinKind.NONE
    hashed = committee.coin.group_key == _KEYED_HASH
    return CoinKind.KEYED_HASH if hashed else CoinKind.THRESHOLD_BLS


def coin_secret(committee: Committee, author: int) -> bytes:
    """Return an author's secret; empty where there is no coin."""
    if committee.coin is None:
        return b""
    return dealt(kind_of(committee), committee.coin.threshold, committee.size)[1][author]


class KeyedHashCoin:
    """Implements `Coin` by hashes under keys that everybody has. Never for a real site."""

    def __init__(self, committee: Committee, secret: bytes) -> None:
        """Take shares' keys from the committee."""
        keys = committee.coin
        assert keys is not None, "a committee with a coin has keys for it"
        self._keys = keys
        self._secret = secret
        self.threshold = keys.threshold

    def share(self, round_: int) -> bytes:
        """Return this site's share."""
        return _hashed(self._secret, round_)

    def combine(self, round_: int, shares: Mapping[int, bytes]) -> bytes | None:
        """Return the round's value, if all of these are its shares."""
        assert len(shares) >= self.threshold, "fewer shares are no coin"
        if all(self.is_valid(round_, author, share) for author, share in shares.items()):
            return _hashed(self._keys.group_key, round_)
        return None

    def is_valid(self, round_: int, author: int, share: bytes) -> bool:
        """Return whether this is the author's share of the round."""
        return share == _hashed(self._keys.share_keys[author], round_)


def _hashed(key: bytes, round_: int) -> bytes:
    return shake_256(key + round_.to_bytes(8, "big")).digest(SHARE_SIZE_BYTES)


class KeyedHashEngine(DagEngine):
    """The DAG engine with the keyed hash as its coin."""

    def _make_coin(self, committee: Committee, secret: bytes) -> Coin:
        return KeyedHashCoin(committee, secret)


def coin_engine(
    *,
    identity: Identity,
    committee: Committee,
    parameters: ConsensusParameters,
    recovered: Sequence[Record] = (),
    history: CommitHistory | None = None,
) -> Engine:
    """Return a DAG engine with the coin that its committee has."""
    hashed = kind_of(committee) is CoinKind.KEYED_HASH
    return (KeyedHashEngine if hashed else DagEngine)(
        identity=identity,
        committee=committee,
        parameters=parameters,
        recovered=recovered,
        history=history,
    )


@cache
def coin_leaders(committee: Committee, leaders_per_round: int, number: int) -> tuple[int, ...]:
    """Return the leaders of a round, by a coin made here of everybody's secrets."""
    assert committee.coin is not None, "there is a coin"
    schedule = CoinLeaders(committee, leaders_per_round)
    hashed = kind_of(committee) is CoinKind.KEYED_HASH
    make = KeyedHashCoin if hashed else ThresholdCoin
    holders = range(committee.coin.threshold)
    coins: list[Coin] = [make(committee, coin_secret(committee, holder)) for holder in holders]
    shares = {holder: coin.share(number) for holder, coin in enumerate(coins)}
    value = coins[0].combine(number, shares) if hashed else combine(shares)
    assert value is not None, "shares made by their holders are valid"
    schedule.reveal(number, value)
    leaders = schedule.leaders(number)
    assert leaders is not None, "a revealed round has leaders"
    return leaders
