"""Who takes part in consensus, and what counts as a quorum.

Everything is counted by stake with Q and V, never by heads: with total stake S and faulty stake
f < S / 3, Q = floor(2S / 3) + 1 makes any two quorums share an honest site, and V = S - Q + 1
always includes an honest one. With n = 3f + 1 equal sites these are 2f + 1 and f + 1.

Source: Castro and Liskov, OSDI 1999; Malkhi and Reiter, Byzantine quorum systems, 1998.
"""

from collections.abc import Iterable

import msgspec


class Member(msgspec.Struct, frozen=True):
    """One validator of an epoch: the public half of a site's identity.

    Keys are raw Ed25519 public keys (32 bytes). The cosigner key signs checkpoints only, under
    `cosigner_name`; the consensus key signs blocks, attestations and nothing else.
    """

    index: int
    name: str
    zone: str
    stake: int
    consensus_key: bytes
    cosigner_name: str
    cosigner_key: bytes


class CoinKeys(msgspec.Struct, frozen=True):
    """Public keys of the common coin: points in G2, 96 bytes each.

    `threshold` shares make a coin; `share_keys` are those of the members in their order.
    """

    threshold: int
    group_key: bytes
    share_keys: tuple[bytes, ...]


class Committee(msgspec.Struct, frozen=True):
    """The validators of one epoch with their stakes; member i has index i.

    `coin` stands only where a common coin names the leaders.
    """

    origin: str
    epoch: int
    members: tuple[Member, ...]
    coin: CoinKeys | None = None

    @property
    def size(self) -> int:
        """Return the number of validators, n."""
        return len(self.members)

    @property
    def total(self) -> int:
        """Return the stake of all validators, S."""
        return sum(member.stake for member in self.members)

    @property
    def quorum(self) -> int:
        """Return Q, the least stake for which any two quorums share an honest site."""
        return 2 * self.total // 3 + 1

    @property
    def validity(self) -> int:
        """Return V, the least stake that always includes an honest site."""
        return self.total - self.quorum + 1

    def stake_of(self, authors: Iterable[int]) -> int:
        """Return the stake of these validators, each counted once however often it is named."""
        return sum(self.members[author].stake for author in sorted(set(authors)))
