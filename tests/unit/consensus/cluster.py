"""A committee in memory: replicas in virtual time, messages that take a while, no losses.

The simulator of `seawall.sim` does this with faults; this one is for tests of the engine alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from msgspec import structs

from seawall.codec import attestation_message, batch_root, decode_block, encode_records
from seawall.consensus.engine import (
    ALL_PEERS,
    BelowGc,
    Blocks,
    CommitHistory,
    Commits,
    Event,
    Identity,
    Instant,
    LatestReply,
    Message,
    Output,
    Received,
    Record,
    Rooted,
    Submitted,
    Woken,
)
from seawall.consensus.engines import ENGINES
from seawall.consensus.replica import Replica
from seawall.consensus.verification import verify_block
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import SigningKey
from seawall.domain.block import Attestation, Batch, UpdateKind, UpdateRecord, VerifiedBlock
from seawall.domain.committee import Committee, Member
from seawall.domain.parameters import ConsensusParameters

if TYPE_CHECKING:
    from seawall.domain.commit import CertifiedCheckpoint, Commit

WALL_MS = 1_700_000_000_000
DELAY_US = 2_000


def consensus_key(index: int) -> SigningKey:
    """Return the consensus key of a member."""
    return SigningKey.from_seed(sha256(b"consensus%d" % index))


def cosigner_key(index: int) -> SigningKey:
    """Return the cosigner key of a member."""
    return SigningKey.from_seed(sha256(b"cosigner%d" % index))


def make_committee(stakes: Sequence[int] = (1, 1, 1, 1), epoch: int = 0) -> Committee:
    """Return a committee with these stakes."""
    return Committee(
        origin="seawall/0123456789abcdef",
        epoch=epoch,
        members=tuple(
            Member(
                index=index,
                name=f"site-{index}",
                zone="zone",
                stake=stake,
                consensus_key=consensus_key(index).public,
                cosigner_name=f"site-{index}.example",
                cosigner_key=cosigner_key(index).public,
            )
            for index, stake in enumerate(stakes)
        ),
    )


def make_identity(index: int) -> Identity:
    """Return the identity of a member."""
    return Identity(
        index=index, consensus_key=consensus_key(index), cosigner_key=cosigner_key(index)
    )


def make_record(number: int) -> UpdateRecord:
    """Return an update that differs from those of other numbers."""
    return UpdateRecord(
        contributor=sha256(b"contributor%d" % number),
        update_id=sha256(b"update%d" % number),
        payload_digest=sha256(b"payload%d" % number),
        task=0,
        kind=UpdateKind.DELTA,
        seq=number,
        base_version=3,
        expires_height=1000,
        payload_size_bytes=1024,
        num_examples=7,
    )


def make_batch(
    committee: Committee, site: int, number: int, *, updates: int = 1, attesters: Sequence[int] = ()
) -> Batch:
    """Return a certified batch, attested by the first members of stake V unless told otherwise."""
    records = encode_records(make_record(number * 1000 + i) for i in range(updates))
    if not attesters:
        size = 1
        while committee.stake_of(range(size)) < committee.validity:
            size += 1
        attesters = range(size)
    return attested(committee, Batch(site, number, 0, records, ()), attesters)


def attested(
    committee: Committee,
    batch: Batch,
    attesters: Iterable[int],
    key: Callable[[int], SigningKey] = consensus_key,
) -> Batch:
    """Return a batch with the attestations of these members, in place of any that it has."""
    message = attestation_message(
        committee.origin,
        committee.epoch,
        batch.site,
        batch.number,
        batch.pinned_height,
        batch_root(batch.records_bytes),
    )
    certificate = [Attestation(author, key(author).sign(message)) for author in attesters]
    return structs.replace(batch, certificate=tuple(certificate))


class MemoryJournal:
    """Keeps what was synced."""

    def __init__(self) -> None:
        self.durable: list[Record] = []
        self._appended: list[Record] = []
        self.syncs = 0

    def append(self, records: Sequence[Record]) -> None:
        """Add records."""
        self._appended.extend(records)

    def sync(self) -> None:
        """Make them durable."""
        self.durable.extend(self._appended)
        self._appended.clear()
        self.syncs += 1


class Site:
    """One replica with its journal and what it has put out so far."""

    def __init__(self, replica: Replica, journal: MemoryJournal) -> None:
        self.replica = replica
        self.journal = journal
        self.commits: list[Commit] = []
        self.checkpoints: list[CertifiedCheckpoint] = []
        self.blocks: list[VerifiedBlock] = []
        self.sent: Counter[str] = Counter()
        self.observed: Counter[str] = Counter()
        self.wake_at_us: int | None = None
        self.up = True


class Cluster:
    """All replicas, one queue of events in virtual time."""

    def __init__(
        self,
        stakes: Sequence[int] = (1, 1, 1, 1),
        parameters: ConsensusParameters | None = None,
        *,
        engine: str = "sync",
        verify: bool = False,
        rooting: bool = True,
    ) -> None:
        self.committee = make_committee(stakes)
        self.parameters = parameters or ConsensusParameters()
        self.engine = engine
        self.verify = verify
        self.rooting = rooting
        self.now_us = 1_000_000
        self._queue: list[tuple[int, int, int, Event]] = []
        self._numbers = 0
        self.filter: Callable[[int, int, Message], bool] = lambda _from, _to, _message: True
        self.delay_us: Callable[[int, int], int] = lambda _from, _to: DELAY_US
        self.sites = [self.build(index) for index in range(len(stakes))]
        for index in range(len(stakes)):
            self.post(index, Woken())

    def build(
        self,
        index: int,
        recovered: Sequence[Record] = (),
        history: CommitHistory | None = None,
    ) -> Site:
        """Return a site that starts from these records."""
        journal = MemoryJournal()
        journal.durable.extend(recovered)
        engine = ENGINES[self.engine](
            identity=make_identity(index),
            committee=self.committee,
            parameters=self.parameters,
            recovered=recovered,
            history=history,
        )
        return Site(Replica(engine, journal), journal)

    def crash(self, index: int) -> None:
        """Stop a site: it gets no events any more."""
        self.sites[index].up = False

    def restart(
        self,
        index: int,
        recovered: Sequence[Record] | None = None,
        history: CommitHistory | None = None,
    ) -> Site:
        """Start a site again, from its own journal unless told otherwise."""
        records = self.sites[index].journal.durable if recovered is None else recovered
        self.sites[index] = self.build(index, list(records), history)
        self.post(index, Woken())
        return self.sites[index]

    def post(self, index: int, event: Event, delay_us: int = 0) -> None:
        """Give an event to a site, now or later."""
        self._numbers += 1
        heappush(self._queue, (self.now_us + delay_us, self._numbers, index, event))

    def submit(self, index: int, number: int, updates: int = 1) -> Batch:
        """Submit a batch at a site."""
        batch = make_batch(self.committee, index, number, updates=updates)
        self.post(index, Submitted(batches=(batch,)))
        return batch

    def run(self, duration_us: int) -> None:
        """Let this much virtual time pass."""
        end_us = self.now_us + duration_us
        while True:
            wakes = [
                (site.wake_at_us, index)
                for index, site in enumerate(self.sites)
                if site.up and site.wake_at_us is not None
            ]
            wake_us, waking = min(wakes, default=(end_us + 1, -1))
            event_us = self._queue[0][0] if self._queue else end_us + 1
            if min(wake_us, event_us) > end_us:
                break
            if event_us <= wake_us:
                self.now_us, _, index, event = heappop(self._queue)
            else:
                self.now_us, index, event = max(self.now_us, wake_us), waking, Woken()
            if self.sites[index].up:
                self._handle(index, event)
        self.now_us = end_us

    def _handle(self, index: int, event: Event) -> None:
        """Step one site and carry out its output."""
        site = self.sites[index]
        now = Instant(self.now_us, WALL_MS + self.now_us // 1000)
        output = site.replica.handle([event], now)
        site.wake_at_us = output.wake_at_us
        for seen in output.observe:
            site.observed[seen.name] += 1
        for send in output.send:
            site.sent[type(send.message).__name__] += 1
            targets = range(len(self.sites)) if send.peer == ALL_PEERS else (send.peer,)
            for target in targets:
                if target != index and self.filter(index, target, send.message):
                    message = self._transmit(send.message)
                    self.post(target, Received(index, message), self.delay_us(index, target))
        self._keep(index, site, output)

    def _keep(self, index: int, site: Site, output: Output) -> None:
        """Keep what a site put out, and answer as its ledger would."""
        for commit in output.deliver:
            if not site.commits or commit.index > site.commits[-1].index:
                site.commits.append(commit)
            else:
                repeated = site.commits[commit.index - site.commits[0].index]
                assert repeated.digest == commit.digest
            if self.rooting:
                root = sha256(b"root%d" % commit.index + commit.digest)
                self.post(index, Rooted(commit.index, commit.index * 2, root), DELAY_US)
        site.checkpoints.extend(output.certify)
        for send in output.send:
            if isinstance(send.message, Blocks) and send.peer == ALL_PEERS:
                site.blocks.extend(send.message.blocks)

    def _transmit(self, message: Message) -> Message:
        """Return the message as it arrives: with `verify`, decoded from bytes and verified."""
        if not self.verify:
            return message
        match message:
            case Blocks(blocks):
                return Blocks(tuple(map(self._verified, blocks)))
            case BelowGc(index, refs, blocks):
                return BelowGc(index, refs, tuple(map(self._verified, blocks)))
            case LatestReply(own, yours):
                return LatestReply(own and self._verified(own), yours and self._verified(yours))
            case Commits():
                assert all(map(self._verified, message.votes))
                return message
            case _:
                return message

    def _verified(self, block: VerifiedBlock) -> VerifiedBlock:
        """Return the block as its receiver sees it."""
        verified = verify_block(decode_block(block.raw), self.committee, self.parameters)
        assert verified == block
        return verified

    # --- what holds at any time -----------------------------------------------------------------

    def check_agreement(self) -> None:
        """Check that commit digests of all sites form a common prefix, no block twice."""
        chains: dict[int, bytes] = {}
        for site in self.sites:
            seen = set()
            for commit in site.commits:
                assert chains.setdefault(commit.index, commit.digest) == commit.digest
                for block in commit.blocks:
                    assert block.ref not in seen
                    seen.add(block.ref)

    def delivered_batches(self, index: int) -> list[int]:
        """Return the numbers of the batches that a site has delivered, in order."""
        return [
            batch.number
            for commit in self.sites[index].commits
            for block in commit.blocks
            for batch in block.block.batches
        ]
