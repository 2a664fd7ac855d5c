"""From a cut to the next model: pure, and the same bytes at every site.

What a cut names and the bytes behind it decide everything. An update whose payload is not what its
task asks for can only be in a cut when more than f sites vouched for it; it then counts for
nothing, at every site alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seawall.aggregation.rules import Contribution, Outcome, aggregate, parameters_of
from seawall.crypto.hashing import sha256
from seawall.domain.genesis import RuleSpec, Task
from seawall.errors import PeerError
from seawall.formats.entry import CutEntry
from seawall.formats.fxp24 import Integers
from seawall.formats.task_payload import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A version as this site computes it.

    Attributes:
        payload: its safetensors file.
        digest: SHA-256 of the payload.
        rule_used: name of the rule that ran, or of its fallback.
        rule_version: version of that rule.
        weights: per update of the cut, in its order, in units of 2^-16.
        filtered: per update None, or why it had no influence.
        saturated: parameters that were clipped to the number format's range.

    """

    payload: bytes
    digest: bytes
    rule_used: str
    rule_version: int
    weights: tuple[int, ...]
    filtered: tuple[str | None, ...]
    saturated: int


def compute(
    task: Task,
    layout: Layout,
    cut: CutEntry,
    base: bytes,
    payloads: Mapping[str, bytes],
    root: bytes | None,
) -> Computed:
    """Return the version that follows from a cut.

    Args:
        task: the task of the cut.
        layout: how its payloads look.
        cut: which updates, with which staleness and examples, under which rule.
        base: payload of the version before.
        payloads: payload of each selected update, by update id in hex.
        root: payload of the root update that the cut names, None when it names none.

    """
    head = layout.decode(base)
    contributions: list[Contribution] = []
    places: list[int] = []
    weights = [0] * len(cut.updates)
    filtered: list[str | None] = [None] * len(cut.updates)
    for at, update in enumerate(cut.updates):
        try:
            delta = layout.decode(payloads[update.update_id])
        except PeerError as fault:
            filtered[at] = fault.code
            continue
        places.append(at)
        contributions.append(
            Contribution(
                update_id=bytes.fromhex(update.update_id),
                delta=delta,
                staleness=update.staleness,
                num_examples=update.num_examples,
            )
        )
    outcome = _apply(task, cut, head, contributions, _reference(layout, root))
    for at, weight, reason in zip(places, outcome.weights, outcome.filtered, strict=True):
        weights[at], filtered[at] = weight, reason
    payload = layout.encode(outcome.head)
    return Computed(
        payload=payload,
        digest=sha256(payload),
        rule_used=outcome.rule_used,
        rule_version=outcome.rule_version,
        weights=tuple(weights),
        filtered=tuple(filtered),
        saturated=outcome.saturated,
    )


def _reference(layout: Layout, root: bytes | None) -> Integers | None:
    """Return the reference delta, None when there is none that can be read."""
    if root is None:
        return None
    try:
        return layout.decode(root)
    except PeerError:
        return None


def _apply(
    task: Task,
    cut: CutEntry,
    head: Integers,
    contributions: list[Contribution],
    reference: Integers | None,
) -> Outcome:
    """Run the cut's rule; where its sums could overflow, the model stays as it is."""
    spec = RuleSpec(cut.rule.name, cut.rule.version, tuple(cut.rule.parameters.items()))
    parameters = parameters_of(spec, task.grid_bits)
    try:
        return aggregate(parameters, head, contributions, reference)
    except PeerError as fault:
        return Outcome(
            head=np.array(head),
            rule_used=spec.name,
            rule_version=spec.version,
            f_used=0,
            weights=(0,) * len(contributions),
            filtered=(fault.code,) * len(contributions),
            saturated=0,
        )
