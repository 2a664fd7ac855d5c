from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import PeerError
from seawall.formats.checkpoint import SIZE_MAX
from seawall.formats.signed_note import NOTE_BYTES_MAX
from seawall.formats.tlog_proof import ProvenEntry, TlogProof, encode, parse, verify
from tests.unit.crypto.golden import read_bytes
from tests.unit.formats.log_fixture import COSIGNERS, ENTRIES, LOG_KEY, ORIGIN, checkpoint, proof

POLICY: dict[str, Any] = {
    "origin": ORIGIN,
    "log_key": LOG_KEY.public,
    "cosigners": COSIGNERS,
    "quorum_stake": 7,
}
PROOF = proof(77, 2, 3)
TEXT = encode(PROOF)
HEADER = b"c2sp.org/tlog-proof@v1\n"
HASH = b"gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)


def code_of(text: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        parse(text)
    return caught.value.code


def test_form_of_the_specification() -> None:
    text = HEADER + b"extra YWdl\nindex 73894\n" + HASH * 5 + b"\nexample.com/fancylog\n109482\n"
    read = parse(text)
    assert (read.index, read.extra, len(read.hashes)) == (73894, b"age", 5)
    assert read.checkpoint == b"example.com/fancylog\n109482\n"
    assert encode(read) == text


def test_committed_proof_still_verifies() -> None:
    text = read_bytes("log/entry_77.tlog-proof")
    assert text == TEXT
    assert verify(text, ENTRIES[77], **POLICY) == ProvenEntry(77, checkpoint())


@pytest.mark.parametrize("index", [0, 1, 128, 255, 256, 299])
def test_every_entry_is_proven(index: int) -> None:
    proven = verify(encode(proof(index, 1, 2, 3)), ENTRIES[index], **POLICY)
    assert (proven.index, proven.checkpoint.size) == (index, 300)


def test_log_of_one_entry_needs_no_hash() -> None:
    text = encode(proof(0, 2, 3, size=1))
    assert text.startswith(HEADER + b"index 0\n\n" + ORIGIN.encode())
    assert verify(text, ENTRIES[0], **POLICY).checkpoint.size == 1


@given(
    index=st.integers(min_value=0, max_value=SIZE_MAX),
    hashes=HASHES,
    checkpoint=st.binary(max_size=40),
    extra=st.none() | st.binary(min_size=1, max_size=40),
)
def test_round_trip(
    index: int, hashes: tuple[bytes, ...], checkpoint: bytes, extra: bytes | None
) -> None:
    value = TlogProof(index, hashes, checkpoint, extra)
    assert parse(encode(value)) == value


@given(junk=st.binary(max_size=60))
def test_arbitrary_bytes_never_crash_the_reader(junk: bytes) -> None:
    for text in (junk, HEADER + junk, HEADER + b"index 1\n" + junk + b"\n\n"):
        try:
            value = parse(text)
        except PeerError:
            continue
        assert encode(value) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "LOG_PROOF_HEADER"),
        (b"c2sp.org/tlog-proof@v2\nindex 1\n\nx", "LOG_PROOF_HEADER"),
        (b"\n\n" + TEXT, "LOG_PROOF_HEADER"),
        (TEXT.replace(b"\n", b"\r\n"), "LOG_PROOF_HEADER"),
        (HEADER + b"index 1\n" + HASH, "LOG_PROOF_SEPARATOR"),
        (HEADER + b"\nindex 1\n\n", "LOG_PROOF_INDEX"),
        (HEADER + HASH + b"\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"extra YWdl\n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"index 01\n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"index -1\n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"index \n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"Index 1\n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"index 9223372036854775808\n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"index 1\nextra YWdl\n\nx", "LOG_PROOF_HASH"),
        (HEADER + b"extra \nindex 1\n\nx", "LOG_PROOF_EXTRA"),
        (HEADER + b"extra YWd\nindex 1\n\nx", "LOG_PROOF_EXTRA"),
        (HEADER + b"extra " + b"AAAA" * 21_846 + b"\nindex 1\n\nx", "LOG_PROOF_EXTRA"),
        (HEADER + b"extra YWdl\nextra YWdl\nindex 1\n\nx", "LOG_PROOF_INDEX"),
        (HEADER + b"index 1\n" + HASH[4:] + b"\nx", "LOG_PROOF_HASH"),
        (HEADER + b"index 1\n" + b"AAAA" + HASH + b"\nx", "LOG_PROOF_HASH"),
        (HEADER + b"index 1\n " + HASH + b"\nx", "LOG_PROOF_HASH"),
        (HEADER + b"index 1\n" + HASH * 64 + b"\nx", "LOG_PROOF_LENGTH"),
        (HEADER + b"extra YWdl\nindex 1\n" + HASH * 64 + b"\nx", "LOG_PROOF_LENGTH"),
        (HEADER + b"index 1\n" + HASH * 10_000 + b"\nx", "LOG_PROOF_LENGTH"),
        (TEXT + b"x" * (NOTE_BYTES_MAX + 131_070), "LOG_PROOF_SIZE"),
    ],
)
def test_malformed_proofs(text: bytes, code: str) -> None:
    assert code_of(text) == code


def refused(text: bytes, entry: bytes = ENTRIES[77], **changes: object) -> str:
    with pytest.raises(PeerError) as caught:
        verify(text, entry, **(POLICY | changes))
    return caught.value.code


def test_what_a_proof_does_not_prove() -> None:
    other = proof(78, 2, 3)
    assert refused(TEXT, ENTRIES[78]) == "LOG_PROOF_ROOT"
    assert refused(encode(other)) == "LOG_PROOF_ROOT"
    moved = TlogProof(76, PROOF.hashes, PROOF.checkpoint)
    assert refused(encode(moved)) == "LOG_PROOF_ROOT"
    outside = TlogProof(300, PROOF.hashes, PROOF.checkpoint)
    assert refused(encode(outside)) == "LOG_PROOF_INDEX"
    padded = TlogProof(77, (*PROOF.hashes, bytes(32)), PROOF.checkpoint)
    assert refused(encode(padded)) == "LOG_PROOF_LENGTH"
    cut = TlogProof(77, PROOF.hashes[:-1], PROOF.checkpoint)
    assert refused(encode(cut)) == "LOG_PROOF_LENGTH"
    older = TlogProof(77, PROOF.hashes, proof(77, 2, 3, size=299).checkpoint)
    assert refused(encode(older)) == "LOG_PROOF_ROOT"


def test_policy_of_the_reader_decides() -> None:
    assert refused(TEXT, quorum_stake=8) == "LOG_QUORUM"
    assert refused(TEXT, origin="seawall/other") == "LOG_ORIGIN"
    assert refused(TEXT, latest_s=0) == "LOG_COSIGNATURE_TIME"
    assert refused(TEXT[:-1]) == "LOG_NOTE_NEWLINE"


def test_extra_data_is_carried_and_not_trusted() -> None:
    text = encode(TlogProof(77, PROOF.hashes, PROOF.checkpoint, b"anything"))
    assert verify(text, ENTRIES[77], **POLICY) == verify(TEXT, ENTRIES[77], **POLICY)
    assert parse(text).extra == b"anything"


@pytest.mark.parametrize(
    "value",
    [
        TlogProof(-1, (), b""),
        TlogProof(SIZE_MAX + 1, (), b""),
        TlogProof(0, (bytes(32),) * 64, b""),
        TlogProof(0, (), b"", b""),
        TlogProof(0, (), b"", bytes(65_536)),
    ],
)
def test_writing_a_malformed_proof_is_our_bug(value: TlogProof) -> None:
    with pytest.raises(AssertionError):
        encode(value)
