"""Which numbers and payloads of contributors are taken by updates in flight.

(contributor, seq) and (contributor, payload) are taken by an update from its first check to its
outcome, so that a second update under either is refused here and not only by the order of blocks.
This table is one process's; the order of blocks is what no process can get wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from seawall.errors import PeerError
from seawall.formats.admission import AdmittedUpdate


class Claim(msgspec.Struct, frozen=True):
    """What one update takes while it is on its way."""

    update_id: bytes
    contributor: bytes
    seq: int
    payload_digest: bytes

    @classmethod
    def of(cls, admitted: AdmittedUpdate) -> "Claim":
        """Return the claim of an admitted update."""
        said = admitted.submission
        return cls(admitted.update_id, said.contributor, said.seq, said.payload_digest)


def seq_refusal() -> PeerError:
    """Return why an update is refused whose number another one has taken."""
    return PeerError("REPLAY_SEQ", "another update with this number is on its way", field="seq")


def payload_refusal() -> PeerError:
    """Return why an update is refused whose payload its contributor has under way already."""
    hint = "this contributor's payload is on its way already"
    return PeerError("REPLAY_PAYLOAD", hint, field="payloadDigest")


def contributor_refusal() -> PeerError:
    """Return why an update is refused whose contributor has too many under way."""
    hint = "wait until earlier updates of this contributor are committed"
    return PeerError("QUOTA_CONTRIBUTOR", hint, field="contributor")


class Claims:
    """The claims of one process.

    A claim is withdrawn or confirmed; a confirmed one stays until it is dropped. `on_drop` hears of
    every claim that ends, and whether its number is used for good.
    """

    def __init__(self, contributor_max: int) -> None:
        """Start with none; a contributor may have `contributor_max` at a time."""
        self._contributor_max = contributor_max
        self._held: dict[bytes, Claim] = {}
        self._confirmed: set[bytes] = set()
        self._by_seq: dict[tuple[bytes, int], bytes] = {}
        self._by_payload: dict[tuple[bytes, bytes], bytes] = {}
        self._by_contributor: Counter[bytes] = Counter()
        self.on_drop: Callable[[Claim, bool], None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, update_id: bytes) -> bool:
        return update_id in self._held

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._held.values())

    def confirmed(self) -> tuple[Claim, ...]:
        """Return the claims of updates that are in flight."""
        return tuple(one for one in self if one.update_id in self._confirmed)

    def by_seq(self, contributor: bytes, seq: int) -> bytes | None:
        """Return the update that has taken a number."""
        return self._by_seq.get((contributor, seq))

    def by_payload(self, contributor: bytes, payload_digest: bytes) -> bytes | None:
        """Return the update that has taken a payload."""
        return self._by_payload.get((contributor, payload_digest))

    def check(self, claim: Claim) -> None:
        """Refuse a claim that another one rules out.

        Raises:
            PeerError: REPLAY_SEQ, REPLAY_PAYLOAD.

        """
        owner = claim.contributor
        if self._by_seq.get((owner, claim.seq), claim.update_id) != claim.update_id:
            raise seq_refusal()
        other = self._by_payload.get((owner, claim.payload_digest), claim.update_id)
        if other != claim.update_id:
            raise payload_refusal()

    def take(self, claim: Claim) -> bool:
        """Take a claim; return False when it is held already.

        Raises:
            PeerError: REPLAY_SEQ, REPLAY_PAYLOAD, QUOTA_CONTRIBUTOR.

        """
        if claim.update_id in self._held:
            return False
        self.check(claim)
        if self._by_contributor[claim.contributor] >= self._contributor_max:
            raise contributor_refusal()
        self._held[claim.update_id] = claim
        self._by_seq[claim.contributor, claim.seq] = claim.update_id
        self._by_payload[claim.contributor, claim.payload_digest] = claim.update_id
        self._by_contributor[claim.contributor] += 1
        return True

    def confirm(self, claim: Claim) -> None:
        """Keep a claim until it is dropped."""
        self._confirmed.add(claim.update_id)

    def withdraw(self, claim: Claim) -> None:
        """Give a claim up that is not confirmed: nothing came of it."""
        if claim.update_id in self._held and claim.update_id not in self._confirmed:
            self.drop(claim, used=False)

    def drop(self, claim: Claim, *, used: bool) -> None:
        """End a claim; `used` says that its number is taken for good."""
        del self._held[claim.update_id]
        self._confirmed.discard(claim.update_id)
        del self._by_seq[claim.contributor, claim.seq]
        del self._by_payload[claim.contributor, claim.payload_digest]
        self._by_contributor[claim.contributor] -= 1
        if not self._by_contributor[claim.contributor]:
            del self._by_contributor[claim.contributor]
        if self.on_drop is not None:
            self.on_drop(claim, used)
