import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.signing import verify
from seawall.errors import LocalError, PeerError
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import (
    Cosigner,
    cosign,
    cosigner_line,
    log_line,
    message,
    quorum_note,
    verify_cosignature,
    verify_quorum,
)
from seawall.formats.signed_note import NoteKey, NoteSignature, format_note, parse, sign
from tests.unit.crypto.golden import read_bytes
from tests.unit.formats.log_fixture import (
    COSIGNER_KEYS,
    COSIGNERS,
    LOG_KEY,
    NAMES,
    ORIGIN,
    TIME_S,
    checkpoint,
    note,
)

BODY = checkpoint().body()
KEY = COSIGNER_KEYS[0]
GARDEN = "transparency.dev/DEV:witness-little-garden"
LOG_LINE = log_line(checkpoint(), LOG_KEY)


def line(site: int) -> NoteSignature:
    blob = cosign(COSIGNER_KEYS[site], BODY, TIME_S)
    return cosigner_line(NAMES[site], COSIGNER_KEYS[site].public, blob)


def code_of(
    text: bytes,
    *,
    origin: str = ORIGIN,
    log_key: bytes = LOG_KEY.public,
    cosigners: list[Cosigner] = COSIGNERS,
    quorum: int = 7,
    latest_s: int | None = None,
) -> str:
    with pytest.raises(PeerError) as caught:
        verify_quorum(text, origin, log_key, cosigners, quorum, latest_s=latest_s)
    return caught.value.code


# ------------------------------------------------------------------------------- published vectors


def test_message_of_the_specification() -> None:
    body = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert message(body, 1679315147) == b"cosignature/v1\ntime 1679315147\n" + body


def test_checkpoint_of_a_public_log_with_its_witnesses() -> None:
    log = NoteKey.parse(
        "arche2025h1.staging.ct.transparency.dev"
        "+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
    )
    vkeys = (
        "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
        f"{GARDEN}+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
        "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    )
    witnesses = [NoteKey.parse(vkey) for vkey in vkeys]
    text = read_bytes("log/arche2025h1.note")
    policy = [(key.name, key.public, 1) for key in witnesses]
    state = verify_quorum(text, log.name, log.public, policy, 4)
    assert (state.origin, state.size) == (log.name, 1432088532)
    clobbered = text.replace(b"1432088532", b"1432088533")
    assert code_of(clobbered, origin=log.name, log_key=log.public) == "LOG_NOTE_SIGNATURE"


# --------------------------------------------------------------------------------- one cosignature


@given(time_s=st.integers(min_value=0, max_value=2**63 - 1))
def test_round_trip(time_s: int) -> None:
    blob = cosign(KEY, BODY, time_s)
    assert len(blob) == 72
    assert blob[:8] == time_s.to_bytes(8, "big")
    assert verify(KEY.public, message(BODY, time_s), blob[8:])
    assert verify_cosignature("site", KEY.public, BODY, blob) == time_s


@given(place=st.integers(min_value=0, max_value=71), flip=st.integers(min_value=1, max_value=255))
def test_no_changed_byte_survives(place: int, flip: int) -> None:
    blob = bytearray(cosign(KEY, BODY, TIME_S))
    blob[place] ^= flip
    with pytest.raises(PeerError) as caught:
        verify_cosignature("site", KEY.public, BODY, bytes(blob))
    assert caught.value.code in {"LOG_COSIGNATURE_BAD", "LOG_COSIGNATURE_TIME"}
    assert caught.value.field == "site"


def test_refused_cosignatures() -> None:
    good = cosign(KEY, BODY, TIME_S)
    beyond = (2**63).to_bytes(8, "big") + KEY.sign(message(BODY, 2**63))
    cases = {
        good[:71]: "LOG_COSIGNATURE_LENGTH",
        good + b"\x00": "LOG_COSIGNATURE_LENGTH",
        b"": "LOG_COSIGNATURE_LENGTH",
        beyond: "LOG_COSIGNATURE_TIME",
        cosign(COSIGNER_KEYS[1], BODY, TIME_S): "LOG_COSIGNATURE_BAD",
        cosign(KEY, BODY + b"\n", TIME_S): "LOG_COSIGNATURE_BAD",
        good[:8] + KEY.sign(BODY): "LOG_COSIGNATURE_BAD",
    }
    for blob, code in cases.items():
        with pytest.raises(PeerError) as caught:
            verify_cosignature("site", KEY.public, BODY, blob)
        assert caught.value.code == code


def test_time_limit_is_inclusive() -> None:
    blob = cosign(KEY, BODY, TIME_S)
    assert verify_cosignature("site", KEY.public, BODY, blob, latest_s=TIME_S) == TIME_S
    with pytest.raises(PeerError) as caught:
        verify_cosignature("site", KEY.public, BODY, blob, latest_s=TIME_S - 1)
    assert caught.value.code == "LOG_COSIGNATURE_TIME"


def test_our_own_mistakes() -> None:
    for time_s in (-1, 2**63):
        with pytest.raises(AssertionError):
            cosign(KEY, BODY, time_s)
    with pytest.raises(AssertionError):
        cosigner_line("site", KEY.public, bytes(71))


# ------------------------------------------------------------------------------------------- quorum


@given(sites=st.lists(st.sampled_from(range(4)), max_size=6), quorum=st.integers(1, 11))
def test_stake_of_distinct_cosigners_decides(sites: list[int], quorum: int) -> None:
    text = note(*sites)
    stake = sum(COSIGNERS[i][2] for i in range(4) if i in sites)
    if stake >= quorum:
        assert verify_quorum(text, ORIGIN, LOG_KEY.public, COSIGNERS, quorum) == checkpoint()
    else:
        assert code_of(text, quorum=quorum) == "LOG_QUORUM"


def test_a_second_line_of_one_cosigner_adds_no_stake() -> None:
    later = cosigner_line(NAMES[3], COSIGNER_KEYS[3].public, cosign(COSIGNER_KEYS[3], BODY, 7))
    text = quorum_note(checkpoint(), LOG_LINE, [line(3), later, line(3)])
    assert code_of(text, quorum=5) == "LOG_QUORUM"
    assert verify_quorum(text, ORIGIN, LOG_KEY.public, COSIGNERS, 4) == checkpoint()


def test_one_bad_line_refuses_the_note_whatever_the_stake() -> None:
    bad = NoteSignature(NAMES[0], line(0).key_hash, cosign(COSIGNER_KEYS[1], BODY, TIME_S))
    for lines in ([line(3), line(2), bad], [bad, line(3), line(2)]):
        assert code_of(quorum_note(checkpoint(), LOG_LINE, lines)) == "LOG_COSIGNATURE_BAD"


def test_plain_signatures_and_foreign_keys_add_no_stake() -> None:
    plain = [sign(BODY, NAMES[i], COSIGNER_KEYS[i]) for i in range(4)]
    assert code_of(quorum_note(checkpoint(), LOG_LINE, plain), quorum=1) == "LOG_QUORUM"
    stranger = cosigner_line("stranger", LOG_KEY.public, cosign(LOG_KEY, BODY, TIME_S))
    assert code_of(quorum_note(checkpoint(), LOG_LINE, [stranger]), quorum=1) == "LOG_QUORUM"
    # One site's cosignature under another's name: the key id differs, so the line is unknown.
    lent = cosigner_line(NAMES[0], COSIGNER_KEYS[3].public, cosign(COSIGNER_KEYS[3], BODY, TIME_S))
    assert code_of(quorum_note(checkpoint(), LOG_LINE, [lent]), quorum=1) == "LOG_QUORUM"


def test_the_log_itself_must_sign() -> None:
    assert code_of(format_note(BODY, [line(2), line(3)])) == "LOG_NOTE_UNSIGNED"
    assert code_of(note(2, 3), log_key=KEY.public) == "LOG_NOTE_UNSIGNED"
    forged = NoteSignature(ORIGIN, LOG_LINE.key_hash, bytes(64))
    for lines in ([forged, line(2), line(3)], [LOG_LINE, line(2), line(3), forged]):
        assert code_of(format_note(BODY, lines)) == "LOG_NOTE_SIGNATURE"


def test_another_log_or_another_checkpoint() -> None:
    assert code_of(note(2, 3), origin="seawall/other") == "LOG_ORIGIN"
    other = Checkpoint(ORIGIN, 300, bytes(32))
    lines = parse(note(2, 3)).signatures
    assert code_of(format_note(other.body(), lines)) == "LOG_NOTE_SIGNATURE"
    resigned = quorum_note(other, log_line(other, LOG_KEY), lines[1:])
    assert code_of(resigned) == "LOG_COSIGNATURE_BAD"


def test_malformed_notes_and_bodies() -> None:
    assert code_of(note(2, 3)[:-1]) == "LOG_NOTE_NEWLINE"
    extended = BODY + b"extension\n"
    assert code_of(format_note(extended, [sign(extended, ORIGIN, LOG_KEY)])) == (
        "LOG_CHECKPOINT_EXTENSION"
    )


def test_future_cosignature_in_a_quorum() -> None:
    assert code_of(note(2, 3), latest_s=TIME_S - 1) == "LOG_COSIGNATURE_TIME"
    policy = (ORIGIN, LOG_KEY.public, COSIGNERS, 7)
    assert verify_quorum(note(2, 3), *policy, latest_s=TIME_S) == checkpoint()


@pytest.mark.parametrize(
    ("cosigners", "quorum"),
    [
        ([*COSIGNERS, (NAMES[0], LOG_KEY.public, 1)], 7),
        ([*COSIGNERS, ("another name", COSIGNER_KEYS[0].public, 1)], 7),
        ([(NAMES[0], COSIGNER_KEYS[0].public, -1)], 7),
        (COSIGNERS, 0),
    ],
)
def test_unsound_policy_is_our_callers_fault(cosigners: list[Cosigner], quorum: int) -> None:
    with pytest.raises(LocalError) as caught:
        verify_quorum(note(0, 1, 2, 3), ORIGIN, LOG_KEY.public, cosigners, quorum)
    assert caught.value.code == "LOG_POLICY"
