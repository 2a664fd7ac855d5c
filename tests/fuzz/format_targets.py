"""Fuzz targets: everything in `seawall.formats` that reads bytes of somebody else."""

import json
from typing import Any, Final

import numpy as np
import safetensors

from seawall.errors import PeerError
from seawall.formats import (
    checkpoint,
    cosignature,
    dsse,
    entry,
    fxp24,
    genesis,
    intoto,
    jcs,
    oms,
    receipt,
    signed_note,
    slsa,
    submission,
    tiles,
    tlog_proof,
)
from seawall.formats import safetensors as tensors
from seawall.formats.strict_json import scan
from seawall.formats.task_payload import Layout, Scan
from tests.cases.authors import SMALL
from tests.fuzz.properties import accepts, attempt, canonical, stable
from tests.unit.formats import log_fixture
from tests.unit.ledger.chain import make_genesis

SIZE_MAX: Final = 1 << 20
JSON_DEPTH: Final = 4
"""Containers inside containers that the JSON target takes: less than what formats take."""

_LAYOUT: Final = Layout.of(SMALL)
_BODY: Final = log_fixture.checkpoint().body()
_COSIGNER: Final = log_fixture.COSIGNERS[0]
_deserialise: Final[Any] = safetensors.deserialize
_VERIFIER: Final = receipt.ReceiptVerifier(genesis.encode(make_genesis(3)))


# --- JSON ----------------------------------------------------------------------------------------


def strict_json(data: bytes) -> None:
    """Read JSON: the exact scanner and the fast way agree, and with the standard library too."""
    value = attempt(lambda raw: (jcs.parse_strict(raw, size_max=SIZE_MAX, floats=True),), data)
    if value is not None:
        assert json.loads(data) == value[0]
    exact = attempt(lambda raw: (jcs.parse_strict(raw, size_max=SIZE_MAX),), data)
    scanned = attempt(lambda raw: (scan(raw, depth_max=jcs.DEPTH_MAX),), data)
    assert exact == scanned
    shallow = attempt(
        lambda raw: (jcs.parse_strict(raw, size_max=SIZE_MAX, depth_max=JSON_DEPTH),), data
    )
    assert shallow is None or shallow == exact


canonical_json = canonical(
    lambda raw: (jcs.parse_canonical(raw, size_max=SIZE_MAX),),
    lambda value: jcs.canonical(value[0]),
)


# --- signed statements ---------------------------------------------------------------------------

submission_payload = canonical(submission.from_payload, submission.to_payload)
envelope = stable(lambda raw: dsse.decode(raw, size_max=SIZE_MAX), dsse.encode)
manifest = stable(
    lambda raw: oms.parse_manifest(raw, size_max=SIZE_MAX),
    lambda value: oms.manifest(value.name, value.chunk_digests, value.size),
)
provenance = stable(lambda raw: slsa.parse(raw, size_max=SIZE_MAX), slsa.provenance)
statement = stable(
    lambda raw: intoto.decode(raw, size_max=SIZE_MAX, predicate_type=slsa.PREDICATE_TYPE),
    intoto.encode,
)


# --- tensors -------------------------------------------------------------------------------------


def safetensors_file(data: bytes) -> None:
    """Read a tensor file; what is accepted, the reference implementation reads alike."""
    header = attempt(tensors.parse, data)
    if header is None:
        return
    accepts(lambda raw: tensors.check_values(raw, header), data)
    views = tensors.tensor_views(data, header)
    reference = dict(_deserialise(data))
    assert sorted(views) == sorted(reference)
    for tensor in header.tensors:
        told = reference[tensor.name]
        assert tuple(told["shape"]) == tensor.shape
        assert bytes(told["data"]) == views[tensor.name].tobytes()


def task_payload(data: bytes) -> None:
    """Read an update's payload: as a whole, and in two pieces; the answers are equal."""
    cut = 4 * (data[0] if data else 0)
    vector = attempt(_LAYOUT.decode, data)

    def feed(*pieces: bytes) -> str | None:
        scan = Scan(_LAYOUT)
        try:
            for piece in pieces:
                scan.feed(piece)
            scan.finish()
        except PeerError as fault:
            return fault.code
        return None

    if len(data) == SMALL.payload_size_bytes:
        answer = feed(data)
        assert feed(data[:cut], data[cut:]) == answer
        assert (answer in (None, "VAL_ZERO")) == (vector is not None)
    if vector is not None:
        assert _LAYOUT.encode(vector) == data


def fxp24_values(data: bytes) -> None:
    """Check a vector of integers: accepted ones survive the way to reals and back."""
    if not data:
        return
    grid_bits = data[0] % (fxp24.GRID_BITS_MAX + 1)
    values = np.frombuffer(data[1 : 1 + len(data[1:]) // 4 * 4], dtype="<i4")
    accepts(lambda _: fxp24.check_not_zero(values), data)
    accepts(lambda _: fxp24.check_sum(int(np.abs(values.astype(np.int64)).sum())), data)
    if accepts(lambda _: fxp24.check_values(values, len(values)), data):
        back, clipped = fxp24.quantise(fxp24.dequantise(values, grid_bits), grid_bits)
        assert clipped == 0
        assert np.array_equal(back, values)


# --- the log -------------------------------------------------------------------------------------

note = canonical(
    signed_note.parse, lambda value: signed_note.format_note(value.text, value.signatures)
)
checkpoint_body = canonical(checkpoint.parse_body, checkpoint.Checkpoint.body)
proof = canonical(tlog_proof.parse, tlog_proof.encode)
verifier_key = canonical(
    lambda raw: signed_note.NoteKey.parse(raw.decode("latin-1")),
    lambda value: value.encode().encode("latin-1"),
)


def quorum_note(data: bytes) -> None:
    """Verify a checkpoint note by its cosigners."""
    found = attempt(
        lambda raw: cosignature.verify_quorum(
            raw, log_fixture.ORIGIN, log_fixture.LOG_KEY.public, log_fixture.COSIGNERS, 7
        ),
        data,
    )
    assert found is None or found == log_fixture.checkpoint(found.size)


def cosignature_blob(data: bytes) -> None:
    """Verify a cosignature; only its owner can have made it."""
    name, public, _ = _COSIGNER
    time_s = attempt(lambda raw: cosignature.verify_cosignature(name, public, _BODY, raw), data)
    if time_s is not None:
        assert cosignature.cosign(log_fixture.COSIGNER_KEYS[0], _BODY, time_s) == data


def tile_path(data: bytes) -> None:
    """Read the path of a tile."""
    found = attempt(lambda raw: tiles.parse_path(raw.decode("latin-1")), data)
    assert found is None or found.path().encode() == data


def tile_bundle(data: bytes) -> None:
    """Read a bundle of entries, whose width the first byte names."""
    if not data:
        return
    found = attempt(lambda raw: tiles.decode_entries(raw[1:], data[0] + 1), data)
    assert found is None or tiles.encode_entries(found) == data[1:]


# --- genesis, entries, receipts ------------------------------------------------------------------

genesis_document = canonical(genesis.decode, genesis.encode)
log_entry = canonical(entry.parse, entry.encode)


def receipt_document(data: bytes) -> None:
    """Verify a receipt; no byte of one that verifies may be otherwise."""
    found = attempt(_VERIFIER.verify, data)
    if found is not None:
        assert jcs.canonical(jcs.parse_strict(data, size_max=len(data))) == data
        assert found.submission is None or found.submission.origin == found.checkpoint.origin
