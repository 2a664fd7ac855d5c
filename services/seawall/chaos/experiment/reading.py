"""From a file's bytes to an experiment, or to the first thing that is wrong in it, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from seawall.chaos.experiment import plain
from seawall.chaos.experiment.checks import Problem, problems
from seawall.chaos.experiment.plain import Document, Path
from seawall.chaos.experiment.schema import Experiment
from seawall.errors import LocalError

_HINTS: Final[Mapping[str, str]] = {
    "string_type": "write text here",
    "int_type": "write a whole number, without quotes",
    "float_type": "write a number, without quotes",
    "bool_type": "write true or false",
    "list_type": "write a list",
    "dict_type": "write keys and values",
    "model_type": "write keys and values",
    "string_pattern_mismatch": "use small letters, digits and dashes, as in edge-one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An experiment, the plain value that its file holds, and where its parts stand there."""

    experiment: Experiment
    source: dict[str, Any]
    document: Document

    def refusal(self, problem: Problem) -> LocalError:
        """Return the error that says what is wrong, and where in the file."""
        return _located(problem.code, problem.hint, problem.path, self.document)


def load(data: bytes) -> Loaded:
    """Return the experiment in the bytes of a file.

    Raises:
        LocalError: EXPERIMENT_YAML, EXPERIMENT_UNKNOWN, EXPERIMENT_MISSING, EXPERIMENT_VALUE,
            or a code of `checks`, each with field, line and column.

    """
    document = plain.read(data)
    try:
        # JSON's rules for strictness: a list is a list, also where the schema has a tuple.
        experiment = Experiment.model_validate_json(msgspec.json.encode(document.value))
    except ValidationError as faults:
        raise _first(faults, document) from faults
    for problem in problems(experiment):
        raise _located(problem.code, problem.hint, problem.path, document)
    return Loaded(experiment=experiment, source=document.value, document=document)


def with_seed(loaded: Loaded, seed: int) -> Loaded:
    """Return the experiment with another seed, which may hit other sites.

    Raises:
        LocalError: a code of `checks`.

    """
    spec = loaded.experiment.spec.model_copy(update={"seed": seed})
    experiment = loaded.experiment.model_copy(update={"spec": spec})
    for problem in problems(experiment):
        field = ".".join(str(part) for part in problem.path)
        raise LocalError(problem.code, problem.hint, field=field)
    return Loaded(experiment=experiment, source=loaded.source, document=loaded.document)


def _first(faults: ValidationError, document: Document) -> LocalError:
    """Return the fault that stands first in the file."""
    errors = [
        _of(error, document) for error in faults.errors(include_url=False, include_input=False)
    ]
    return min(errors, key=lambda error: (error.line or 0, error.column or 0))


def _of(error: ErrorDetails, document: Document) -> LocalError:
    path, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        hint = "no such key here: correct it or take it out; docs/experiments.md lists the keys"
        return _located("EXPERIMENT_UNKNOWN", hint, path, document, key=True)
    if kind == "missing":
        hint = f"add the key {path[-1]}: it is required here"
        return _located("EXPERIMENT_MISSING", hint, path, document)
    if kind == "value_error":
        hint = error["msg"].removeprefix("Value error, ")
    elif kind == "literal_error":
        hint = f"write {error.get('ctx', {}).get('expected', 'a known value')}"
    else:
        hint = _HINTS.get(kind, error["msg"])
    return _located("EXPERIMENT_VALUE", hint, path, document)


def _located(
    code: str, hint: str, path: Path, document: Document, *, key: bool = False
) -> LocalError:
    """Return an error with the place of `path`, or of the part around it that is in the file."""
    _, place = document.place(path)
    if key:
        # The name of an unknown key is input, and not repeated.
        place, path = document.key_places.get(path, place), path[:-1]
    field = ".".join(str(part) for part in path) or None
    return LocalError(code, hint, field=field, line=place.line, column=place.column)
