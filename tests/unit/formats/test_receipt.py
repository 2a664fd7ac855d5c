"""Receipts: what they prove, and that no byte of them may change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec
import pytest

from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import Frontier, inclusion_proof, leaf_hash, root_of
from seawall.crypto.signing import SigningKey
from seawall.domain.genesis import Genesis
from seawall.errors import PeerError
from seawall.formats import dsse, jcs, receipt, signed_note, tlog_proof
from seawall.formats import entry as entries
from seawall.formats import genesis as genesis_format
from seawall.formats import submission as submissions
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign, cosigner_line, log_line, quorum_note
from seawall.formats.record import record_of
from tests.unit.ledger.chain import LOG_KEY, digest, key, make_genesis

PAYLOAD = b"the payload" * 30
GENESIS = make_genesis(3)
GENESIS_BYTES = genesis_format.encode(GENESIS)
ORIGIN = genesis_format.origin(GENESIS_BYTES)
VERIFIER = receipt.ReceiptVerifier(GENESIS_BYTES)
OWNER = key("person 1")


def submission(**changes: object) -> submissions.Submission:
    made = submissions.Submission(
        origin=ORIGIN,
        task="digits",
        kind="delta",
        base_version=0,
        base_digest=digest("base digits"),
        contributor=sha256(OWNER.public),
        seq=7,
        expires_height=900,
        checkpoint_size=0,
        checkpoint_root=b"r" * 32,
        payload_digest=sha256(PAYLOAD),
        payload_size=len(PAYLOAD),
        manifest_digest=None,
        provenance_digest=None,
        num_examples=50,
        metrics=(("loss", 3),),
    )
    return msgspec.structs.replace(made, **changes)


@dataclass
class World:
    """Leaves of a log, and who signs its checkpoint; change a field, then ask for a receipt."""

    leaves: list[bytes]
    update_id: bytes
    envelope: bytes | None
    cosigners: Sequence[int] = (0, 1, 2)
    origin: str = ORIGIN
    log_key: SigningKey = LOG_KEY
    extra_lines: tuple[signed_note.NoteSignature, ...] = ()

    def checkpoint(self) -> Checkpoint:
        """Return the tree's head."""
        return Checkpoint(self.origin, len(self.leaves), root_of(map(leaf_hash, self.leaves)))

    def note(self) -> bytes:
        """Return the checkpoint with its signatures."""
        checkpoint = self.checkpoint()
        lines = [
            cosigner_line(
                f"site-{at}.example",
                key(f"cosigner {at}").public,
                cosign(key(f"cosigner {at}"), checkpoint.body(), 1_700_000_000),
            )
            for at in self.cosigners
        ]
        return quorum_note(
            checkpoint, log_line(checkpoint, self.log_key), [*lines, *self.extra_lines]
        )

    def proof(self, index: int, note: bytes | None = None) -> bytes:
        """Return the tlog-proof of a leaf."""
        nodes = {
            (level, at): value
            for level, at, value in Frontier().extend_with_nodes(map(leaf_hash, self.leaves))
        }
        hashes = inclusion_proof(index, len(self.leaves), lambda level, at: nodes[level, at])
        proof = tlog_proof.TlogProof(index, tuple(hashes), note or self.note())
        return tlog_proof.encode(proof)

    def receipt(self, *places: int) -> bytes:
        """Return the receipt that rests on these leaves."""
        note = self.note()
        proven = [(self.leaves[at], self.proof(at, note)) for at in places]
        return receipt.encode_receipt(self.origin, self.update_id, proven, self.envelope)


def world(**changes: object) -> World:
    """Return a log: 0 noise, 1 update, 2 cut, 3 usable, 4 final, 5 drop, 6 dropped, 7 root cut."""
    made = submission(**changes)
    sealed = submissions.seal(made, OWNER)
    update_id = submissions.update_id(submissions.to_payload(made))
    name = update_id.hex()
    rule = entries.Rule("fedavg", {}, 1)
    selected = entries.SelectedUpdate(
        made.contributor.hex(), 50, made.payload_digest.hex(), len(PAYLOAD), 0, name
    )
    dropped = entries.DroppedUpdate("STALE", name)

    def cut(
        updates: tuple[entries.SelectedUpdate, ...],
        drops: tuple[entries.DroppedUpdate, ...],
        root: str = "",
        task: str = "digits",
    ) -> entries.Entry:
        return entries.CutEntry(0, digest("base").hex(), 5, 4, drops, root, rule, task, updates, 1)

    def version(status: str, at: int, number: int = 1) -> entries.Entry:
        return entries.VersionEntry(
            5, at, digest("v1").hex(), 1000, status, "digits", number, (0, 1)
        )

    update = entries.encode_update(
        record_of(made, update_id, 0), commit=3, task="digits", site=1, batch=2
    )
    specs = [
        cut((selected,), ()),
        version("usable", 2),
        version("final", 2),
        cut((), (dropped,)),
        entries.DroppedEntry(4, (dropped,), "digits", 1),
        cut((), (), name),
        version("usable", 7),
        cut((selected,), (), "", "words"),
        cut((), ()),
        version("usable", 2, 2),
        version("retired", 2),
        cut((), (entries.DroppedUpdate("STALE", digest("another").hex()),)),
    ]
    noise = entries.encode(entries.DroppedEntry(1, (), "digits", 1))
    leaves = [noise, update, *map(entries.encode, specs)]
    return World(leaves, update_id, dsse.encode(sealed))


def refused(document: bytes, payload: bytes | None = None) -> PeerError:
    with pytest.raises(PeerError) as error:
        VERIFIER.verify(document, payload)
    assert error.value.code.startswith("RECEIPT_")
    return error.value


def test_a_receipt_proves_an_update() -> None:
    made = world()
    verified = receipt.verify_receipt(made.receipt(1), GENESIS_BYTES, PAYLOAD)
    assert verified.index == 1
    assert verified.update.update_id == made.update_id.hex()
    assert verified.submission == submission()
    assert verified.contributor.name == "person-1"
    assert verified.checkpoint == made.checkpoint()
    assert (verified.cut, verified.version, verified.dropped) == (None, None, None)


def test_without_its_envelope_a_receipt_proves_the_entry() -> None:
    made = world()
    envelope = made.envelope
    made.envelope = None
    document = made.receipt(1)
    assert receipt.verify_receipt(document, GENESIS_BYTES, None).submission is None
    assert envelope is not None
    spaced = envelope.replace(b'"payload"', b' "payload"', 1)
    whole = receipt.with_envelope(document, spaced)
    assert receipt.verify_receipt(whole, GENESIS_BYTES, PAYLOAD).submission == submission()


@pytest.mark.parametrize(
    ("places", "dropped", "status"),
    [
        ((1, 2), None, None),
        ((1, 2, 3), None, "usable"),
        ((1, 2, 4), None, "final"),
        ((1, 5), "STALE", None),
        ((1, 6), "STALE", None),
        ((1, 7), None, None),
        ((1, 7, 8), None, "usable"),
    ],
)
def test_a_receipt_shows_the_cut_and_the_version(
    places: tuple[int, ...], dropped: str | None, status: str | None
) -> None:
    verified = receipt.verify_receipt(world().receipt(*places), GENESIS_BYTES, PAYLOAD)
    assert verified.cut is not None
    assert verified.dropped == dropped
    assert (verified.version.status if verified.version else None) == status


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ((), "RECEIPT_FORM"),
        ((1, 2, 3, 4), "RECEIPT_FORM"),
        ((0,), "RECEIPT_UPDATE"),
        ((2, 1), "RECEIPT_UPDATE"),
        ((1, 3), "RECEIPT_CUT"),
        ((1, 9), "RECEIPT_CUT"),
        ((1, 10), "RECEIPT_CUT"),
        ((1, 0), "RECEIPT_CUT"),
        ((1, 2, 2), "RECEIPT_VERSION"),
        ((1, 2, 8), "RECEIPT_VERSION"),
        ((1, 2, 11), "RECEIPT_VERSION"),
        ((1, 2, 12), "RECEIPT_VERSION"),
        ((1, 5, 3), "RECEIPT_VERSION"),
        ((1, 13), "RECEIPT_CUT"),
    ],
)
def test_entries_that_do_not_belong_together_are_refused(
    places: tuple[int, ...], code: str
) -> None:
    assert refused(world().receipt(*places)).code == code


def test_another_payload_is_refused() -> None:
    document = world().receipt(1)
    assert refused(document, PAYLOAD + b"x").code == "RECEIPT_PAYLOAD"
    assert refused(document, b"y" + PAYLOAD[1:]).code == "RECEIPT_PAYLOAD"


def changed(change: Callable[[World], None]) -> bytes:
    made = world()
    change(made)
    return made.receipt(1)


def set_field(name: str, value: object) -> Callable[[World], None]:
    return lambda made: setattr(made, name, value)


STRANGER = cosigner_line("stranger", key("stranger").public, bytes(72))


def repeat_first(made: World) -> None:
    line = signed_note.parse(made.note()).signatures[1]
    made.extra_lines = (line,)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (set_field("cosigners", (0, 1)), "RECEIPT_CHECKPOINT"),
        (set_field("cosigners", (1, 0, 2)), "RECEIPT_CHECKPOINT"),
        (set_field("extra_lines", (STRANGER,)), "RECEIPT_CHECKPOINT"),
        (repeat_first, "RECEIPT_CHECKPOINT"),
        (set_field("log_key", key("another")), "RECEIPT_CHECKPOINT"),
        (set_field("origin", "seawall/0000000000000000"), "RECEIPT_ORIGIN"),
        (set_field("update_id", b"u" * 32), "RECEIPT_UPDATE"),
        (set_field("envelope", b"{}"), "RECEIPT_ENVELOPE"),
    ],
)
def test_other_signers_and_other_updates_are_refused(
    change: Callable[[World], None], code: str
) -> None:
    assert refused(changed(change)).code == code


def test_all_four_cosigners_are_fine_too() -> None:
    made = world()
    made.cosigners = (0, 1, 2, 3)
    receipt.verify_receipt(made.receipt(1), GENESIS_BYTES, PAYLOAD)


def test_an_envelope_of_somebody_else_or_about_something_else_is_refused() -> None:
    made = world()
    forged = dsse.encode(submissions.seal(submission(), key("person 2")))
    made.envelope = forged
    assert refused(made.receipt(1)).code == "RECEIPT_ENVELOPE"
    made.envelope = dsse.encode(submissions.seal(submission(seq=8), OWNER))
    assert refused(made.receipt(1)).code == "RECEIPT_RECORD"
    good = world().envelope
    assert good is not None
    made.envelope = good.replace(b'"payload"', b' "payload"', 1)
    assert refused(made.receipt(1)).code == "RECEIPT_ENVELOPE"
    other_chain = world(origin="seawall/0123456789abcdef")
    assert refused(other_chain.receipt(1)).code == "RECEIPT_ORIGIN"


def test_an_owner_who_is_not_enrolled_is_refused() -> None:
    stranger = world(contributor=digest("nobody"))
    stranger.envelope = None
    assert refused(stranger.receipt(1)).code == "RECEIPT_KEY"


def test_an_entry_that_is_no_entry_is_refused() -> None:
    made = world()
    made.leaves[1] = b"{}"
    assert refused(made.receipt(1)).code == "RECEIPT_PROOF"


def test_proofs_are_under_one_checkpoint_and_carry_nothing_else() -> None:
    made = world()
    one = made.proof(1)
    made.cosigners = (1, 2, 3)
    pairs = [(made.leaves[1], one), (made.leaves[2], made.proof(2))]
    document = receipt.encode_receipt(ORIGIN, made.update_id, pairs)
    assert refused(document).code == "RECEIPT_CHECKPOINT"
    proof = tlog_proof.parse(one)
    with_extra = tlog_proof.encode(msgspec.structs.replace(proof, extra=b"more"))
    document = receipt.encode_receipt(ORIGIN, made.update_id, [(made.leaves[1], with_extra)])
    assert refused(document).code == "RECEIPT_PROOF"
    document = receipt.encode_receipt(ORIGIN, made.update_id, [(made.leaves[1], b"no proof")])
    assert refused(document).code == "RECEIPT_PROOF"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b" " * ((1 << 20) + 1), "RECEIPT_SIZE"),
        (b"", "RECEIPT_FORM"),
        (b"[]", "RECEIPT_FORM"),
        (b"{}", "RECEIPT_FORM"),
        (b'{"a":1,"a":1}', "RECEIPT_FORM"),
    ],
)
def test_what_is_no_receipt_is_refused(document: bytes, code: str) -> None:
    assert refused(document).code == code


def edited(path: Sequence[str], value: object) -> bytes:
    tree = jcs.parse_canonical(world().receipt(1), size_max=1 << 20)
    place = tree
    for name in path[:-1]:
        assert isinstance(place, dict)
        place = place[name]
    assert isinstance(place, dict)
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value  # type: ignore[assignment]  # hostile on purpose
    return jcs.canonical(tree)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("apiVersion",), "seawall.dev/v2"),
        (("kind",), "Receipt"),
        (("more",), 1),
        (("spec", "more"), 1),
        (("spec", "origin"), None),
        (("spec", "entries"), "none"),
        (("spec", "entries"), [{"entry": "{}"}]),
    ],
)
def test_documents_of_another_form_are_refused(path: Sequence[str], value: object) -> None:
    assert refused(edited(path, value)).code == "RECEIPT_FORM"


def test_an_envelope_cannot_be_put_into_what_is_no_receipt() -> None:
    envelope = world().envelope
    assert envelope is not None
    with pytest.raises(PeerError, match="RECEIPT_FORM"):
        receipt.with_envelope(edited(("spec", "updateId"), "xyz"), envelope)


@cache
def aggregated() -> bytes:
    return world().receipt(1, 2, 3)


def flip(document: bytes, at: int) -> bytes:
    data = bytearray(document)
    data[at] ^= 1 << at % 7
    return bytes(data)


def test_no_byte_may_change() -> None:
    document = world().receipt(1)
    receipt.verify_receipt(document, GENESIS_BYTES, PAYLOAD)
    for at in range(len(document)):
        refused(flip(document, at), PAYLOAD)


def test_no_byte_of_an_aggregated_receipt_may_change() -> None:
    document = aggregated()
    receipt.verify_receipt(document, GENESIS_BYTES, PAYLOAD)
    for at in range(0, len(document), 31):
        refused(flip(document, at), PAYLOAD)


def test_no_byte_may_be_missing_or_added() -> None:
    document = aggregated()
    for at in range(0, len(document), 61):
        refused(document[:at])
        refused(document[:at] + document[at + 1 :])
        refused(document[:at] + b" " + document[at:])


def test_the_genesis_decides_whom_to_trust() -> None:
    sites = list(GENESIS.sites)
    sites[0] = msgspec.structs.replace(sites[0], cosigner_key=key("thief").public)
    forged = genesis_format.encode(
        Genesis(
            **{
                name: getattr(GENESIS, name)
                for name in GENESIS.__dataclass_fields__
                if name != "sites"
            },
            sites=tuple(sites),
        )
    )
    with pytest.raises(PeerError, match="RECEIPT_ORIGIN"):
        receipt.verify_receipt(aggregated(), forged, None)
