import pytest

from seawall.consensus.dag.coin import ThresholdCoin
from seawall.sim.coin import CoinKind, KeyedHashCoin, coin_leaders, coin_secret, dealt, kind_of
from seawall.sim.population import committee_of

KINDS = (CoinKind.KEYED_HASH, CoinKind.THRESHOLD_BLS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [4, 5])
def test_any_quorum_of_holders_makes_one_coin_and_a_wrong_share_none(
    kind: CoinKind, size: int
) -> None:
    committee = committee_of((1,) * size, kind)
    assert kind_of(committee) is kind
    make = KeyedHashCoin if kind is CoinKind.KEYED_HASH else ThresholdCoin
    coins = [make(committee, coin_secret(committee, author)) for author in range(size)]
    shares = {author: coin.share(7) for author, coin in enumerate(coins)}
    first = dict(list(shares.items())[: committee.quorum])
    last = dict(list(shares.items())[-committee.quorum :])
    assert first != last
    value = coins[0].combine(7, first)
    assert value == coins[1].combine(7, last) is not None
    assert coins[0].is_valid(7, 1, shares[1])
    assert not coins[0].is_valid(7, 1, shares[2])
    assert coins[0].combine(7, {**first, 0: shares[size - 1]}) is None


def test_a_world_without_a_coin_has_no_secrets() -> None:
    committee = committee_of((1, 2, 1, 1))
    assert kind_of(committee) is CoinKind.NONE
    assert coin_secret(committee, 0) == b""


@pytest.mark.parametrize("kind", KINDS)
def test_leaders_differ_from_round_to_round(kind: CoinKind) -> None:
    committee = committee_of((1,) * 4, kind)
    drawn = [coin_leaders(committee, 2, number) for number in range(1, 13)]
    assert all(len(set(leaders)) == 2 for leaders in drawn)
    assert {leaders[0] for leaders in drawn} == {0, 1, 2, 3}
    assert dealt(kind, 3, 4) is dealt(kind, 3, 4)
