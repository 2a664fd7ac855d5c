"""Processor time of the pieces that an update passes through, one by one.

Each piece is repeated until it has run long enough to be timed, several times over; what counts is
the fastest round, which other work on the machine disturbed least. Processor time of this process,
not time that passed.
"""

import argparse
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.calls import call_pieces
from bench.samples import Anchor, SignedUpdate, enrol, make_keys, make_task, sign_updates
from bench.stored import stored_pieces
from bench.tables import render
from bench.timing import Piece, Timing, measure
from seawall.aggregation.rules import Contribution, RuleParameters, aggregate
from seawall.codec import (
    attestation_message,
    batch_root,
    decode_block,
    decode_records,
    encode_block,
    encode_records,
    sign_block,
)
from seawall.consensus.verification import verify_block
from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import Frontier, leaf_hash
from seawall.crypto.signing import verify
from seawall.domain.block import Attestation, Batch, Block, BlockFlags, CoinShares, Ref
from seawall.domain.committee import Committee, Member
from seawall.domain.genesis import Genesis, GenesisSite, Task
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.formats import dsse, submission
from seawall.formats import entry as entries
from seawall.formats.admission import Admission
from seawall.formats.record import record_of

SIZES = {"1 KB": 1 << 10, "64 KB": 1 << 16, "1 MB": 1 << 20}
BATCH = 100
"""Updates of a batch, and of a block, in the pieces that handle many at once."""

ORIGIN = "seawall/" + "ab" * 8
NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def pieces() -> Iterable[Piece]:
    """Yield everything that is timed, in the order of an update's life."""
    tasks = {label: make_task(f"size-{size}", size) for label, size in SIZES.items()}
    keys = make_keys(BATCH)
    genesis = make_genesis(tuple(tasks.values()))
    admission = Admission(genesis, ORIGIN)
    updates = {
        label: list(islice(sign_updates(task, keys, Anchor(origin=ORIGIN)), 2))
        for label, task in tasks.items()
    }
    small = list(islice(sign_updates(tasks["1 KB"], keys, Anchor(origin=ORIGIN)), BATCH))
    yield from client_pieces(tasks["1 KB"])
    yield from admission_pieces(admission, updates)
    yield from batch_pieces(admission, small)
    yield from block_pieces(admission, small, genesis)
    yield from ledger_pieces(admission, small)
    with TemporaryDirectory() as directory:
        yield from stored_pieces(Path(directory), genesis, ORIGIN)
    yield from call_pieces()
    yield from rule_pieces()


def make_genesis(tasks: tuple[Task, ...]) -> Genesis:
    """Return a genesis of four sites; only its keys, tasks and contributors matter here."""
    sites = tuple(
        GenesisSite(
            name=f"site-{index}",
            zone="bench",
            stake=1,
            consensus_key=make_keys(4, "sites")[index].public,
            cosigner_name=f"seawall.dev/site-{index}",
            cosigner_key=make_keys(4, "cosigners")[index].public,
            tls_certificate_pem=NO_CERTIFICATE.format("ABCD"[index] * 4),
            peer_address=f"127.0.0.1:{1 + index}",
            client_address=f"127.0.0.1:{5 + index}",
        )
        for index in range(4)
    )
    return Genesis(
        chain="bench",
        sites=sites,
        consensus=ConsensusParameters(),
        admission=AdmissionParameters(),
        log_key=make_keys(1, "log")[0].public,
        root_keys=(make_keys(1, "root")[0].public,),
        root_threshold=1,
        tasks=tasks,
        contributors=enrol(make_keys(BATCH)),
    )


def client_pieces(task: Task) -> Iterable[Piece]:
    """Yield what a contributor does for one update."""
    stream = sign_updates(task, make_keys(4), Anchor(origin=ORIGIN))
    yield Piece(name="client: digest, submission, sign, envelope (1 KB)", call=lambda: next(stream))


def admission_pieces(
    admission: Admission, updates: dict[str, list[SignedUpdate]]
) -> Iterable[Piece]:
    """Yield the stateless checks of one update, and the parts of them."""
    one = updates["1 KB"][0]
    envelope = dsse.decode(one.envelope, size_max=65_536)
    message = dsse.pae(envelope.payload_type, envelope.payload)
    public = make_keys(1)[0].public
    signature = envelope.signatures[0].sig
    kind = submission.PAYLOAD_TYPE
    yield Piece(name="Ed25519 verify", call=lambda: verify(public, message, signature))
    yield Piece(name="dsse.decode", call=lambda: dsse.decode(one.envelope, size_max=65_536))
    yield Piece(name="dsse.verify_one", call=lambda: dsse.verify_one(envelope, kind, public))
    yield Piece(
        name="submission.from_payload", call=lambda: submission.from_payload(envelope.payload)
    )
    yield Piece(
        name="admission.check_envelope", call=lambda: admission.check_envelope(one.envelope)
    )
    for label, (update, _) in updates.items():
        admitted = admission.check_envelope(update.envelope)
        yield Piece(name=f"SHA-256 ({label})", call=partial(sha256, update.payload()))
        yield Piece(
            name=f"admission.check_payload ({label})",
            call=partial(admission.check_payload, admitted, update.payload()),
        )


def batch_pieces(admission: Admission, small: list[SignedUpdate]) -> Iterable[Piece]:
    """Yield what is done per update of a batch of 100."""
    admitted = [admission.check_envelope(update.envelope) for update in small]
    records = [update.record for update in admitted]
    data = encode_records(records)
    yield Piece(
        name="record_of",
        call=lambda: record_of(admitted[0].submission, admitted[0].update_id, 0),
    )
    yield Piece(name="encode_records", call=lambda: encode_records(records), operations=BATCH)
    yield Piece(name="decode_records", call=lambda: decode_records(data), operations=BATCH)
    yield Piece(name="batch_root", call=lambda: batch_root(data), operations=BATCH)


def block_pieces(
    admission: Admission, small: list[SignedUpdate], genesis: Genesis
) -> Iterable[Piece]:
    """Yield what is done per block, empty and with one batch of 100 updates."""
    members = tuple(
        Member(
            index=index,
            name=site.name,
            zone=site.zone,
            stake=1,
            consensus_key=site.consensus_key,
            cosigner_name=site.cosigner_name,
            cosigner_key=site.cosigner_key,
        )
        for index, site in enumerate(genesis.sites)
    )
    committee = Committee(origin=ORIGIN, epoch=0, members=members)
    keys = make_keys(4, "sites")
    data = encode_records([admission.check_envelope(one.envelope).record for one in small])
    message = attestation_message(ORIGIN, 0, 0, 1, 1, batch_root(data))
    certificate = tuple(Attestation(at, keys[at].sign(message)) for at in range(2))
    batch = Batch(site=0, number=1, pinned_height=1, records_bytes=data, certificate=certificate)
    for label, batches in (("empty", ()), ("100 updates", (batch,))):
        block = make_block(batches)
        signed = sign_block(block, ORIGIN, keys[0])
        decoded = decode_block(signed.raw)
        yield Piece(name=f"encode_block ({label})", call=partial(encode_block, block))
        yield Piece(
            name=f"sign_block ({label})",
            call=partial(sign_block, block, ORIGIN, keys[0]),
        )
        yield Piece(name=f"decode_block ({label})", call=partial(decode_block, signed.raw))
        yield Piece(
            name=f"verify_block ({label})",
            call=partial(verify_block, decoded, committee, genesis.consensus),
        )


def make_block(batches: tuple[Batch, ...]) -> Block:
    """Return a block of round 9 with three parents."""
    return Block(
        epoch=0,
        round=9,
        author=0,
        timestamp_ms=1_700_000_000_000,
        flags=BlockFlags.NONE,
        parents=tuple(Ref(8, author, bytes([author]) * 32) for author in range(3)),
        batches=batches,
        transactions=(),
        rejects=(),
        vote_cutoff=0,
        coin_shares=CoinShares(),
        commit_votes=(),
    )


def ledger_pieces(admission: Admission, small: list[SignedUpdate]) -> Iterable[Piece]:
    """Yield what the ledger does per update."""
    records = [admission.check_envelope(one.envelope).record for one in small]
    leaves = [
        entries.encode_update(record, commit=9, task="size-1024", site=0, batch=7)
        for record in records
    ]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    yield Piece(
        name="entry.encode_update",
        call=lambda: entries.encode_update(records[0], commit=9, task="t", site=0, batch=7),
    )
    yield Piece(name="leaf_hash", call=lambda: leaf_hash(leaves[0]))
    yield Piece(
        name="Frontier.extend_with_nodes",
        call=lambda: Frontier().extend_with_nodes(hashes),
        operations=BATCH,
    )


def rule_pieces() -> Iterable[Piece]:
    """Yield the aggregation rules over ten updates of a small and a large model, per version."""
    for label, size in (("2 k", 2_410), ("262 k", 262_080)):
        noise = np.random.default_rng(1)
        rows = noise.integers(-(2**16), 2**16, (11, size), dtype=np.int32)
        head = np.zeros(size, dtype=np.int32)
        given = [
            Contribution(update_id=bytes([at]) * 32, delta=rows[at], staleness=0, num_examples=9)
            for at in range(10)
        ]
        for name in ("fedavg", "clip-nnm-median", "root-gate"):
            rule = RuleParameters(name=name, f=3 if name != "fedavg" else 0)
            root = rows[10] if name == "root-gate" else None
            yield Piece(
                name=f"{name}, 10 updates of {label} parameters",
                call=partial(aggregate, rule, head, given, root),
            )


def table(timings: Iterable[Timing]) -> str:
    """Return the timings as a table."""
    rows = [(one.name, one.best_us, one.median_us) for one in timings]
    return render(("piece", "CPU-µs best", "CPU-µs median"), rows)


def main() -> None:
    """Time every piece and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one round")
    parser.add_argument("--only", default="", help="pieces whose name contains this")
    options = parser.parse_args()
    print(table(measure(p, options.seconds) for p in pieces() if options.only in p.name))


if __name__ == "__main__":
    main()
