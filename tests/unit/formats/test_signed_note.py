import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.crypto.signing import SigningKey
from seawall.errors import PeerError
from seawall.formats.signed_note import (
    COSIGNATURE_V1,
    ED25519,
    NOTE_BYTES_MAX,
    NoteKey,
    NoteSignature,
    decode_base64,
    encode_base64,
    format_line,
    format_note,
    is_key_name,
    key_hash,
    parse,
    sign,
    verify_note,
)
from tests.unit.crypto.golden import read_bytes

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
GO_NOTE = read_bytes("log/peter_enoch.note")
TEXT, LINES = GO_NOTE[: GO_NOTE.rindex(b"\n\n") + 1], GO_NOTE.splitlines(keepends=True)[3:]

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(is_key_name)
TEXTS = st.text(st.characters(codec="utf-8", min_codepoint=0x20) | st.just("\n"), max_size=40)


def code_of(note: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        parse(note)
    return caught.value.code


# ------------------------------------------------------------------------------- published vectors


def test_note_of_the_go_checksum_database() -> None:
    note = parse(GO_NOTE)
    assert note.text == TEXT
    assert [s.name for s in note.signatures] == ["PeterNeumann", "EnochRoot"]
    peter, enoch = NoteKey.parse(PETER), NoteKey.parse(ENOCH)
    assert verify_note(note, [peter]) == [peter]
    assert verify_note(note, [enoch, peter]) == [enoch, peter]
    assert format_note(note.text, note.signatures) == GO_NOTE


def test_signing_writes_the_note_of_the_go_checksum_database() -> None:
    # PRIVATE+KEY+PeterNeumann+c74f20a3+AYEK…: a type byte, then the seed.
    secret = decode_base64(b"AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
    assert secret is not None
    key = SigningKey.from_seed(secret[1:])
    assert format_line(sign(TEXT, "PeterNeumann", key)) == LINES[0]
    assert NoteKey("PeterNeumann", key.public).encode() == PETER


def test_note_of_the_specification() -> None:
    key = NoteKey.parse(FOO)
    assert verify_note(parse(read_bytes("log/c2sp_example.note")), [key]) == [key]


@pytest.mark.parametrize("vkey", [PETER, ENOCH, FOO, REMORA])
def test_published_verifier_keys(vkey: str) -> None:
    key = NoteKey.parse(vkey)
    assert key.encode() == vkey
    assert key.key_hash().hex() == vkey.split("+")[1]
    assert key.signature_type == (COSIGNATURE_V1 if vkey == REMORA else ED25519)


def test_no_part_of_a_verifier_key_is_a_verifier_key() -> None:
    for start in range(len(PETER)):
        for stop in range(start + 1, len(PETER) + 1):
            if stop - start < len(PETER):
                with pytest.raises(PeerError):
                    NoteKey.parse(PETER[start:stop])


@pytest.mark.parametrize(
    ("vkey", "code"),
    [
        ("", "LOG_VKEY"),
        ("PeterNeumann+c74f20a3", "LOG_VKEY"),
        (PETER.replace("PeterNeumann", "Peter Neumann"), "LOG_VKEY"),
        (PETER.replace("PeterNeumann", ""), "LOG_VKEY"),
        (PETER[:-1] + "é", "LOG_VKEY"),
        (PETER + "BADKEY==", "LOG_VKEY"),
        ("a+00000000+", "LOG_VKEY_TYPE"),
        ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "LOG_VKEY_TYPE"),
        ("PeterNeumann+c74f20a3+ARpc", "LOG_VKEY"),
        (PETER.replace("c74f20a3", "c74f20a4"), "LOG_VKEY_HASH"),
        (PETER.replace("c74f20a3", "C74F20A3"), "LOG_VKEY_HASH"),
        (PETER.replace("PeterNeumann", "PeterNeumanN"), "LOG_VKEY_HASH"),
    ],
)
def test_malformed_verifier_keys(vkey: str, code: str) -> None:
    with pytest.raises(PeerError) as caught:
        NoteKey.parse(vkey)
    assert (caught.value.code, caught.value.field) == (code, "vkey")


# --------------------------------------------------------------------------------------- signatures


def test_unknown_keys_are_ignored_even_when_they_share_a_name_or_an_id() -> None:
    key, other = SigningKey.from_seed(b"k" * 32), SigningKey.from_seed(b"o" * 32)
    ours = NoteKey("log", key.public)
    good = sign(b"text\n", "log", key)
    same_name = sign(b"other\n", "log", other)
    same_id = NoteSignature("gol", good.key_hash, bytes(64))
    note = parse(format_note(b"text\n", [same_name, same_id, good]))
    assert verify_note(note, [ours]) == [ours]
    with pytest.raises(PeerError) as caught:
        verify_note(parse(format_note(b"text\n", [same_name, same_id])), [ours])
    assert caught.value.code == "LOG_NOTE_UNSIGNED"


def test_bad_signature_of_a_known_key_is_refused_even_beside_a_good_one() -> None:
    key = SigningKey.from_seed(b"k" * 32)
    good = sign(b"text\n", "log", key)
    for blob in (good.signature[:-1], good.signature + b"\x00", bytes(64), b"\x00"):
        bad = NoteSignature("log", good.key_hash, blob)
        for order in ([bad], [bad, good], [good, bad]):
            with pytest.raises(PeerError) as caught:
                verify_note(parse(format_note(b"text\n", order)), [NoteKey("log", key.public)])
            assert caught.value.code == "LOG_NOTE_SIGNATURE"


def test_no_known_key_at_all() -> None:
    with pytest.raises(PeerError) as caught:
        verify_note(parse(GO_NOTE), [])
    assert caught.value.code == "LOG_NOTE_UNSIGNED"


def test_cosignature_keys_are_not_verified_here() -> None:
    with pytest.raises(AssertionError):
        verify_note(parse(GO_NOTE), [NoteKey.parse(REMORA)])


@given(name=NAMES, text=TEXTS, other=TEXTS)
def test_a_signed_note_reads_back_and_binds_its_text(name: str, text: str, other: str) -> None:
    key = SigningKey.from_seed(b"k" * 32)
    body = (text + "\n").encode()
    note = parse(format_note(body, [sign(body, name, key)]))
    assert note.text == body
    ours = NoteKey(name, key.public)
    assert verify_note(note, [ours]) == [ours]
    if other != text:
        changed = format_note((other + "\n").encode(), note.signatures)
        with pytest.raises(PeerError) as caught:
            verify_note(parse(changed), [ours])
        assert caught.value.code == "LOG_NOTE_SIGNATURE"


def test_key_hash_separates_name_type_and_key() -> None:
    hashes = {
        key_hash(name, kind, public)
        for name in ("a", "ab")
        for kind in (ED25519, COSIGNATURE_V1)
        for public in (bytes(32), b"\x01" * 32)
    }
    assert len(hashes) == 8


# --------------------------------------------------------------------------------------------- form


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (b"", "LOG_NOTE_NEWLINE"),
        (TEXT, "LOG_NOTE_SEPARATOR"),
        (TEXT + b"\n", "LOG_NOTE_LINES"),
        (TEXT + LINES[0], "LOG_NOTE_SEPARATOR"),
        (GO_NOTE[:-1], "LOG_NOTE_NEWLINE"),
        (GO_NOTE + b"\n", "LOG_NOTE_LINES"),
        (b"\x01" + GO_NOTE, "LOG_NOTE_CONTROL"),
        (GO_NOTE.replace(b"\n", b"\r\n"), "LOG_NOTE_CONTROL"),
        (b"\xff" + GO_NOTE, "LOG_NOTE_UTF8"),
        (b"\xc0\x80" + GO_NOTE, "LOG_NOTE_UTF8"),
        (b"\xed\xa0\x80" + GO_NOTE, "LOG_NOTE_UTF8"),
        (GO_NOTE + b"Unexpected line.\n", "LOG_NOTE_LINE"),
        (GO_NOTE.replace("— Peter".encode(), b"- Peter"), "LOG_NOTE_LINE"),
        (GO_NOTE.replace("— Peter".encode(), "—Peter".encode()), "LOG_NOTE_LINE"),
        (GO_NOTE.replace(b"PeterNeumann ", b"Peter Neumann "), "LOG_NOTE_LINE"),
        (GO_NOTE.replace(b"PeterNeumann ", b"PeterNeumann  "), "LOG_NOTE_LINE"),
        (GO_NOTE.replace(b"PeterNeumann ", b"Peter+Neumann "), "LOG_NOTE_NAME"),
        (GO_NOTE.replace(b"PeterNeumann ", b" "), "LOG_NOTE_NAME"),
        (GO_NOTE.replace(b"PeterNeumann ", "Peter\u2003Neumann ".encode()), "LOG_NOTE_NAME"),
        (GO_NOTE.replace(b"yBwJnAM=", b"yBwJnAN="), "LOG_NOTE_BASE64"),
        (GO_NOTE.replace(b"yBwJnAM=", b"yBwJnAM"), "LOG_NOTE_BASE64"),
        (GO_NOTE.replace(b"yBwJnAM=", b"yBwJnAM=="), "LOG_NOTE_BASE64"),
        (GO_NOTE.replace(b"yBwJnAM=", b"yBwJnA_="), "LOG_NOTE_BASE64"),
        (GO_NOTE.replace(b"yBwJnAM=", "yBwJnAé=".encode()), "LOG_NOTE_BASE64"),
        (TEXT + b"\n" + "— a x08gow==\n".encode(), "LOG_NOTE_BASE64"),
        (TEXT + b"\n" + LINES[0] * 101, "LOG_NOTE_LINES"),
        (b"a" * NOTE_BYTES_MAX + GO_NOTE, "LOG_NOTE_SIZE"),
    ],
)
def test_malformed_notes(note: bytes, code: str) -> None:
    assert code_of(note) == code


def test_offset_of_the_fault() -> None:
    for note, offset in (
        (b"ab\x00" + GO_NOTE, 2),
        (b"abc\xff" + GO_NOTE, 3),
        (TEXT + b"\n" + LINES[0] + b"junk\n", len(TEXT) + 1 + len(LINES[0])),
    ):
        with pytest.raises(PeerError) as caught:
            parse(note)
        assert caught.value.offset == offset


def test_up_to_100_lines_and_blank_lines_in_the_text() -> None:
    note = parse(b"a\n\n\nb\n\n" + LINES[0] * 100)
    assert note.text == b"a\n\n\nb\n"
    assert len(note.signatures) == 100


@given(junk=st.binary(max_size=60))
def test_arbitrary_bytes_never_crash_the_reader(junk: bytes) -> None:
    for note in (junk, TEXT + b"\n" + junk, TEXT + "\n— ".encode() + junk + b"\n"):
        try:
            read = parse(note)
        except PeerError:
            continue
        assert format_note(read.text, read.signatures) == note


@pytest.mark.parametrize(
    ("text", "signatures"),
    [
        (b"no newline", [NoteSignature("a", bytes(4), b"s")]),
        (b"text\n", []),
        (b"text\n", [NoteSignature("a", bytes(4), b"s")] * 101),
        (b"text\n", [NoteSignature("a b", bytes(4), b"s")]),
        (b"text\n", [NoteSignature("a", bytes(3), b"s")]),
    ],
)
def test_writing_a_malformed_note_is_our_bug(text: bytes, signatures: list[NoteSignature]) -> None:
    with pytest.raises(AssertionError):
        format_note(text, signatures)


# ------------------------------------------------------------------------------------------- base64


@given(data=st.binary(max_size=100))
def test_base64_round_trip(data: bytes) -> None:
    assert decode_base64(encode_base64(data).encode()) == data


@given(text=st.text("AQZaz09+/=\n -_", max_size=9))
def test_only_one_text_decodes_to_each_value(text: str) -> None:
    data = decode_base64(text.encode())
    assert data is None or encode_base64(data) == text


@pytest.mark.parametrize(
    "text", [b"A", b"AA", b"AAA", b"AA=", b"AA==\n", b" AA==", b"AB==", b"AAB=", b"AA==AA==", b"="]
)
def test_other_spellings_of_base64_are_refused(text: bytes) -> None:
    assert decode_base64(text) is None
