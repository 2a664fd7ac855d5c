"""Receipts: one document that proves offline what became of an update.

It holds the ledger entries that the claim rests on, each with a C2SP tlog-proof under one
checkpoint of quorum stake, and the submission's envelope where the issuing site has it. A reader
needs the chain's genesis and nothing else. Every byte of the document matters: it is canonical
JSON without members, signature lines or proof parts that nobody checks, so no two documents that
differ say the same.

Source: docs/receipt.md.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import leaf_hash, verify_inclusion
from seawall.crypto.signing import key_id
from seawall.domain.genesis import Contributor, Genesis
from seawall.errors import PeerError
from seawall.formats import dsse, jcs, signed_note, tlog_proof
from seawall.formats import entry as entries
from seawall.formats import genesis as genesis_format
from seawall.formats import submission as submissions
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import Cosigner, verify_quorum

RECEIPT_BYTES_MAX: Final = 1 << 20
ENVELOPE_BYTES_MAX: Final = 1 << 16
ENTRIES_MAX: Final = 3
"""Update, cut (or `dropped`), version."""

USABLE: Final = "usable"
FINAL: Final = "final"


class ProvenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry, byte for byte, with its tlog-proof."""

    entry: str
    proof: str


class _Spec(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    """What a receipt says."""

    entries: tuple[ProvenEntry, ...]
    origin: str
    update_id: str
    envelope: str | None = None


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A receipt."""

    api_version: str
    kind: str
    spec: _Spec


class Verified(msgspec.Struct, frozen=True):
    """What a receipt proves.

    Attributes:
        update: the entry of the update.
        index: its place in the log.
        checkpoint: the tree of the log that quorum stake has signed.
        submission: what the contributor signed; None when the receipt has no envelope.
        contributor: the enrolled owner of the update.
        cut: the cut that selected or dropped the update, where the receipt shows it.
        version: the usable or final version that it went into, where the receipt shows it.
        dropped: why a cut dropped the update, None when it did not.

    """

    update: entries.UpdateEntry
    index: int
    checkpoint: Checkpoint
    submission: submissions.Submission | None
    contributor: Contributor
    cut: entries.CutEntry | entries.DroppedEntry | None
    version: entries.VersionEntry | None
    dropped: str | None


_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(_Document).decode


def encode_receipt(
    origin: str,
    update_id: bytes,
    proven: Sequence[tuple[bytes, bytes]],
    envelope: bytes | None = None,
) -> bytes:
    """Return a receipt document.

    Args:
        origin: name of the chain.
        update_id: the update, 32 bytes.
        proven: pairs of entry and tlog-proof: the update's first, then the cut's and the
            version's; all proofs carry the same checkpoint note.
        envelope: the submission's DSSE envelope as `dsse.encode` writes it, if it is at hand.

    """
    pairs = tuple(ProvenEntry(entry.decode(), proof.decode()) for entry, proof in proven)
    spec = _Spec(pairs, origin, update_id.hex(), None if envelope is None else envelope.decode())
    return _encode(_Document(entries.API_VERSION, "receipt", spec))


def with_envelope(document: bytes, envelope: bytes) -> bytes:
    """Return a receipt with the sender's own envelope in the place of what stood there.

    Raises PeerError as `verify_receipt` does for a document that cannot be read.
    """
    spec = _read(document).spec
    pairs = [(one.entry.encode(), one.proof.encode()) for one in spec.entries]
    canonical = dsse.encode(dsse.decode(envelope, size_max=ENVELOPE_BYTES_MAX))
    return encode_receipt(spec.origin, _hex(spec.update_id), pairs, canonical)


class ReceiptVerifier:
    """Verifies receipts of one chain; reads its genesis once."""

    def __init__(self, genesis_bytes: bytes) -> None:
        """Trust this genesis, in its canonical bytes.

        Raises:
            PeerError: GENESIS_*, KEY_* and JSON_* when it cannot be read.

        """
        self._genesis = genesis_format.decode(genesis_bytes)
        self._origin = genesis_format.origin(genesis_bytes)
        self._owners = {
            key_id(person.public_key).hex(): person for person in self._genesis.contributors
        }

    def verify(self, document: bytes, payload: bytes | None = None) -> Verified:
        """Return what a receipt proves; see `verify_receipt`."""
        spec = _read(document).spec
        if spec.origin != self._origin:
            raise PeerError(
                "RECEIPT_ORIGIN", "this receipt is of another chain", field="spec.origin"
            )
        checkpoint, places, parsed = _prove(spec, self._genesis, self._origin)
        update = parsed[0]
        if not isinstance(update, entries.UpdateEntry) or update.update_id != spec.update_id:
            hint = "the first entry is that of the named update"
            raise PeerError("RECEIPT_UPDATE", hint, field="spec.entries[0]")
        contributor = self._owners.get(update.contributor)
        if contributor is None:
            hint = "its contributor is not enrolled in this genesis"
            raise PeerError("RECEIPT_KEY", hint, field="spec.entries[0]")
        submission = None
        if spec.envelope is not None:
            submission = _submission(spec.envelope, update, contributor)
            if submission.origin != self._origin:
                raise PeerError("RECEIPT_ORIGIN", "signed for another chain", field="spec.envelope")
        cut, dropped = _cut(update, parsed[1:])
        version = _version(cut, dropped, parsed, places)
        if payload is not None:
            _check_payload(update, payload)
        return Verified(
            update=update,
            index=places[0],
            checkpoint=checkpoint,
            submission=submission,
            contributor=contributor,
            cut=cut,
            version=version,
            dropped=dropped,
        )


def verify_receipt(document: bytes, genesis_bytes: bytes, payload: bytes | None = None) -> Verified:
    """Return what a receipt proves, from its bytes and the chain's genesis alone.

    Args:
        document: the receipt, at most 1 MiB.
        genesis_bytes: canonical genesis of the chain that the reader trusts.
        payload: the update's safetensors file, where the reader has it.

    Raises:
        PeerError: RECEIPT_SIZE, RECEIPT_FORM, RECEIPT_ORIGIN, RECEIPT_UPDATE, RECEIPT_CHECKPOINT,
            RECEIPT_PROOF, RECEIPT_KEY, RECEIPT_ENVELOPE, RECEIPT_RECORD, RECEIPT_CUT,
            RECEIPT_VERSION or RECEIPT_PAYLOAD, with the field, and the deeper error as its cause.
            As `ReceiptVerifier` for the genesis; use that one for more than one receipt.

    """
    return ReceiptVerifier(genesis_bytes).verify(document, payload)


def _read(document: bytes) -> _Document:
    """Return the parts of a document, which must be canonical."""
    if len(document) > RECEIPT_BYTES_MAX:
        hint = f"a receipt has at most {RECEIPT_BYTES_MAX} bytes"
        raise PeerError("RECEIPT_SIZE", hint, offset=RECEIPT_BYTES_MAX)
    try:
        jcs.parse_canonical(document, size_max=RECEIPT_BYTES_MAX)
        read = _decode(document)
    except PeerError as error:
        hint = "a receipt is canonical JSON"
        raise PeerError("RECEIPT_FORM", hint, offset=error.offset) from error
    except msgspec.ValidationError:
        hint = "a receipt has exactly the members of docs/receipt.md"
        raise PeerError("RECEIPT_FORM", hint, field="spec") from None
    if (read.api_version, read.kind) != (entries.API_VERSION, "receipt"):
        hint = f"this is a receipt of {entries.API_VERSION}"
        raise PeerError("RECEIPT_FORM", hint, field="kind")
    if not 1 <= len(read.spec.entries) <= ENTRIES_MAX:
        hint = f"a receipt proves 1 to {ENTRIES_MAX} entries"
        raise PeerError("RECEIPT_FORM", hint, field="spec.entries")
    return read


def _prove(
    spec: _Spec, genesis: Genesis, origin: str
) -> tuple[Checkpoint, list[int], list[entries.Entry]]:
    """Return the checkpoint, and place and content of every entry, all proven."""
    try:
        proofs = [tlog_proof.parse(one.proof.encode()) for one in spec.entries]
    except PeerError as error:
        hint = "every proof is a C2SP tlog-proof"
        raise PeerError("RECEIPT_PROOF", hint, field="spec.entries") from error
    note = proofs[0].checkpoint
    if any(proof.extra is not None for proof in proofs):
        hint = "the proofs of a receipt have no extra data"
        raise PeerError("RECEIPT_PROOF", hint, field="spec.entries")
    if any(proof.checkpoint != note for proof in proofs):
        hint = "all proofs of a receipt are under one checkpoint"
        raise PeerError("RECEIPT_CHECKPOINT", hint, field="spec.entries")
    checkpoint = _checkpoint(note, genesis, origin)
    parsed = []
    for at, (one, proof) in enumerate(zip(spec.entries, proofs, strict=True)):
        entry = one.entry.encode()
        try:
            root, size = checkpoint.root, checkpoint.size
            verify_inclusion(leaf_hash(entry), proof.index, size, proof.hashes, root)
            parsed.append(entries.parse(entry))
        except PeerError as error:
            hint = "the entry is not in the tree that quorum stake has signed"
            raise PeerError("RECEIPT_PROOF", hint, field=f"spec.entries[{at}]") from error
    return checkpoint, [proof.index for proof in proofs], parsed


def _checkpoint(note: bytes, genesis: Genesis, origin: str) -> Checkpoint:
    """Return the checkpoint of a note that quorum stake has signed, and nobody else."""
    committee = genesis.committee(origin)
    cosigners: list[Cosigner] = [
        (member.cosigner_name, member.cosigner_key, member.stake) for member in committee.members
    ]
    try:
        checkpoint = verify_quorum(note, origin, genesis.log_key, cosigners, committee.quorum)
    except PeerError as error:
        hint = "the checkpoint is not signed by the log and quorum stake"
        raise PeerError("RECEIPT_CHECKPOINT", hint, field="spec.entries") from error
    known = [(origin, signed_note.key_hash(origin, signed_note.ED25519, genesis.log_key))]
    for name, public, _ in cosigners:
        known.append((name, signed_note.key_hash(name, signed_note.COSIGNATURE_V1, public)))
    lines = [(line.name, line.key_hash) for line in signed_note.parse(note).signatures]
    # In the order of the committee, each once: so there is one note per set of cosigners.
    if lines != [one for one in known if one in lines]:
        hint = "a receipt's checkpoint has the log's line and those of sites, in order, no others"
        raise PeerError("RECEIPT_CHECKPOINT", hint, field="spec.entries")
    return checkpoint


def _submission(
    envelope: str, update: entries.UpdateEntry, contributor: Contributor
) -> submissions.Submission:
    """Return the submission in an envelope, which must be the update's."""
    try:
        decoded = dsse.decode(envelope.encode(), size_max=ENVELOPE_BYTES_MAX)
        signed = dsse.verify_one(decoded, submissions.PAYLOAD_TYPE, contributor.public_key)
        submission = submissions.from_payload(signed)
    except PeerError as error:
        hint = "the envelope is not a submission signed by the update's contributor"
        raise PeerError("RECEIPT_ENVELOPE", hint, field="spec.envelope") from error
    if dsse.encode(decoded) != envelope.encode():
        hint = "the envelope of a receipt is canonical JSON"
        raise PeerError("RECEIPT_ENVELOPE", hint, field="spec.envelope")
    claims = (
        submissions.update_id(signed).hex(),
        submission.contributor.hex(),
        submission.payload_digest.hex(),
        submission.task,
        submission.kind,
        submission.payload_size,
        submission.base_version,
        submission.seq,
        submission.expires_height,
        submission.num_examples,
    )
    logged = (
        update.update_id,
        update.contributor,
        update.payload,
        update.task,
        update.kind,
        update.payload_size,
        update.base_version,
        update.seq,
        update.expires_height,
        update.num_examples,
    )
    if claims != logged:
        hint = "the entry says something else than what the contributor signed"
        raise PeerError("RECEIPT_RECORD", hint, field="spec.envelope")
    return submission


def _cut(
    update: entries.UpdateEntry, others: Sequence[entries.Entry]
) -> tuple[entries.CutEntry | entries.DroppedEntry | None, str | None]:
    """Return the cut that decided on an update, and why it dropped it if it did."""
    if not others:
        return None, None
    cut = others[0]
    if isinstance(cut, entries.CutEntry | entries.DroppedEntry) and cut.task == update.task:
        if isinstance(cut, entries.CutEntry):
            selected = [one.update_id for one in cut.updates]
            if update.update_id in (*selected, cut.root):
                return cut, None
        for one in cut.dropped:
            if one.update_id == update.update_id:
                return cut, one.reason
    hint = "the second entry is the cut that names the update"
    raise PeerError("RECEIPT_CUT", hint, field="spec.entries[1]")


def _version(
    cut: entries.CutEntry | entries.DroppedEntry | None,
    dropped: str | None,
    parsed: Sequence[entries.Entry],
    places: Sequence[int],
) -> entries.VersionEntry | None:
    """Return the version that a cut led to, where the receipt shows one."""
    if cut is None or len(parsed) == _WITH_CUT:
        return None
    version = parsed[_WITH_CUT]
    if (
        dropped is not None
        or not isinstance(version, entries.VersionEntry)
        or (version.task, version.version) != (cut.task, cut.version)
        or version.cut != places[1]
        or version.status not in (USABLE, FINAL)
    ):
        hint = "the third and last entry is the version that the cut led to"
        raise PeerError("RECEIPT_VERSION", hint, field="spec.entries[2]")
    return version


def _check_payload(update: entries.UpdateEntry, payload: bytes) -> None:
    """Refuse a payload that is not the update's."""
    if len(payload) != update.payload_size or sha256(payload).hex() != update.payload:
        hint = "this is not the payload that the receipt is about"
        raise PeerError("RECEIPT_PAYLOAD", hint, field="payload")


def _hex(text: str) -> bytes:
    """Return the bytes of an update id."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        hint = "an update id is 64 hex digits"
        raise PeerError("RECEIPT_FORM", hint, field="spec.updateId") from None


_WITH_CUT: Final = 2
"""Entries of a receipt that shows the update and its cut."""
