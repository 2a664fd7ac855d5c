"""SLSA provenance of a training run: from which model, data and code an update came.

The statement travels beside the submission, which binds it by digest. It is the contributor's
claim: lineage queries follow it, nothing is computed from it.

Source: SLSA v1.0, provenance predicate v1.
"""

import re
from typing import Final, TypeAlias

import msgspec

from seawall.errors import LocalError, PeerError
from seawall.formats import intoto, jcs
from seawall.formats.intoto import Statement, Subject

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:seawall:training:v1"
PARAMETERS_MAX: Final = 64
DATASETS_MAX: Final = 256
_BUILDER: Final = "urn:seawall:contributor:"
_DATASET: Final = "dataset/"
_DATASET_ALGORITHM: Final = "hmac-sha256"
_TASK: Final = re.compile(r"[a-z0-9-]{1,64}")
_BUILDER_ID: Final = re.compile(re.escape(_BUILDER) + r"([0-9a-f]{64})")

_ROLES: Final = ("base", "code", "image")

Parameter: TypeAlias = int | str | bool


class Provenance(msgspec.Struct, frozen=True):
    """Where an update came from.

    Attributes:
        subject: the payload, with the subject digest of its manifest.
        builder: key id of the contributor, 32 bytes.
        task: name of the task.
        base_version: version of the model that was trained from.
        base_digest: payload digest of that version, 32 bytes.
        parameters: hyper-parameters, sorted by name; fractions are scaled to integers.
        datasets: name and HMAC-SHA-256 of each dataset's manifest under its owner's salt, sorted.
        code_digest: SHA-256 of the training code, if told.
        image_digest: SHA-256 of the container image, if told.

    """

    subject: Subject
    builder: bytes
    task: str
    base_version: int
    base_digest: bytes
    parameters: tuple[tuple[str, Parameter], ...] = ()
    datasets: tuple[tuple[str, bytes], ...] = ()
    code_digest: bytes | None = None
    image_digest: bytes | None = None


def provenance(claim: Provenance) -> bytes:
    """Return the statement that makes this claim, as canonical JSON.

    Raises:
        LocalError: JSON_* or STMT_*, as a reader of the statement would answer.

    """
    sources: list[jcs.JsonValue] = [_dependency("base", "sha256", claim.base_digest)]
    for name, digest in (("code", claim.code_digest), ("image", claim.image_digest)):
        if digest is not None:
            sources.append(_dependency(name, "sha256", digest))
    for name, digest in claim.datasets:
        sources.append(_dependency(_DATASET + name, _DATASET_ALGORITHM, digest))
    predicate: dict[str, jcs.JsonValue] = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "baseVersion": claim.base_version,
                "parameters": dict(claim.parameters),
                "task": claim.task,
            },
            "resolvedDependencies": sources,
        },
        "runDetails": {"builder": {"id": _BUILDER + claim.builder.hex()}},
    }
    statement = intoto.encode(Statement(claim.subject, PREDICATE_TYPE, predicate))
    try:
        parse(statement, size_max=len(statement))
    except PeerError as error:
        raise LocalError(error.code, error.hint, field=error.field) from None
    return statement


def parse(data: bytes, *, size_max: int) -> Provenance:
    """Return the claim that a provenance statement makes.

    Args:
        data: the statement; `seawall.formats.intoto` says what JSON may look like.
        size_max: the most bytes of statement to read.

    Raises:
        PeerError: JSON_* and STMT_* with the field; STMT_PROVENANCE for what only this predicate
            asks.

    """
    statement = intoto.decode(data, size_max=size_max, predicate_type=PREDICATE_TYPE)
    predicate = intoto.members(
        statement.predicate, "predicate", required=("buildDefinition", "runDetails")
    )
    definition = intoto.members(
        predicate["buildDefinition"],
        "predicate.buildDefinition",
        required=("buildType", "externalParameters", "resolvedDependencies"),
    )
    if definition["buildType"] != BUILD_TYPE:
        hint = "use the build type of training runs"
        raise PeerError("STMT_PROVENANCE", hint, field="predicate.buildDefinition.buildType")
    external = intoto.members(
        definition["externalParameters"],
        "predicate.buildDefinition.externalParameters",
        required=("baseVersion", "parameters", "task"),
    )
    sources = _sources(definition["resolvedDependencies"])
    base = sources.pop("base", None)
    if base is None:
        hint = "name the base model's payload digest first"
        field = "predicate.buildDefinition.resolvedDependencies"
        raise PeerError("STMT_PROVENANCE", hint, field=field)
    return Provenance(
        subject=statement.subject,
        builder=_builder(predicate["runDetails"]),
        task=_task(external["task"]),
        base_version=_version(external["baseVersion"]),
        base_digest=base,
        parameters=_parameters(external["parameters"]),
        code_digest=sources.pop("code", None),
        image_digest=sources.pop("image", None),
        datasets=tuple((name.removeprefix(_DATASET), sources[name]) for name in sources),
    )


def _dependency(name: str, algorithm: str, digest: bytes) -> jcs.JsonValue:
    """Return a ResourceDescriptor with one digest."""
    return {"digest": {algorithm: digest.hex()}, "name": name}


def _sources(value: jcs.JsonValue) -> dict[str, bytes]:
    """Return the digest of each dependency; order is base, code, image, then sorted datasets."""
    field = "predicate.buildDefinition.resolvedDependencies"
    if not isinstance(value, list) or len(value) > DATASETS_MAX + len(_ROLES):
        hint = f"list at most {DATASETS_MAX} datasets"
        raise PeerError("STMT_PROVENANCE", hint, field=field)
    sources: dict[str, bytes] = {}
    before = (-1, "")
    for at, dependency in enumerate(value):
        place = f"{field}[{at}]"
        entry = intoto.members(dependency, place, required=("digest", "name"))
        name = intoto.path(entry["name"], f"{place}.name")
        is_dataset = name.startswith(_DATASET)
        if not is_dataset and name not in _ROLES:
            hint = "name it base, code, image or dataset/NAME"
            raise PeerError("STMT_PROVENANCE", hint, field=f"{place}.name")
        rank = (len(_ROLES), name) if is_dataset else (_ROLES.index(name), name)
        if rank <= before:
            hint = "list base, code, image, then datasets by name, each once"
            raise PeerError("STMT_PROVENANCE", hint, field=f"{place}.name")
        before = rank
        algorithm = _DATASET_ALGORITHM if is_dataset else "sha256"
        sources[name] = intoto.digest_set(entry["digest"], f"{place}.digest", algorithm=algorithm)
    return sources


def _builder(value: jcs.JsonValue) -> bytes:
    """Return the key id of the contributor who ran the training, 32 bytes."""
    details = intoto.members(value, "predicate.runDetails", required=("builder",))
    builder = intoto.members(details["builder"], "predicate.runDetails.builder", required=("id",))
    field = "predicate.runDetails.builder.id"
    match = _BUILDER_ID.fullmatch(intoto.text(builder["id"], field))
    if match is None:
        hint = f"send `{_BUILDER}` and the key id in lower-case hex"
        raise PeerError("STMT_PROVENANCE", hint, field=field)
    return bytes.fromhex(match[1])


def _task(value: jcs.JsonValue) -> str:
    """Return the name of the task."""
    field = "predicate.buildDefinition.externalParameters.task"
    task = intoto.text(value, field)
    if _TASK.fullmatch(task) is None:
        raise PeerError("STMT_PROVENANCE", "send 1 to 64 of a-z, 0-9 and hyphen", field=field)
    return task


def _version(value: jcs.JsonValue) -> int:
    """Return the base version, at least 0."""
    if type(value) is not int or value < 0:
        field = "predicate.buildDefinition.externalParameters.baseVersion"
        raise PeerError("STMT_PROVENANCE", "send an integer from 0", field=field)
    return value


def _parameters(value: jcs.JsonValue) -> tuple[tuple[str, Parameter], ...]:
    """Return the hyper-parameters, sorted by name."""
    field = "predicate.buildDefinition.externalParameters.parameters"
    if not isinstance(value, dict) or len(value) > PARAMETERS_MAX:
        hint = f"send an object of at most {PARAMETERS_MAX} members"
        raise PeerError("STMT_PROVENANCE", hint, field=field)
    parameters: list[tuple[str, Parameter]] = []
    for name in sorted(value):
        member = value[name]
        if not isinstance(member, (bool, int, str)):
            raise PeerError("STMT_PROVENANCE", "send integers, strings and booleans", field=field)
        parameters.append((name, member))
    return tuple(parameters)
