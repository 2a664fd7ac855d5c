"""What sites submit in a world: small batches with real certificates, at random times."""

from random import Random

from seawall.codec import attestation_message, batch_root, encode_records
from seawall.crypto.hashing import sha256
from seawall.domain.block import Attestation, Batch, UpdateKind, UpdateRecord
from seawall.domain.committee import Committee
from seawall.sim.plan import Plan
from seawall.sim.population import keys_of

CONTRIBUTORS = 8
UPDATES_MAX = 3


class Workload:
    """An open loop: exponential gaps, a random honest site, one to three updates a batch."""

    def __init__(self, committee: Committee, plan: Plan, random: Random) -> None:
        """Draw from `random`; `plan` says how often and who is honest."""
        self._committee = committee
        self._plan = plan
        self._random = random
        self._numbers = [0] * committee.size
        self._sequence = [0] * CONTRIBUTORS
        self._sites = [site for site in range(committee.size) if site not in plan.faulty]

    def next_wait_us(self) -> int:
        """Draw the time until the next batch, at least 1 us."""
        return 1 + int(self._random.expovariate(1.0 / self._plan.submit_every_us))

    def next_batch(self) -> tuple[int, Batch]:
        """Return (site, batch): the next batch of a random honest site."""
        site = self._random.choice(self._sites)
        self._numbers[site] += 1
        records = tuple(self._record() for _ in range(self._random.randint(1, UPDATES_MAX)))
        return site, certified_batch(self._committee, site, self._numbers[site], records)

    def _record(self) -> UpdateRecord:
        owner = self._random.randrange(CONTRIBUTORS)
        self._sequence[owner] += 1
        return update_record(owner, self._sequence[owner])


def update_record(
    owner: int, seq: int, payload_size_bytes: int = 1024, variant: int = 0
) -> UpdateRecord:
    """Return the record of a contributor's next update; `variant` tells conflicting ones apart."""
    name = b"%d/%d" % (owner, seq) + b"/%d" % variant * bool(variant)
    return UpdateRecord(
        contributor=sha256(b"contributor %d" % owner),
        update_id=sha256(b"update " + name),
        payload_digest=sha256(b"payload " + name),
        task=0,
        kind=UpdateKind.DELTA,
        seq=seq,
        base_version=0,
        expires_height=1_000_000,
        payload_size_bytes=payload_size_bytes,
        num_examples=10,
    )


class RecordSource:
    """Names the next update of many contributors in turn."""

    def __init__(self, contributors: int = 64) -> None:
        """Begin with each one's first update."""
        self._contributors = contributors
        self._made = 0

    def next(self) -> UpdateRecord:
        """Return a record that was not returned before."""
        round_, owner = divmod(self._made, self._contributors)
        self._made += 1
        return update_record(owner, round_ + 1)


def certified_batch(
    committee: Committee, site: int, number: int, records: tuple[UpdateRecord, ...]
) -> Batch:
    """Return a batch of `site` with attestations of just V stake."""
    encoded = encode_records(records)
    message = attestation_message(
        committee.origin, committee.epoch, site, number, 0, batch_root(encoded)
    )
    certificate: list[Attestation] = []
    stake = 0
    for member in committee.members:
        if stake >= committee.validity:
            break
        stake += member.stake
        signature = keys_of(member.index).consensus.sign(message)
        certificate.append(Attestation(author=member.index, signature=signature))
    return Batch(
        site=site,
        number=number,
        pinned_height=0,
        records_bytes=encoded,
        certificate=tuple(certificate),
    )
