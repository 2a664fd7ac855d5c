"""Experiment files as plain values, with the place of every one of them in the file.

YAML without its traps: no anchors, no repeated keys, one document, and only `true` and `false`
are truth values.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from seawall.errors import LocalError

FILE_SIZE_BYTES_MAX: Final = 1 << 20
DEPTH_MAX: Final = 16

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column in a file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The plain value of a file, and where each of its parts stands; keys under `key_places`."""

    value: Any
    places: dict[Path, Place]
    key_places: dict[Path, Place]

    def place(self, path: Path) -> tuple[Path, Place]:
        """Return the place of a part, or of the nearest part around it, and which part that is."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return path[:end], self.places[path[:end]]
        return (), Place(1, 1)


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's core schema, as far as JSON has them."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the library's own shape
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - the library's own type
        """Compose one node, within the limits."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the library has no types here
        if isinstance(event, yaml.AliasEvent):
            raise _refused("write it out: anchors and aliases are not used", event)
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise _refused("nothing in an experiment is nested so deeply", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]{0,18})$", "-0123456789"),
    ("float", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _refused(hint: str, event: Any) -> LocalError:  # noqa: ANN401 - an event or a node
    mark = event.start_mark
    return LocalError("EXPERIMENT_YAML", hint, line=mark.line + 1, column=mark.column + 1)


def read(data: bytes) -> Document:
    """Return the one document in the bytes of a file.

    Raises:
        LocalError: EXPERIMENT_YAML with line and column.

    """
    if len(data) > FILE_SIZE_BYTES_MAX:
        raise LocalError("EXPERIMENT_YAML", "keep the file below 1 MiB")
    try:
        loader = _Loader(data.decode("utf-8"))
        node = loader.get_single_node()
    except UnicodeDecodeError as fault:
        raise LocalError("EXPERIMENT_YAML", "write UTF-8", offset=fault.start) from fault
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        hint = "this is no YAML: look at indentation, colons and quotes here and just above"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise LocalError("EXPERIMENT_YAML", hint, line=line, column=column) from fault
    except yaml.YAMLError as fault:
        raise LocalError("EXPERIMENT_YAML", "this is no YAML text", line=1, column=1) from fault
    if node is None:
        raise LocalError("EXPERIMENT_YAML", "the file is empty", line=1, column=1)
    document = Document(value=None, places={}, key_places={})
    value = _value(node, (), document, loader)
    return Document(value=value, places=document.places, key_places=document.key_places)


def _value(node: Any, path: Path, into: Document, loader: _Loader) -> Any:  # noqa: ANN401 - a node, any JSON value
    into.places[path] = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    match node:
        case yaml.MappingNode():
            return _mapping(node, path, into, loader)
        case yaml.SequenceNode():
            return [_value(one, (*path, at), into, loader) for at, one in enumerate(node.value)]
        case _:
            if not node.tag.startswith("tag:yaml.org,2002:"):
                raise _refused("write the value without a tag", node)
            try:
                return loader.construct_object(node)
            except (yaml.YAMLError, ValueError) as fault:
                raise _refused("write the value without a tag", node) from fault


def _mapping(node: yaml.MappingNode, path: Path, into: Document, loader: _Loader) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refused("a key is a word", key_node)
        key = str(key_node.value)
        if key in found:
            raise _refused("this key stands here a second time", key_node)
        mark = key_node.start_mark
        into.key_places[*path, key] = Place(mark.line + 1, mark.column + 1)
        found[key] = _value(value_node, (*path, key), into, loader)
    return found
