import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import LocalError, PeerError
from seawall.formats import slsa
from seawall.formats.intoto import Subject
from seawall.formats.slsa import Provenance

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"
SIZE_MAX = 100_000
EXAMPLE = Provenance(
    subject=Subject("update.safetensors", bytes(range(32))),
    builder=bytes(range(32, 64)),
    task="digits-v1",
    base_version=3,
    base_digest=bytes(range(64, 96)),
    parameters=(("batch", 32), ("learning_rate_micro", 50_000), ("nesterov", True), ("opt", "sgd")),
    datasets=(("shard-1", bytes(range(96, 128))), ("shard-2", bytes(range(128, 160)))),
    code_digest=bytes(range(160, 192)),
    image_digest=bytes(range(192, 224)),
)
GOOD = slsa.provenance(EXAMPLE)
DIGESTS = st.binary(min_size=32, max_size=32)
PARAMETERS = st.dictionaries(
    st.text(max_size=8),
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    max_size=6,
)
DATASETS = st.dictionaries(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), DIGESTS, max_size=5)


@given(PARAMETERS, DATASETS, st.none() | DIGESTS, st.none() | DIGESTS, DIGESTS)
def test_a_claim_comes_back(
    parameters: dict[str, int | str],
    datasets: dict[str, bytes],
    code: bytes | None,
    image: bytes | None,
    base: bytes,
) -> None:
    claim = Provenance(
        subject=Subject("a", base),
        builder=base,
        task="t",
        base_version=0,
        base_digest=base,
        parameters=tuple(sorted(parameters.items())),
        datasets=tuple(sorted(datasets.items())),
        code_digest=code,
        image_digest=image,
    )
    data = slsa.provenance(claim)
    assert slsa.parse(data, size_max=len(data)) == claim


def test_the_statement_has_not_changed() -> None:
    assert (GOLDEN / "provenance.json").read_bytes().rstrip(b"\n") == GOOD
    assert slsa.parse(GOOD, size_max=SIZE_MAX) == EXAMPLE


def test_the_required_members_of_slsa_are_there() -> None:
    document = json.loads(GOOD)
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = document["predicate"]["buildDefinition"]
    assert {"buildType", "externalParameters", "resolvedDependencies"} <= definition.keys()
    assert document["predicate"]["runDetails"]["builder"]["id"]
    digests = [list(entry["digest"]) for entry in definition["resolvedDependencies"]]
    assert digests == [["sha256"]] * 3 + [["hmac-sha256"]] * 2


def changed(path: str, value: object) -> bytes:
    document = copy.deepcopy(json.loads(GOOD))
    *steps, last = path.split(".")
    place: Any = document["predicate"]
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return json.dumps(document).encode()


DEFINITION = "buildDefinition"
EXTERNAL = f"{DEFINITION}.externalParameters"
SOURCES = f"{DEFINITION}.resolvedDependencies"
BASE = {"name": "base", "digest": {"sha256": "00" * 32}}
DATASET = {"name": "dataset/a", "digest": {"hmac-sha256": "00" * 32}}


@pytest.mark.parametrize(
    ("path", "value", "code", "field"),
    [
        ("extra", 1, "STMT_FIELD", ""),
        ("runDetails", 1, "STMT_FIELD", "runDetails"),
        ("runDetails.metadata", {}, "STMT_FIELD", "runDetails"),
        ("runDetails.builder", {}, "STMT_FIELD", "runDetails.builder.id"),
        ("runDetails.builder.id", 1, "STMT_FIELD", "runDetails.builder.id"),
        ("runDetails.builder.id", "urn:x", "STMT_PROVENANCE", "runDetails.builder.id"),
        (DEFINITION, [], "STMT_FIELD", DEFINITION),
        (f"{DEFINITION}.internalParameters", {}, "STMT_FIELD", DEFINITION),
        (f"{DEFINITION}.buildType", "urn:x", "STMT_PROVENANCE", f"{DEFINITION}.buildType"),
        (f"{EXTERNAL}.other", 1, "STMT_FIELD", EXTERNAL),
        (f"{EXTERNAL}.task", 1, "STMT_FIELD", f"{EXTERNAL}.task"),
        (f"{EXTERNAL}.task", "No", "STMT_PROVENANCE", f"{EXTERNAL}.task"),
        (f"{EXTERNAL}.baseVersion", -1, "STMT_PROVENANCE", f"{EXTERNAL}.baseVersion"),
        (f"{EXTERNAL}.baseVersion", True, "STMT_PROVENANCE", f"{EXTERNAL}.baseVersion"),
        (f"{EXTERNAL}.parameters", [], "STMT_PROVENANCE", f"{EXTERNAL}.parameters"),
        (f"{EXTERNAL}.parameters", {"a": []}, "STMT_PROVENANCE", f"{EXTERNAL}.parameters"),
        (
            f"{EXTERNAL}.parameters",
            {str(at): at for at in range(65)},
            "STMT_PROVENANCE",
            f"{EXTERNAL}.parameters",
        ),
        (SOURCES, {}, "STMT_PROVENANCE", SOURCES),
        (SOURCES, [], "STMT_PROVENANCE", SOURCES),
        (SOURCES, [DATASET], "STMT_PROVENANCE", SOURCES),
        (SOURCES, [BASE] * 260, "STMT_PROVENANCE", SOURCES),
        (SOURCES, [BASE, BASE], "STMT_PROVENANCE", f"{SOURCES}[1].name"),
        (SOURCES, [DATASET, BASE], "STMT_PROVENANCE", f"{SOURCES}[1].name"),
        (SOURCES, [BASE, DATASET, DATASET], "STMT_PROVENANCE", f"{SOURCES}[2].name"),
        (f"{SOURCES}.0.name", "bass", "STMT_PROVENANCE", f"{SOURCES}[0].name"),
        (f"{SOURCES}.0.name", "../base", "STMT_NAME", f"{SOURCES}[0].name"),
        (f"{SOURCES}.0.digest", {"sha1": "00" * 20}, "STMT_DIGEST", f"{SOURCES}[0].digest"),
        (f"{SOURCES}.3.digest", {"sha256": "00" * 32}, "STMT_DIGEST", f"{SOURCES}[3].digest"),
        (f"{SOURCES}.0.uri", "x", "STMT_FIELD", f"{SOURCES}[0]"),
    ],
)
def test_a_bad_claim_is_refused(path: str, value: object, code: str, field: str) -> None:
    with pytest.raises(PeerError) as refusal:
        slsa.parse(changed(path, value), size_max=SIZE_MAX)
    assert (refusal.value.code, refusal.value.field) == (code, f"predicate.{field}".rstrip("."))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"task": "No"}, "STMT_PROVENANCE"),
        ({"base_version": -1}, "STMT_PROVENANCE"),
        ({"base_digest": b""}, "STMT_DIGEST"),
        ({"datasets": (("b", bytes(32)), ("a", bytes(32)))}, "STMT_PROVENANCE"),
        ({"subject": Subject("/a", bytes(32))}, "STMT_NAME"),
        ({"parameters": (("a", 0.5),)}, "JSON_FLOAT"),
    ],
)
def test_what_readers_refuse_is_never_written(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(LocalError, match=code):
        slsa.provenance(msgspec.structs.replace(EXAMPLE, **changes))
