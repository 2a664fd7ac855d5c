"""Faults as messages of `FaultPlaneService`, and back: members have the same names in both."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from seawall.api.v1 import fault_plane_pb2 as pb
from seawall.chaos.checks import BUFFER_BYTES
from seawall.chaos.faults import KINDS, Base, Caller, Fault, LinkFault, PartitionFault
from seawall.runtime.faults.links import Direction

_DIRECTIONS: Final[Mapping[int, tuple[Direction, ...]]] = MappingProxyType(
    {
        pb.PARTITION_DIRECTION_BOTH: (Direction.INBOUND, Direction.OUTBOUND),
        pb.PARTITION_DIRECTION_INBOUND: (Direction.INBOUND,),
        pb.PARTITION_DIRECTION_OUTBOUND: (Direction.OUTBOUND,),
    }
)
_CALLERS: Final[Mapping[int, Caller]] = MappingProxyType(
    {
        pb.CALL_FAULT_CALLER_CLIENTS: Caller.CLIENTS,
        pb.CALL_FAULT_CALLER_SITES: Caller.SITES,
        pb.CALL_FAULT_CALLER_OWN_SITE: Caller.OWN_SITE,
    }
)
_TYPES: Final[Mapping[str, type[Fault]]] = MappingProxyType({one.kind: one for one in KINDS})
_DEFAULTS: Final[Mapping[str, int]] = MappingProxyType({"buffer_bytes": BUFFER_BYTES, "rounds": 1})
"""What 0 stands for."""


def decode_fault(spec: pb.FaultSpec) -> Fault | None:
    """Return the fault in a message, None when it is of an unknown kind.

    Values that mean nothing are kept as such, for the checks to find.
    """
    kind = spec.WhichOneof("kind")
    if kind is None or kind not in _TYPES:
        return None
    type_, body = _TYPES[kind], getattr(spec, kind)
    members: dict[str, Any] = {
        "id": spec.id,
        "seed": spec.seed,
        "experiment": spec.experiment,
    }
    if issubclass(type_, LinkFault):
        links = _links(type_, body)
        members["peers"] = tuple(links.peers)
        members["directions"] = _DIRECTIONS.get(links.direction, ())
    for name in _own(type_):
        value = getattr(body, name)
        if name == "callers":
            value = tuple([_CALLERS.get(code) for code in value])
        elif not isinstance(value, bool | int | float | str):
            value = tuple(value)
        members[name] = value or _DEFAULTS.get(name, value)
    found: Fault = type_(**members)
    return found


def encode_fault(fault: Fault, lease_seconds: int = 0) -> pb.FaultSpec:
    """Return a fault as a message."""
    spec = pb.FaultSpec(
        id=fault.id,
        lease_seconds=lease_seconds,
        seed=fault.seed,
        experiment=fault.experiment,
    )
    body: Any = getattr(spec, fault.kind)
    body.SetInParent()
    if isinstance(fault, LinkFault):
        links = _links(type(fault), body)
        links.peers.extend(fault.peers)
        for code, ways in _DIRECTIONS.items():
            if ways == fault.directions:
                links.direction = code
    for name in _own(type(fault)):
        value = getattr(fault, name)
        if name == "callers":
            codes = {caller: code for code, caller in _CALLERS.items()}
            value = tuple([codes[caller] for caller in value])
        if isinstance(value, tuple):
            getattr(body, name).extend(value)
        else:
            setattr(body, name, value)
    return spec


def _links(type_: type[Base], body: Any) -> Any:  # noqa: ANN401 - messages of several types
    """Return the part of a message that names links; those of a partition stand in itself."""
    return body if type_ is PartitionFault else body.links


def _own(type_: type[Base]) -> list[str]:
    """Return the members that a kind has for itself."""
    base: type[Base] = LinkFault if issubclass(type_, LinkFault) else Base
    shared = [one.name for one in fields(base)]
    return [one.name for one in fields(type_) if one.name not in shared]
