"""Protocol parameters and the common coin of a genesis as JSON, and what they demand of each other.

`coin` is there exactly where the protocol is `async`: the public keys of a dealing, in the order of
the sites. Whether these are points, and fit together, is for sites to check when they start
(`seawall.crypto.coin.check_keys`): who only reads receipts needs no pairings for it.
"""

from types import MappingProxyType
from typing import Final

from seawall.domain.committee import CoinKeys
from seawall.domain.genesis import Genesis
from seawall.domain.parameters import ASYNC, SYNC, ConsensusParameters
from seawall.errors import PeerError
from seawall.formats.genesis_members import (
    NAME,
    Members,
    camel,
    check_unique,
    read_hexadecimal,
    read_integers,
)
from seawall.formats.genesis_sites import SITES_MAX
from seawall.formats.jcs import JsonInput

COIN_KEY_BYTES: Final = 96
"""A compressed point of G2."""

WAVE_LENGTHS: Final = MappingProxyType({SYNC: (3, 3), ASYNC: (4, 5)})
"""Least and greatest wave length of each protocol."""

COIN_FIELD: Final = "genesis.spec.coin"

_LIMITS: Final = {
    "wave_length": (3, 5),
    "leaders_per_round": (1, SITES_MAX),
    "accept_window": (1, 3),
    "finality_delay": (3, 16),
    "gc_depth": (8, 4096),
    "round_delay_ms_min": (1, 60_000),
    "round_delay_ms_idle": (1, 600_000),
    "leader_timeout_ms_initial": (1, 60_000),
    "leader_timeout_ms_max": (1, 600_000),
    "block_batches_max": (1, 1024),
    "block_updates_max": (1, 16_384),
    "block_transactions_max": (1, 4096),
    "transaction_size_bytes_max": (256, 65_536),
    "block_commit_votes_max": (1, 1024),
    "block_size_bytes_max": (65_536, 1 << 20),
}


def consensus_tree(parameters: ConsensusParameters) -> dict[str, JsonInput]:
    """Return the parameters as they stand in genesis, ready for `canonical`."""
    limits = {camel(name): getattr(parameters, name) for name in _LIMITS}
    return {"protocol": parameters.protocol, **limits}


def read_consensus(members: Members) -> ConsensusParameters:
    """Return the parameters; GENESIS_* with the field."""
    protocol = members.text("protocol", NAME)
    values = read_integers(members, _LIMITS)
    members.end()
    parameters = ConsensusParameters(protocol=protocol, **values)
    least, most = WAVE_LENGTHS.get(protocol, _LIMITS["wave_length"])
    if not least <= parameters.wave_length <= most:
        hint = f"choose {least} to {most} with this protocol"
        raise PeerError("GENESIS_RANGE", hint, field=members.path("waveLength"))
    delay = parameters.finality_delay
    if delay < max(parameters.wave_length, parameters.accept_window + 2):
        hint = "choose at least the wave length and the accept window plus two"
        raise PeerError("GENESIS_RANGE", hint, field=members.path("finalityDelay"))
    if parameters.gc_depth <= parameters.accept_window + delay + 2:
        hint = "choose more than accept window, finality delay and two together"
        raise PeerError("GENESIS_RANGE", hint, field=members.path("gcDepth"))
    if parameters.leader_timeout_ms_max < parameters.leader_timeout_ms_initial:
        hint = "choose at least the initial timeout"
        raise PeerError("GENESIS_RANGE", hint, field=members.path("leaderTimeoutMsMax"))
    return parameters


def coin_tree(coin: CoinKeys) -> dict[str, JsonInput]:
    """Return the coin's public keys as they stand in genesis, ready for `canonical`."""
    return {
        "groupKey": coin.group_key.hex(),
        "shareKeys": [key.hex() for key in coin.share_keys],
        "threshold": coin.threshold,
    }


def read_coin(spec: Members) -> CoinKeys | None:
    """Return the coin's public keys; without a coin the member is not there at all."""
    if "coin" not in spec.names():
        return None
    members = spec.members("coin")
    coin = CoinKeys(
        threshold=members.integer("threshold", 1, SITES_MAX),
        group_key=members.hexadecimal("groupKey", COIN_KEY_BYTES),
        share_keys=members.each(
            "shareKeys", lambda key, at: read_hexadecimal(key, at, COIN_KEY_BYTES), 1, SITES_MAX
        ),
    )
    members.end()
    check_unique(coin.share_keys, members.path("shareKeys"))
    return coin


def check_protocol(genesis: Genesis) -> None:
    """Refuse a coin that the protocol does not use, and one that does not fit the sites."""
    coin = genesis.coin
    if genesis.consensus.protocol != ASYNC:
        if coin is not None:
            raise PeerError("GENESIS_PROTOCOL", "only async has a coin", field=COIN_FIELD)
        return
    if coin is None:
        raise PeerError("GENESIS_MISSING", "async needs a coin", field=COIN_FIELD)
    sites = genesis.sites
    if any(site.stake != sites[0].stake for site in sites):
        # Shares weigh the same, so stakes must.
        hint = "with a coin all sites have equal stakes"
        raise PeerError("GENESIS_RANGE", hint, field="genesis.spec.sites[].stake")
    if len(coin.share_keys) != len(sites):
        hint = "give one key for each site, in their order"
        raise PeerError("GENESIS_COUNT", hint, field=f"{COIN_FIELD}.shareKeys")
    threshold = coin_threshold(len(sites))
    if coin.threshold != threshold:
        hint = f"with so many sites it is {threshold}"
        raise PeerError("GENESIS_RANGE", hint, field=f"{COIN_FIELD}.threshold")


def coin_threshold(sites: int) -> int:
    """Return how many of so many sites with equal stakes make a coin: those of stake Q."""
    return 2 * sites // 3 + 1
