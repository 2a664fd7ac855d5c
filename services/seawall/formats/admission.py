"""The checks that need no ledger state: envelope, statements, chunks, header, values, in order.

Ingestion runs them when an update arrives, integrity again before it attests, both from the bytes
alone. Cheap checks stand before dear ones, and everything that can be refused without a tensor
byte is refused without one. Rules that need state (seq, base, expiry, uniqueness) are the ledger's.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from seawall.codec import encode_records
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import key_id
from seawall.domain.block import UpdateRecord
from seawall.domain.genesis import Contributor, Genesis, Task
from seawall.errors import PeerError
from seawall.formats import dsse, oms, slsa, submission
from seawall.formats.record import record_of
from seawall.formats.submission import Submission
from seawall.formats.task_payload import Layout, Scan

ENVELOPE_SIZE_BYTES_MAX: Final = 65_536
MANIFEST_SIZE_BYTES_MAX: Final = 1 << 20
PROVENANCE_SIZE_BYTES_MAX: Final = 65_536
BESIDE_SIZE_BYTES_MAX: Final = 1 << 20
"""Envelope and statements together, so that every message that carries them has room."""

_ROLE_OF_KIND: Final[Mapping[str, str]] = {"delta": "contributor", "root": "root"}


class AdmittedUpdate(msgspec.Struct, frozen=True):
    """An update whose envelope and statements passed; its payload may still be missing.

    `chunk_digests` are SHA-256 of each 1 MiB piece of the payload, in order; for a payload of one
    chunk that is the payload digest itself. `record` is what a block says of the update,
    `record_bytes` its canonical form.
    """

    update_id: bytes
    submission: Submission
    task_index: int
    record: UpdateRecord
    record_bytes: bytes
    chunk_digests: tuple[bytes, ...]
    envelope: bytes
    manifest: bytes
    provenance: bytes

    @property
    def beside_size_bytes(self) -> int:
        """Return the bytes that travel beside the payload."""
        return len(self.envelope) + len(self.manifest) + len(self.provenance)


class Admission:
    """The stateless checks under one genesis; immutable after it is built."""

    def __init__(self, genesis: Genesis, origin: str) -> None:
        """Index the contributors and tasks of genesis.

        Raises:
            LocalError: TASK_HEADER, TASK_PAYLOAD_SIZE for a task whose numbers do not fit.

        """
        self._origin = origin
        self._limits = genesis.admission
        self._contributors = {key_id(entry.public_key): entry for entry in genesis.contributors}
        self._keys = {key.hex(): entry for key, entry in self._contributors.items()}
        self._tasks = {task.name: index for index, task in enumerate(genesis.tasks)}
        self.tasks: tuple[Task, ...] = genesis.tasks
        self.layouts = tuple(Layout.of(task) for task in genesis.tasks)

    def check_envelope(
        self, envelope: bytes, manifest: bytes = b"", provenance: bytes = b""
    ) -> AdmittedUpdate:
        """Return the update that these bytes offer, or refuse it at the first failed check.

        Order: sizes, envelope syntax, key known, signature and type, schema, signer, role, origin,
        task, payload size, width of its integers, statements.

        Raises:
            PeerError: TOO_LARGE, JSON_*, DSSE_*, KEY_*, SUB_*, REPLAY_ORIGIN, REPLAY_TASK,
                STMT_*, VAL_MANIFEST.

        """
        _check_size(envelope, ENVELOPE_SIZE_BYTES_MAX, "envelope")
        _check_size(manifest, MANIFEST_SIZE_BYTES_MAX, "manifest")
        _check_size(provenance, PROVENANCE_SIZE_BYTES_MAX, "provenance")
        if len(envelope) + len(manifest) + len(provenance) > BESIDE_SIZE_BYTES_MAX:
            hint = f"envelope and statements have at most {BESIDE_SIZE_BYTES_MAX} bytes together"
            raise PeerError("TOO_LARGE", hint, field="manifest")
        try:
            decoded = dsse.decode(envelope, size_max=ENVELOPE_SIZE_BYTES_MAX)
        except PeerError as error:
            raise _placed(error, "envelope") from None
        contributor = self._keys.get(decoded.signatures[0].keyid)
        if contributor is None:
            hint = "name an enrolled key by the hash of its public key in the signature's key id"
            raise PeerError("KEY_UNKNOWN", hint, field="signatures[0].keyid")
        payload = dsse.verify_one(decoded, submission.PAYLOAD_TYPE, contributor.public_key)
        try:
            claim = submission.from_payload(payload)
        except PeerError as error:
            raise _placed(error, "envelope.payload") from None
        task_index = self._check_claim(claim, contributor)
        update_id = submission.update_id(payload)
        record = record_of(claim, update_id, task_index)
        return AdmittedUpdate(
            update_id=update_id,
            submission=claim,
            task_index=task_index,
            record=record,
            record_bytes=encode_records((record,)),
            chunk_digests=_check_manifest(claim, manifest),
            envelope=envelope,
            manifest=manifest,
            provenance=_check_provenance(claim, provenance),
        )

    def check_payload(self, update: AdmittedUpdate, payload: bytes | memoryview) -> None:
        """Accept the whole payload of an admitted update: its digest, header and values.

        Raises:
            PeerError: LENGTH, CHUNK_HASH, ST_*, VAL_*.

        """
        _check_length(update, payload)
        _check_hash(update, payload)
        self._check_tensors(update, payload)

    def check_unhashed(self, update: AdmittedUpdate, payload: bytes | memoryview) -> None:
        """Accept a payload whose digest the store compares when it takes it in.

        Hashing is the dearest check of a large payload, and a store never takes bytes on trust.
        A payload that fails is hashed here all the same, so that the code is that of the first
        failed check.

        Raises:
            PeerError: LENGTH, CHUNK_HASH, ST_*, VAL_*.

        """
        _check_length(update, payload)
        try:
            self._check_tensors(update, payload)
        except PeerError:
            _check_hash(update, payload)
            raise

    def scan(self, update: AdmittedUpdate) -> Scan:
        """Return a check of header and values that takes the payload piece by piece."""
        return Scan(self.layouts[update.task_index])

    def _check_tensors(self, update: AdmittedUpdate, payload: bytes | memoryview) -> None:
        """Accept header and values."""
        scan = self.scan(update)
        scan.feed(payload)
        scan.finish()

    def _check_claim(self, claim: Submission, contributor: Contributor) -> int:
        """Return the task's index after comparing the claim with key, chain and task."""
        if claim.contributor != key_id(contributor.public_key):
            hint = "the submission must name the key that signs it"
            raise PeerError("KEY_MISMATCH", hint, field="contributor")
        if _ROLE_OF_KIND[claim.kind] not in contributor.roles:
            raise PeerError("KEY_ROLE", "this key may not sign updates of this kind", field="kind")
        if claim.origin != self._origin:
            hint = f"this chain is {self._origin}"
            raise PeerError("REPLAY_ORIGIN", hint, field="origin")
        task_index = self._tasks.get(claim.task)
        if task_index is None:
            raise PeerError("REPLAY_TASK", "name a task of this chain", field="task")
        if claim.payload_size > self._limits.payload_size_bytes_max:
            hint = f"a payload has at most {self._limits.payload_size_bytes_max} bytes"
            raise PeerError("TOO_LARGE", hint, field="payloadSize")
        expected = self.layouts[task_index].payload_size_bytes
        if claim.payload_size != expected:
            hint = f"payloads of this task have {expected} bytes"
            raise PeerError("VAL_MANIFEST", hint, field="payloadSize")
        return task_index


def _placed(error: PeerError, place: str, *, nested: bool = False) -> PeerError:
    """Return an error that says in which part of an update it lies.

    A field of a statement stands below the statement; fields of envelope and submission are told
    apart by their names.
    """
    field = error.field
    if field is None:
        field = place
    elif nested:
        field = f"{place}.{field.removeprefix('$.')}"
    return PeerError(error.code, error.hint, field=field, offset=error.offset)


def _check_size(data: bytes, size_max: int, field: str) -> None:
    """Refuse bytes over a limit before they are read."""
    if len(data) > size_max:
        raise PeerError("TOO_LARGE", f"send at most {size_max} bytes", field=field)


def _check_length(update: AdmittedUpdate, payload: bytes | memoryview) -> None:
    """Refuse a payload that is not as long as it should be."""
    if len(payload) != update.submission.payload_size:
        raise PeerError("LENGTH", "send as many bytes as the submission names", field="payload")


def _check_hash(update: AdmittedUpdate, payload: bytes | memoryview) -> None:
    """Refuse a payload other than the one that was signed for."""
    if sha256(payload) != update.submission.payload_digest:
        raise hash_refusal()


def hash_refusal(chunk: int = 0) -> PeerError:
    """Return the refusal of bytes that do not have the hash that was signed."""
    hint = "send the bytes whose SHA-256 the submission or its manifest names"
    return PeerError("CHUNK_HASH", hint, field="payload", offset=chunk * oms.CHUNK_SIZE)


def _check_manifest(claim: Submission, manifest: bytes) -> tuple[bytes, ...]:
    """Return the chunk digests that the claim binds."""
    if claim.manifest_digest is None:
        if manifest:
            hint = "a payload of one chunk has no manifest"
            raise PeerError("STMT_UNBOUND", hint, field="manifest")
        return (claim.payload_digest,)
    if sha256(manifest) != claim.manifest_digest:
        hint = "send the statement whose SHA-256 the submission names"
        raise PeerError("STMT_DIGEST", hint, field="manifest")
    try:
        parsed = oms.parse_manifest(manifest, size_max=MANIFEST_SIZE_BYTES_MAX)
    except PeerError as error:
        raise _placed(error, "manifest", nested=True) from None
    if parsed.size != claim.payload_size:
        raise PeerError("STMT_SHARDS", "list chunks for the whole payload", field="manifest")
    return parsed.chunk_digests


def _check_provenance(claim: Submission, provenance: bytes) -> bytes:
    """Return the provenance statement after comparing it with the claim."""
    if claim.provenance_digest is None:
        if provenance:
            hint = "name the statement's SHA-256 in the submission, or leave it out"
            raise PeerError("STMT_UNBOUND", hint, field="provenance")
        return provenance
    if sha256(provenance) != claim.provenance_digest:
        hint = "send the statement whose SHA-256 the submission names"
        raise PeerError("STMT_DIGEST", hint, field="provenance")
    try:
        told = slsa.parse(provenance, size_max=PROVENANCE_SIZE_BYTES_MAX)
    except PeerError as error:
        raise _placed(error, "provenance", nested=True) from None
    if (told.task, told.base_version, told.base_digest, told.builder) != (
        claim.task,
        claim.base_version,
        claim.base_digest,
        claim.contributor,
    ):
        hint = "task, base and builder must be those of the submission"
        raise PeerError("STMT_MISMATCH", hint, field="provenance")
    return provenance
