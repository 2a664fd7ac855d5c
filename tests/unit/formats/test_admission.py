"""Every bad update that can be refused without state, against the one place that refuses it."""

from dataclasses import replace

import msgspec
import pytest

from seawall.codec import decode_records
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import key_id
from seawall.domain.block import UpdateKind
from seawall.domain.genesis import Genesis
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.errors import LocalError, PeerError
from seawall.formats import oms
from seawall.formats.admission import Admission, hash_refusal
from seawall.formats.intoto import Subject
from seawall.formats.slsa import Provenance, provenance
from tests.cases.authors import CONTRIBUTORS, ROOT_OWNER, SMALL, TASKS, WIDE, Author, Signed
from tests.cases.bad_input import all_cases
from tests.cases.case import Case

ORIGIN = "seawall/0123456789abcdef"
CASES = tuple(all_cases())
GENESIS = Genesis(
    chain="test",
    sites=(),
    consensus=ConsensusParameters(),
    admission=AdmissionParameters(),
    log_key=bytes(32),
    root_keys=(),
    root_threshold=1,
    tasks=TASKS,
    contributors=CONTRIBUTORS,
)
ADMISSION = Admission(GENESIS, ORIGIN)


def check(update: Signed, *, hashed: bool) -> None:
    admitted = ADMISSION.check_envelope(update.envelope, update.manifest, update.provenance)
    if hashed:
        ADMISSION.check_payload(admitted, update.payload)
        return
    ADMISSION.check_unhashed(admitted, update.payload)
    if sha256(update.payload) != admitted.submission.payload_digest:
        raise hash_refusal()  # as a store does, which hashes all that it takes


def test_every_case_has_its_own_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("hashed", [True, False])
def test_bad_input_gets_its_code(case: Case, hashed: bool) -> None:  # noqa: FBT001 - a parameter
    update = case.make(Author(ORIGIN, 0))
    with pytest.raises(PeerError) as caught:
        check(update, hashed=hashed)
    assert caught.value.code == case.code
    if case.field is not None:
        assert caught.value.field == case.field
    if case.offset is not None:
        assert caught.value.offset == case.offset


def test_a_good_update_passes_with_everything_that_others_need() -> None:
    author = Author(ORIGIN, 0)
    update = author.update(num_examples=7)
    admitted = ADMISSION.check_envelope(update.envelope)
    ADMISSION.check_payload(admitted, update.payload)
    ADMISSION.check_unhashed(admitted, update.payload)
    assert admitted.update_id == update.update_id
    assert admitted.submission.contributor == key_id(CONTRIBUTORS[0].public_key)
    assert admitted.chunk_digests == (sha256(update.payload),)
    assert decode_records(admitted.record_bytes) == (admitted.record,)
    assert admitted.record.contributor == key_id(author.key.public)
    assert admitted.record.num_examples == 7
    assert admitted.beside_size_bytes == len(update.envelope)


def test_a_good_update_of_several_chunks_passes_piece_by_piece() -> None:
    update = Author(ORIGIN, 1).update(WIDE)
    admitted = ADMISSION.check_envelope(update.envelope, update.manifest)
    assert admitted.task_index == TASKS.index(WIDE)
    assert list(admitted.chunk_digests) == oms.chunk_digests(update.payload)
    scan = ADMISSION.scan(admitted)
    for chunk in update.chunks:
        scan.feed(chunk)
    scan.finish()


def test_a_root_owner_signs_root_updates_and_nothing_else() -> None:
    owner = Author(ORIGIN, ROOT_OWNER)
    admitted = ADMISSION.check_envelope(owner.update(kind="root").envelope)
    assert admitted.record.kind is UpdateKind.ROOT
    with pytest.raises(PeerError) as caught:
        ADMISSION.check_envelope(owner.update().envelope)
    assert (caught.value.code, caught.value.field) == ("KEY_ROLE", "kind")


def test_a_good_provenance_statement_is_kept() -> None:
    update = next(case for case in CASES if case.name == "provenance: of another task")
    assert update.make(Author(ORIGIN, 0)).provenance  # the row spoils the task alone
    admitted = ADMISSION.check_envelope(*_with_provenance(Author(ORIGIN, 0)))
    assert admitted.provenance


def test_a_refused_chunk_is_placed() -> None:
    assert hash_refusal(3).offset == 3 * oms.CHUNK_SIZE


def test_a_task_whose_numbers_do_not_fit_is_our_own_mistake() -> None:
    for changes, code in (
        ({"header_size_bytes": 8}, "TASK_HEADER"),
        ({"payload_size_bytes": SMALL.payload_size_bytes + 4}, "TASK_PAYLOAD_SIZE"),
    ):
        task = msgspec.structs.replace(SMALL, **changes)
        with pytest.raises(LocalError) as caught:
            Admission(replace(GENESIS, tasks=(task,)), ORIGIN)
        assert caught.value.code == code


def _with_provenance(author: Author) -> tuple[bytes, bytes, bytes]:
    payload = author.payload()
    statement = provenance(
        Provenance(
            subject=Subject("update.safetensors", sha256(payload)),
            builder=key_id(author.key.public),
            task=SMALL.name,
            base_version=0,
            base_digest=SMALL.base_payload_digest,
        )
    )
    claim = author.claim(payload, provenance_digest=sha256(statement))
    return author.seal(claim), b"", statement
