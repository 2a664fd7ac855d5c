"""What sites submit in a world: small batches with real certificates, at random times.

Owners are a fixed set of contributors whose updates have consecutive numbers. As the plan says,
some sign several digests under one number, some hand the same bytes to several sites, some
updates expire soon, and rejected ones come again.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random
from typing import Final

from seawall.codec import attestation_message, batch_root, encode_records
from seawall.codec.records import decode_records
from seawall.crypto.hashing import sha256
from seawall.domain.block import Attestation, Batch, UpdateKind, UpdateRecord
from seawall.domain.commit import Commit, Judgement
from seawall.domain.committee import Committee
from seawall.sim.plan import Plan
from seawall.sim.population import keys_of

CONTRIBUTORS: Final = 8
UPDATES_MAX: Final = 3
RESUBMISSIONS_MAX: Final = 3
"""A rejected update is handed in again at most so often."""

EXPIRES_COMMITS_MAX: Final = 8
"""An update that expires soon does so within so many commits."""

EXPIRES_HEIGHT: Final = 1_000_000
"""Others expire after every run."""


class Workload:
    """An open loop: exponential gaps, a random honest site, one to three updates a batch."""

    def __init__(self, committee: Committee, plan: Plan, random: Random) -> None:
        """Draw from `random`; `plan` says how often, who is honest, and what owners do."""
        self._committee = committee
        self._plan = plan
        self._random = random
        self._numbers = [0] * committee.size
        self._sequence = [0] * CONTRIBUTORS
        self._sites = [site for site in range(committee.size) if site not in plan.faulty]
        self._later: list[tuple[int, int, int, UpdateRecord]] = []
        self._deferred = 0
        self._again: dict[bytes, int] = {}
        self._height = 0

    def next_wait_us(self) -> int:
        """Draw the time until the next batch, at least 1 us."""
        return 1 + int(self._random.expovariate(1.0 / self._plan.submit_every_us))

    def next_batches(self, now_us: int) -> Iterator[tuple[int, Batch]]:
        """Yield (site, batch): a new batch of a random honest site, and what is due elsewhere."""
        site = self._random.choice(self._sites)
        count = self._random.randint(1, UPDATES_MAX)
        due: dict[int, list[UpdateRecord]] = {site: []}
        for _ in range(count):
            due[site].append(self._new_update(site, now_us))
        while self._later and self._later[0][0] <= now_us:
            _, _, elsewhere, record = heappop(self._later)
            due.setdefault(elsewhere, []).append(record)
        for at, records in due.items():
            self._numbers[at] += 1
            yield at, certified_batch(self._committee, at, self._numbers[at], tuple(records))

    def on_commit(self, commit: Commit, now_us: int) -> None:
        """Hear of a commit that some site delivered; resubmit what the first such one rejects."""
        if commit.index <= self._height:
            return
        self._height = commit.index
        if not self._plan.owners.resubmitting:
            return
        for verdict in commit.verdicts:
            if verdict.judgement is Judgement.REJECT:
                records = decode_records(verdict.batch.records_bytes)
                for position in verdict.positions:
                    self._resubmit(records[position], now_us)

    def _resubmit(self, record: UpdateRecord, now_us: int) -> None:
        times = self._again.get(record.update_id, 0)
        if times < RESUBMISSIONS_MAX:
            self._again[record.update_id] = times + 1
            self._hand_in_later(self._random.choice(self._sites), record, now_us)

    def _new_update(self, site: int, now_us: int) -> UpdateRecord:
        """Return an owner's next update; put off what it hands to other sites beside it."""
        random, owners = self._random, self._plan.owners
        owner = random.randrange(CONTRIBUTORS)
        self._sequence[owner] += 1
        seq = self._sequence[owner]
        expires = EXPIRES_HEIGHT
        if owners.expiring and random.randrange(100) < owners.expiring:
            expires = self._height + random.randint(0, EXPIRES_COMMITS_MAX)
        record = update_record(owner, seq, expires_height=expires)
        if owner < owners.equivocating and seq % 2:
            for variant, other in enumerate(self._others(site), 1):
                rival = update_record(owner, seq, expires_height=expires, variant=variant)
                self._hand_in_later(other, rival, now_us)
        if owners.copied and random.randrange(100) < owners.copied:
            for other in self._others(site):
                self._hand_in_later(other, record, now_us)
        return record

    def _others(self, site: int) -> list[int]:
        """Return one or two other sites."""
        others = [other for other in self._sites if other != site]
        return self._random.sample(others, min(len(others), self._random.randint(1, 2)))

    def _hand_in_later(self, site: int, record: UpdateRecord, now_us: int) -> None:
        """Hand an update to a site at once or, as often, some time later."""
        near = self._random.randrange(2)
        wait_us = 0 if near else self._random.randint(1, self._plan.owners.spread_us)
        self._deferred += 1
        heappush(self._later, (now_us + wait_us, self._deferred, site, record))


def update_record(
    owner: int,
    seq: int,
    payload_size_bytes: int = 1024,
    *,
    expires_height: int = EXPIRES_HEIGHT,
    variant: int = 0,
) -> UpdateRecord:
    """Return the record of a contributor's update with this number.

    Variants have one number and different digests: only an owner that equivocates signs two.
    """
    name = b"%d/%d" % (owner, seq) + (b"/%d" % variant if variant else b"")
    return UpdateRecord(
        contributor=sha256(b"contributor %d" % owner),
        update_id=sha256(b"update " + name),
        payload_digest=sha256(b"payload " + name),
        task=0,
        kind=UpdateKind.DELTA,
        seq=seq,
        base_version=0,
        expires_height=expires_height,
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
