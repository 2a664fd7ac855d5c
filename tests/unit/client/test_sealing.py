import numpy as np
import pytest

from seawall.client import Base, Head, SeenCheckpoint
from seawall.client.sealing import PAYLOAD_NAME, Sealer
from seawall.crypto.hashing import sha256
from seawall.errors import LocalError, PeerError
from seawall.formats import fxp24
from seawall.formats.admission import Admission
from seawall.formats.oms import parse_manifest
from tests.unit.client.town_log import ADA, ADA_ID, CHAIN, GENESIS, LARGE, SMALL


def base_of(task: str, version: int = 3) -> Base:
    layout = CHAIN.layouts[task]
    head = Head(
        task=task,
        version=version,
        digest=bytes([7]) * 32,
        size_bytes=layout.payload_size_bytes,
        commit_index=1,
        final=True,
        checkpoint=SeenCheckpoint(9, bytes([8]) * 32, "", 40),
    )
    return Base(head, np.zeros(layout.size, dtype=np.int32), {})


def test_what_is_sealed_is_admitted_as_it_was_meant() -> None:
    sealer = Sealer(CHAIN, SMALL, ADA, expires_commits=100)
    prepared = sealer.seal(
        {"w": np.full((3, 2), 0.5), "b": np.array([-1.0, 0.0])},
        base=base_of(SMALL),
        seq=11,
        num_examples=4,
        metrics={"z": 1, "a": 2},
        kind="root",
    )
    admission = Admission(GENESIS, CHAIN.origin)
    admitted = admission.check_envelope(prepared.envelope, prepared.manifest, prepared.provenance)
    admission.check_payload(admitted, prepared.payload)
    claim = admitted.submission
    assert admitted.update_id == prepared.update_id
    assert (claim.kind, claim.seq, claim.num_examples) == ("root", 11, 4)
    assert (claim.base_version, claim.base_digest) == (3, bytes([7]) * 32)
    assert (claim.checkpoint_size, claim.expires_height) == (9, 140)
    assert claim.metrics == (("a", 2), ("z", 1))
    assert claim.contributor == ADA_ID
    vector = CHAIN.layouts[SMALL].decode(prepared.payload)
    assert vector.tolist() == [-1024, 0, *[512] * 6], "tensors in the order of their names"


def test_a_large_payload_gets_a_list_of_its_chunks() -> None:
    sealer = Sealer(CHAIN, LARGE, ADA)
    delta = np.arange(600_000, dtype=np.int32)
    prepared = sealer.seal(delta, base=base_of(LARGE), seq=1, num_examples=1)
    manifest = parse_manifest(prepared.manifest, size_max=1 << 20)
    assert (manifest.name, manifest.size) == (PAYLOAD_NAME, len(prepared.payload))
    assert [sha256(prepared.payload[at << 20 : at + 1 << 20]) for at in range(3)] == list(
        manifest.chunk_digests
    )
    Admission(GENESIS, CHAIN.origin).check_envelope(prepared.envelope, prepared.manifest)


def test_a_provenance_statement_is_bound() -> None:
    sealer = Sealer(CHAIN, SMALL, ADA)
    one = sealer.seal(
        np.ones(8), base=base_of(SMALL), seq=1, num_examples=1, provenance=b"statement"
    )
    with pytest.raises(PeerError, match="STMT_DIGEST"):
        Admission(GENESIS, CHAIN.origin).check_envelope(one.envelope, b"", b"another")


def test_expiry_stays_within_what_genesis_allows() -> None:
    sealer = Sealer(CHAIN, SMALL, ADA, expires_commits=10**9)
    prepared = sealer.seal(np.ones(8), base=base_of(SMALL), seq=1, num_examples=1)
    admitted = Admission(GENESIS, CHAIN.origin).check_envelope(prepared.envelope)
    ahead = GENESIS.admission.expires_height_ahead_max
    assert admitted.submission.expires_height == 40 + ahead


@pytest.mark.parametrize(
    ("delta", "code"),
    [
        (np.ones(7), "VAL_SHAPE"),
        (np.ones(8, dtype=np.int64), "FXP_DTYPE"),
        (np.full(8, np.nan), "FXP_NON_FINITE"),
        ({"w": np.ones((3, 2))}, "VAL_NAMES"),
        ({"w": np.ones((2, 3)), "b": np.ones(2)}, "VAL_SHAPE"),
        (np.full(8, fxp24.VALUE_MAX + 1, dtype=np.int32), "VAL_RANGE"),
    ],
)
def test_a_delta_that_no_site_would_take_is_refused_here(delta: object, code: str) -> None:
    sealer = Sealer(CHAIN, SMALL, ADA)
    with pytest.raises(LocalError, match=code):
        sealer.vector(delta)  # type: ignore[arg-type]  # wrong on purpose
