"""A chain with a real log: genesis, entries, checkpoints and proofs of a small town."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from seawall.api.v1 import aggregation_pb2
from seawall.client.chain import Chain
from seawall.crypto.merkle import inclusion_proof, leaf_hash, node_hash, root_of
from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import Contributor, Genesis, GenesisSite, RuleSpec, Task, TensorSpec
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.errors import PeerError
from seawall.formats import dsse, submission, tlog_proof
from seawall.formats import entry as entries
from seawall.formats import genesis as genesis_format
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign, cosigner_line, log_line, quorum_note
from seawall.formats.receipt import encode_receipt
from seawall.formats.task_payload import Layout, header_size_for

SITES = 4
SMALL, LARGE = "small", "large"
TENSORS = {
    SMALL: (TensorSpec(name="b", shape=(2,)), TensorSpec(name="w", shape=(3, 2))),
    LARGE: (TensorSpec(name="w", shape=(600_000,)),),
}


def key(name: str) -> SigningKey:
    """Return the key that a name stands for."""
    return SigningKey.from_seed(sha256(name.encode()).digest())


def make_genesis() -> Genesis:
    """Return a genesis with a task of one chunk and one of three."""
    policy = CutPolicy(interval_ms=100, k=2, k_min=1, staleness_max=4)
    tasks = []
    for name, tensors in TENSORS.items():
        layout = Layout(tensors, header_size_for(tensors))
        base = layout.encode(np.zeros(layout.size, dtype=np.int32))
        tasks.append(
            Task(
                name=name,
                rule=RuleSpec(name="fedavg", version=1, parameters=()),
                grid_bits=10,
                tensors=tensors,
                header_size_bytes=header_size_for(tensors),
                payload_size_bytes=len(base),
                base_payload_digest=sha256(base).digest(),
                cut=policy,
            )
        )
    sites = tuple(
        GenesisSite(
            name=f"site-{at}",
            zone="here",
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
    return Genesis(
        chain="town",
        sites=sites,
        consensus=ConsensusParameters(),
        admission=AdmissionParameters(),
        log_key=key("log").public,
        root_keys=(key("root").public,),
        root_threshold=1,
        tasks=tuple(tasks),
        contributors=(
            Contributor(name="ada", public_key=key("ada").public, roles=("contributor", "root")),
        ),
    )


GENESIS = make_genesis()
GENESIS_BYTES = genesis_format.encode(GENESIS)
CHAIN = Chain(GENESIS_BYTES)
ADA = key("ada")
ADA_ID = key_id(ADA.public)


class TownLog:
    """A log of entries, as every site shows it, and the payloads of its versions."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self.cosigners: Sequence[int] = (0, 1, 2)
        self.heads: dict[str, tuple[int, int]] = {}
        self.payloads: dict[bytes, bytes] = {}
        for task in GENESIS.tasks:
            layout = CHAIN.layouts[task.name]
            zero = layout.encode(np.zeros(layout.size, dtype=np.int32))
            self.payloads[task.base_payload_digest] = zero

    def append(self, entry: entries.Entry) -> int:
        """Append an entry and return its index."""
        self.leaves.append(entries.encode(entry))
        return len(self.leaves) - 1

    def publish(self, task: str, version: int, values: Sequence[int]) -> bytes:
        """Append the entry of a usable version; return its payload."""
        layout = CHAIN.layouts[task]
        vector = np.resize(np.array(values, dtype=np.int32), layout.size)
        payload = layout.encode(vector)
        digest = sha256(payload).digest()
        index = self.append(
            entries.VersionEntry(
                commit=len(self.leaves) + 1,
                cut=0,
                payload=digest.hex(),
                payload_size=len(payload),
                status="usable",
                task=task,
                version=version,
                votes=(0, 1),
            )
        )
        self.payloads[digest] = payload
        self.heads[task] = (version, index)
        return payload

    def note(self) -> str:
        """Return the checkpoint note of the whole log."""
        if not self.leaves:
            return ""
        checkpoint = Checkpoint(
            CHAIN.origin, len(self.leaves), root_of(leaf_hash(leaf) for leaf in self.leaves)
        )
        lines = [
            cosigner_line(
                GENESIS.sites[at].cosigner_name,
                GENESIS.sites[at].cosigner_key,
                cosign(key(f"cosigner {at}"), checkpoint.body(), 1_700_000_000),
            )
            for at in self.cosigners
        ]
        return quorum_note(checkpoint, log_line(checkpoint, key("log")), lines).decode()

    def proof(self, index: int) -> list[bytes]:
        """Return the inclusion proof of an entry in the whole log."""

        def node(level: int, position: int) -> bytes:
            if level == 0:
                return leaf_hash(self.leaves[position])
            return node_hash(node(level - 1, 2 * position), node(level - 1, 2 * position + 1))

        return inclusion_proof(index, len(self.leaves), node)

    def head(self, task: str) -> aggregation_pb2.GetHeadResponse:
        """Return what an honest site answers."""
        found = next(one for one in GENESIS.tasks if one.name == task)
        answer = aggregation_pb2.GetHeadResponse(
            payload_digest=found.base_payload_digest,
            payload_size_bytes=found.payload_size_bytes,
            checkpoint_note=self.note(),
            height=len(self.leaves),
        )
        if task in self.heads:
            answer.version, answer.entry_index = self.heads[task]
            answer.entry = self.leaves[answer.entry_index]
            answer.entry_proof.extend(self.proof(answer.entry_index))
        return answer

    def accept(self, envelope: bytes) -> int:
        """Append the entry of an update, once; return its index."""
        decoded = dsse.decode(envelope, size_max=65_536)
        claim = submission.from_payload(decoded.payload)
        update_id = submission.update_id(decoded.payload).hex()
        for index, leaf in enumerate(self.leaves):
            known = entries.parse(leaf)
            if isinstance(known, entries.UpdateEntry) and known.update_id == update_id:
                return index
        return self.append(
            entries.UpdateEntry(
                base_version=claim.base_version,
                batch=1,
                commit=1,
                contributor=claim.contributor.hex(),
                expires_height=claim.expires_height,
                kind=claim.kind,
                num_examples=claim.num_examples,
                payload=claim.payload_digest.hex(),
                payload_size=claim.payload_size,
                seq=claim.seq,
                site=0,
                taint=(),
                task=claim.task,
                update_id=update_id,
            )
        )

    def receipt(self, update_id: bytes) -> bytes:
        """Return the receipt of an update of the log, without its envelope."""
        for index, leaf in enumerate(self.leaves):
            known = entries.parse(leaf)
            if isinstance(known, entries.UpdateEntry) and known.update_id == update_id.hex():
                note = self.note().encode()
                proof = tlog_proof.encode(
                    tlog_proof.TlogProof(index, tuple(self.proof(index)), note)
                )
                return encode_receipt(CHAIN.origin, update_id, [(leaf, proof)])
        raise PeerError("RECEIPT_UNKNOWN", "not here", field="update_id")
