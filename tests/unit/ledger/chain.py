"""A small chain for tests: four sites, some contributors, and commits made to order."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from seawall.codec import block_signing_message, encode_records, record_count
from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.block import (
    Batch,
    Block,
    BlockFlags,
    CoinShares,
    Ref,
    UpdateKind,
    UpdateRecord,
)
from seawall.domain.commit import CertifiedCheckpoint, Cosignature, Judgement, Twins, Verdict
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import Contributor, Genesis, GenesisSite, RuleSpec, Task, TensorSpec
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.formats import genesis as genesis_format
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign
from seawall.formats.jcs import canonical
from seawall.formats.task_payload import Layout, header_size_for
from seawall.ledger.execution import Delivery, Executed
from seawall.ledger.log import Log
from seawall.ledger.rows import CommitRow

TENSORS = (TensorSpec(name="w", shape=(4,)),)
HEADER_BYTES = header_size_for(TENSORS)
PAYLOAD_BYTES = Layout(TENSORS, HEADER_BYTES).payload_size_bytes
START_MS = 1_700_000_000_000
NEVER_EXPIRES = 10_000


def key(name: str) -> SigningKey:
    """Return the key that a name stands for."""
    return SigningKey.from_seed(sha256(name.encode()).digest())


def digest(name: str) -> bytes:
    """Return the digest that a name stands for."""
    return sha256(name.encode()).digest()


LOG_KEY = key("log")
SITES = 4


def make_genesis(contributors: int = 6, *, k: int = 3, root_required: bool = False) -> Genesis:
    """Return a genesis; contributor 0 has both roles."""
    policy = CutPolicy(interval_ms=1000, k=k, k_min=2, staleness_max=2, root_required=root_required)
    tasks = tuple(
        Task(
            name=name,
            rule=RuleSpec(name="fedavg", version=1, parameters=(("clip", 8),)),
            grid_bits=20,
            tensors=TENSORS,
            header_size_bytes=HEADER_BYTES,
            payload_size_bytes=PAYLOAD_BYTES,
            base_payload_digest=digest(f"base {name}"),
            cut=policy,
        )
        for name in ("digits", "words")
    )
    sites = tuple(
        GenesisSite(
            name=f"site-{at}",
            zone=f"zone-{at}",
            stake=1,
            consensus_key=key(f"consensus {at}").public,
            cosigner_name=f"site-{at}.example",
            cosigner_key=key(f"cosigner {at}").public,
            tls_certificate_pem=(
                f"-----BEGIN CERTIFICATE-----\nAAA{at}\n-----END CERTIFICATE-----\n"
            ),
            peer_address=f"127.0.0.1:{2000 + at}",
            client_address=f"127.0.0.1:{3000 + at}",
        )
        for at in range(SITES)
    )
    people = tuple(
        Contributor(
            name=f"person-{at}",
            public_key=key(f"person {at}").public,
            roles=("contributor", "root") if at == 0 else ("contributor",),
        )
        for at in range(contributors)
    )
    return Genesis(
        chain="test",
        sites=sites,
        consensus=ConsensusParameters(),
        admission=AdmissionParameters(pin_age_commits_max=8),
        log_key=LOG_KEY.public,
        root_keys=(key("root").public,),
        root_threshold=1,
        tasks=tasks,
        contributors=people,
    )


def origin_of(genesis: Genesis) -> str:
    """Return the origin of a genesis."""
    return genesis_format.origin(genesis_format.encode(genesis))


def record(
    person: int,
    seq: int,
    payload: str = "",
    *,
    task: int = 0,
    kind: UpdateKind = UpdateKind.DELTA,
    base: int = 0,
    expires: int = NEVER_EXPIRES,
    update_id: bytes | None = None,
) -> UpdateRecord:
    """Return the record of an update of person `person`."""
    payload = payload or f"payload {person} {seq}"
    return UpdateRecord(
        contributor=key_id(key(f"person {person}").public),
        update_id=update_id or digest(f"update {person} {seq} {payload} {task}"),
        payload_digest=digest(payload),
        task=task,
        kind=kind,
        seq=seq,
        base_version=base,
        expires_height=expires,
        payload_size_bytes=PAYLOAD_BYTES,
        num_examples=10,
    )


def vote(version: int, payload: str, *, task: str = "digits", size: int = PAYLOAD_BYTES) -> bytes:
    """Return the transaction that votes for a version's payload."""
    return canonical(
        {
            "kind": "version",
            "task": task,
            "version": version,
            "payload": digest(payload).hex(),
            "payloadSize": size,
        }
    )


def block(
    author: int, records: Sequence[UpdateRecord] = (), transactions: Iterable[bytes] = ()
) -> Block:
    """Return a block whose one batch holds these records."""
    batches = (Batch(author, 1, 0, encode_records(records), ()),) if records else ()
    return Block(
        epoch=0,
        round=1,
        author=author,
        timestamp_ms=START_MS,
        flags=BlockFlags.NONE,
        parents=(),
        batches=batches,
        transactions=tuple(transactions),
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )


def verdict(judgement: Judgement, *records: UpdateRecord, rule: int = 1, site: int = 1) -> Verdict:
    """Return a verdict on one batch of these records."""
    batch = Batch(site, 1, 0, encode_records(records), ())
    positions = tuple(range(len(records)))
    return Verdict(Ref(1, site, digest("block")), batch, 0, positions, judgement, rule)


def twins_by(author: int, round_: int = 7, *, second: str = "b") -> Twins:
    """Return two blocks of an author for one round, signed."""
    origin = origin_of(make_genesis())
    refs = [Ref(round_, author, digest(f"{name} {author}")) for name in ("a", second)]
    signer = key(f"consensus {author}")
    signatures = [signer.sign(block_signing_message(origin, 0, ref)) for ref in refs]
    return Twins(refs[0], signatures[0], refs[1], signatures[1])


def accepting(*blocks: Block) -> tuple[Verdict, ...]:
    """Return verdicts that accept everything in these blocks."""
    return tuple(
        Verdict(
            Ref(one.round, one.author, digest(f"block {one.author}")),
            batch,
            0,
            tuple(range(record_count(batch.records_bytes))),
            Judgement.ACCEPT,
            1,
        )
        for one in blocks
        for batch in one.batches
    )


def delivery(
    index: int,
    *blocks: Block,
    clock_ms: int | None = None,
    verdicts: Sequence[Verdict] | None = None,
    twins: Sequence[Twins] = (),
) -> Delivery:
    """Return commit `index`, one second of ledger time after the one before.

    It accepts at once what it delivers, unless it comes with other verdicts.
    """
    name = f"commit {index}"
    return Delivery(
        index=index,
        previous_digest=digest(f"commit {index - 1}") if index > 1 else bytes(32),
        digest=digest(name),
        leader=Ref(index, index % SITES, digest(f"leader {index}")),
        clock_ms=START_MS + 1000 * index if clock_ms is None else clock_ms,
        blocks=blocks,
        verdicts=accepting(*blocks) if verdicts is None else tuple(verdicts),
        finality_digest=digest(f"finality {index}"),
        twins=tuple(twins),
    )


def append(log: Log, *deliveries: Delivery) -> tuple[Executed, ...]:
    """Append commits in one durable group."""
    for made in deliveries:
        log.execute(made)
    group = log.stage()
    group.staged.commit()
    log.settle(group)
    return group.executed


def certificate(
    index: int, row: CommitRow, origin: str, authors: Sequence[int] = (0, 1, 2)
) -> CertifiedCheckpoint:
    """Return votes of these sites over what commit `index` led to."""
    body = Checkpoint(origin, row.tree_size, row.root).body()
    return CertifiedCheckpoint(
        index=index,
        commit_digest=row.digest,
        tree_size=row.tree_size,
        root=row.root,
        cosignatures=tuple(
            Cosignature(at, cosign(key(f"cosigner {at}"), body, row.clock_ms // 1000))
            for at in authors
        ),
    )


def certify(log: Log, authors: Sequence[int] = (0, 1, 2)) -> CertifiedCheckpoint:
    """Certify the last commit of a log."""
    made = certificate(log.head.index, log.head.row, log.origin, authors)
    assert log.check_certificate(made)
    group = log.stage(made)
    group.staged.commit()
    log.settle(group)
    return made
