"""Who lives in a simulated world: keys, committee, and the ledger that answers commits."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from msgspec import structs

from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import Frontier, leaf_hash
from seawall.crypto.signing import SigningKey
from seawall.domain.commit import Commit
from seawall.domain.committee import Committee, Member
from seawall.sim.coin import CoinKind, dealt

ORIGIN: Final = "seawall/51e0000000000000"
ZONES: Final = ("eu", "us", "ap", "sa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The private keys of one author."""

    consensus: SigningKey
    cosigner: SigningKey


@cache
def keys_of(author: int) -> Keys:
    """Return the fixed keys of an author: simulated worlds have no secrets."""
    return Keys(
        consensus=SigningKey.from_seed(sha256(b"simulated consensus key %d" % author)),
        cosigner=SigningKey.from_seed(sha256(b"simulated cosigner key %d" % author)),
    )


@cache
def committee_of(stakes: tuple[int, ...], coin: CoinKind = CoinKind.NONE) -> Committee:
    """Return a committee with these stakes, its members spread over the zones in turn.

    A coin takes shares of stake Q, and equal stakes.
    """
    members = tuple(
        Member(
            index=author,
            name=f"site-{author}",
            zone=ZONES[author % len(ZONES)],
            stake=stake,
            consensus_key=keys_of(author).consensus.public,
            cosigner_name=f"{ORIGIN}/site-{author}",
            cosigner_key=keys_of(author).cosigner.public,
        )
        for author, stake in enumerate(stakes)
    )
    committee = Committee(origin=ORIGIN, epoch=0, members=members)
    if coin is CoinKind.NONE:
        return committee
    assert set(stakes) == {1}, "a coin has equal weights"
    return structs.replace(committee, coin=dealt(coin, committee.quorum, committee.size)[0])


class ModelLedger:
    """An RFC 6962 tree with one leaf per commit; it keeps what it was given across crashes.

    A commit that it has already is answered again with the size and root of that time.
    """

    def __init__(self) -> None:
        """Start with the empty tree."""
        self._frontier = Frontier()
        self._answers: list[tuple[int, bytes]] = []
        self.commits: list[Commit] = []

    @property
    def height(self) -> int:
        """Return the index of the last commit."""
        return len(self.commits)

    def read(self, index: int) -> Commit | None:
        """Return the commit with this index, for peers that catch up, or None."""
        return self.commits[index - 1] if 1 <= index <= self.height else None

    def append(self, commit: Commit) -> tuple[int, bytes]:
        """Return (tree size, root) after this commit.

        A gap or a different commit under a known index is for the checkers to report; here it is
        an assertion, because a real ledger would refuse it as well.
        """
        assert commit.index <= self.height + 1, "the ledger takes commits without gaps"
        if commit.index <= self.height:
            return self._answers[commit.index - 1]
        self._frontier.append(leaf_hash(commit.digest + commit.finality_digest))
        self.commits.append(commit)
        self._answers.append((self._frontier.size, self._frontier.root()))
        return self._answers[-1]
