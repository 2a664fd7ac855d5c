import json

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from seawall.domain.block import UpdateKind, UpdateRecord
from seawall.errors import PeerError
from seawall.formats import entry as entries

text = st.text(st.characters(codec="ascii"), max_size=20)
digest = st.binary(min_size=32, max_size=32)
wide = st.integers(0, 2**48 - 1)
integer = st.integers(-(2**53) + 1, 2**53 - 1)
rule = st.builds(entries.Rule, text, st.dictionaries(text, integer, max_size=4), integer)
hexadecimal = digest.map(bytes.hex)
selected = st.builds(
    entries.SelectedUpdate, hexadecimal, integer, hexadecimal, integer, integer, hexadecimal
)
dropped = st.builds(entries.DroppedUpdate, text, hexadecimal)


def several(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=3).map(tuple)


MEMBERS: dict[object, st.SearchStrategy[object]] = {
    int: integer,
    str: text,
    entries.Rule: rule,
    entries.Leader: st.builds(entries.Leader, integer, hexadecimal, integer),
    tuple[str, ...]: several(text),
    tuple[int, ...]: several(integer),
    tuple[entries.SelectedUpdate, ...]: several(selected),
    tuple[entries.DroppedUpdate, ...]: several(dropped),
    tuple[entries.Validator, ...]: several(
        st.builds(entries.Validator, text, text, text, integer, text, integer, text)
    ),
}


def specs(kind: type[entries.Entry]) -> st.SearchStrategy[entries.Entry]:
    fields = {field.name: MEMBERS[field.type] for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


any_entry = st.one_of([specs(kind) for kind in entries.KINDS.values()])
records = st.builds(
    UpdateRecord,
    contributor=digest,
    update_id=digest,
    payload_digest=digest,
    task=st.integers(0, 9),
    kind=st.sampled_from(UpdateKind),
    seq=wide,
    base_version=st.integers(0, 2**32 - 1),
    expires_height=wide,
    payload_size_bytes=wide,
    num_examples=st.integers(0, 2**32 - 1),
)


@given(any_entry)
def test_the_encoder_writes_exactly_rfc_8785(entry: entries.Entry) -> None:
    data = entries.encode(entry)
    assert rfc8785.dumps(json.loads(data)) == data
    assert entries.parse(data) == entry
    assert entries.KINDS[entries.kind_of(data)] is type(entry)


@given(records, wide, wide, st.integers(0, 127), st.lists(st.sampled_from(["REVOKED", "EXPIRED"])))
def test_an_update_entry_says_what_the_record_says(
    record: UpdateRecord, commit: int, batch: int, site: int, taint: list[str]
) -> None:
    data = entries.encode_update(
        record, commit=commit, task="digits", site=site, batch=batch, taint=taint
    )
    spec = json.loads(data)["spec"]
    assert rfc8785.dumps(json.loads(data)) == data
    assert spec == {
        "baseVersion": record.base_version,
        "batch": batch,
        "commit": commit,
        "contributor": record.contributor.hex(),
        "expiresHeight": record.expires_height,
        "kind": {0: "delta", 1: "root"}[int(record.kind)],
        "numExamples": record.num_examples,
        "payload": record.payload_digest.hex(),
        "payloadSize": record.payload_size_bytes,
        "seq": record.seq,
        "site": site,
        "taint": taint,
        "task": "digits",
        "updateId": record.update_id.hex(),
    }


GOOD = entries.encode(entries.DroppedEntry(1, (), "digits", 2))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[" * 70_000, "ENTRY_SIZE"),
        (b"{", "JSON_TRUNCATED"),
        (GOOD.replace(b":1,", b": 1,"), "JSON_NOT_CANONICAL"),
        (GOOD.replace(b":1,", b":1.5,"), "JSON_FLOAT"),
        (GOOD.replace(b":1,", b":9007199254740993,"), "JSON_INTEGER_RANGE"),
        (GOOD.replace(b"digits", "dügits".encode()), "ENTRY_ASCII"),
        (b"[]", "ENTRY_FIELDS"),
        (b'{"apiVersion":"seawall.dev/v1","kind":"cut"}', "ENTRY_FIELDS"),
        (GOOD.replace(b"v1", b"v2"), "ENTRY_VERSION"),
        (GOOD.replace(b'"kind":"dropped"', b'"kind":"dropper"'), "ENTRY_KIND"),
        (GOOD.replace(b'"task"', b'"tusk"'), "ENTRY_FIELDS"),
        (GOOD.replace(b'"digits"', b"7"), "ENTRY_FIELDS"),
    ],
)
def test_anything_else_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(PeerError) as refused:
        entries.parse(data)
    assert refused.value.code == code


def test_an_entry_that_is_too_long_or_not_ascii_is_our_own_fault() -> None:
    with pytest.raises(AssertionError, match="ASCII"):
        entries.encode(entries.DroppedEntry(1, (), "dügits", 2))
    with pytest.raises(AssertionError, match="65,535"):
        entries.encode(entries.DroppedEntry(1, (), "d" * 65_536, 2))
