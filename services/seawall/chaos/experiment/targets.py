"""Who a fault hits: selectors after the node specifications of Jepsen, and what they select.

Random choices come from the experiment's seed and the fault's place in the file, so every backend
picks the same sites.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Final, Literal

from pydantic import PlainValidator, WithJsonSchema

Group = Literal["one", "minority", "minority_third", "majority", "all", "primaries"]
GROUPS: Final = ("one", "minority", "minority_third", "majority", "all", "primaries")
_HINT: Final = f"name sites by number, as [0, 3], or a zone, as {{zone: west}}, or {GROUPS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Sites by number, by zone, or as many as a group says, at random."""

    group: str = ""
    sites: tuple[int, ...] = ()
    zone: str = ""


def _selector(value: object) -> Selector:
    match value:
        case str() if value in GROUPS:
            return Selector(group=value)
        case {"zone": str(zone), **rest} if not rest:
            return Selector(zone=zone)
        case list() if value and all(type(one) is int and one >= 0 for one in value):
            if len(dict.fromkeys(value)) == len(value):
                return Selector(sites=tuple(sorted(value)))
            raise ValueError("name each site once")
        case _:
            raise ValueError(_HINT)


_SCHEMA: Final[dict[str, Any]] = {
    "oneOf": [
        {"type": "string", "enum": list(GROUPS)},
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "minItems": 1,
            "uniqueItems": True,
        },
        {
            "type": "object",
            "properties": {"zone": {"type": "string"}},
            "required": ["zone"],
            "additionalProperties": False,
        },
    ]
}

Targets = Annotated[Selector, PlainValidator(_selector), WithJsonSchema(_SCHEMA)]


def count_of(group: str, size: int) -> int:
    """Return how many of `size` sites a group has, as Jepsen counts them.

    A minority is less than half of all, a third of them less than that; a majority just more
    than half. Mind that a quorum is more than two thirds here: a minority of 7 is 3, one more
    than the committee can spare.
    """
    return {
        "one": 1,
        "minority": (size - 1) // 2,
        "minority_third": (size - 1) // 3,
        "majority": size // 2 + 1,
        "all": size,
    }[group]


def select(
    selector: Selector, zones: Sequence[str], random: Random, primaries: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return the sites that a selector hits, ascending; `zones` has the zone of each site.

    `primaries` are the leaders of the moment. A random choice draws from `random`.
    """
    if selector.sites:
        return selector.sites
    if selector.zone:
        return tuple([site for site, zone in enumerate(zones) if zone == selector.zone])
    if selector.group == "primaries":
        return tuple(sorted(primaries))
    order = list(range(len(zones)))
    random.shuffle(order)
    return tuple(sorted(order[: count_of(selector.group, len(zones))]))
