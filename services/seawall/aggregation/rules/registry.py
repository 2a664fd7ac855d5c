"""The table of rules, and the one function that applies them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from seawall.aggregation.rules.clip_nnm_median import clip_nnm_median
from seawall.aggregation.rules.contract import (
    Batch,
    Contribution,
    Outcome,
    RuleParameters,
    Step,
)
from seawall.aggregation.rules.exact import staleness_weight
from seawall.aggregation.rules.mean import weighted_mean
from seawall.aggregation.rules.root_gate import root_gate
from seawall.domain.genesis import RuleSpec
from seawall.errors import LocalError
from seawall.formats.fxp24 import VALUE_MAX, Integers, check_values

Rule: TypeAlias = Callable[[RuleParameters, Batch], Step]

FEDAVG = "fedavg"
ROOT_GATE = "root-gate"
CLIP_NNM_MEDIAN = "clip-nnm-median"

RULES: Mapping[tuple[str, int], Rule] = MappingProxyType(
    {
        (FEDAVG, 1): weighted_mean,
        (ROOT_GATE, 1): root_gate,
        (CLIP_NNM_MEDIAN, 1): clip_nnm_median,
    }
)
"""Every rule by name and version. A version, once used, keeps giving the same bits for ever."""

FALLBACK: Mapping[tuple[str, int], tuple[str, int]] = MappingProxyType(
    {(ROOT_GATE, 1): (CLIP_NNM_MEDIAN, 1)}
)
"""Rules that need a root update, and what runs in their place when there is none."""


TUNABLE = ("eta_numerator", "eta_denominator", "f", "examples_cap")
"""Parameters that a task may give; the others follow from the task itself."""


def parameters_of(spec: RuleSpec, grid_bits: int) -> RuleParameters:
    """Return the parameters of the rule that a task names in genesis; absent ones get defaults.

    Raises:
        LocalError: `RULE_UNKNOWN` for a name or version outside the table; `RULE_PARAMETER` for
            a parameter that rules do not have, or a value outside its limits.

    """
    _check_known(spec.name, spec.version)
    given = dict(spec.parameters)
    for name in given:
        if name not in TUNABLE:
            raise LocalError("RULE_PARAMETER", f"choose among {', '.join(TUNABLE)}", field="rule")
    return RuleParameters(name=spec.name, version=spec.version, grid_bits=grid_bits, **given)


def aggregate(
    parameters: RuleParameters,
    head: Integers,
    contributions: Sequence[Contribution],
    root: Integers | None = None,
) -> Outcome:
    """Return the model that follows `head` (int32, shape (d,)) under the task's rule.

    A pure function of its arguments, equal to the last bit on every machine; the order of
    `contributions` does not matter. Without a usable `root` (absent or all zero) the root gate
    falls back to clip + NNM + median, and `rule_used` says so. Without contributions the head
    stays as it is.

    Raises:
        LocalError: `RULE_UNKNOWN`, `RULE_INPUT` (repeated update id, negative staleness).
        PeerError: `VAL_DTYPE`, `VAL_SHAPE`, `VAL_RANGE` for a bad vector, `VAL_SUM_OVERFLOW`.

    """
    _check_known(parameters.name, parameters.version)
    key = (parameters.name, parameters.version)
    usable_root = root if root is not None and root.any() else None
    if usable_root is None:
        key = FALLBACK.get(key, key)
    _check(head, contributions, usable_root)
    order = sorted(range(len(contributions)), key=lambda i: contributions[i].update_id)
    if not order:
        step = _stay(head)
    else:
        step = RULES[key](parameters, _batch([contributions[i] for i in order], usable_root))
    moved = head.astype(np.int64) + step.change
    place = {i: rank for rank, i in enumerate(order)}
    return Outcome(
        head=np.clip(moved, -VALUE_MAX, VALUE_MAX).astype(np.int32),
        rule_used=key[0],
        rule_version=key[1],
        f_used=step.f_used,
        weights=tuple(step.weights[place[i]] for i in range(len(order))),
        filtered=tuple(step.filtered[place[i]] for i in range(len(order))),
        saturated=int(np.count_nonzero(np.abs(moved) > VALUE_MAX)),
    )


def _check_known(name: str, version: int) -> None:
    if (name, version) not in RULES:
        raise LocalError("RULE_UNKNOWN", "choose a rule and version of the table", field="name")


def _check(head: Integers, contributions: Sequence[Contribution], root: Integers | None) -> None:
    check_values(head, head.size, field="head")
    if root is not None:
        check_values(root, head.size, field="root")
    seen: dict[bytes, None] = {}
    for index, contribution in enumerate(contributions):
        field = f"contributions[{index}]"
        if contribution.update_id in seen:
            raise LocalError("RULE_INPUT", "each update counts once", field=f"{field}.update_id")
        if contribution.staleness < 0:
            raise LocalError("RULE_INPUT", "a base precedes the head", field=f"{field}.staleness")
        seen[contribution.update_id] = None
        check_values(contribution.delta, head.size, field=f"{field}.delta")


def _batch(ordered: Sequence[Contribution], root: Integers | None) -> Batch:
    return Batch(
        deltas=np.stack([contribution.delta for contribution in ordered]),
        staleness=tuple(staleness_weight(contribution.staleness) for contribution in ordered),
        examples=tuple(contribution.num_examples for contribution in ordered),
        root=root,
    )


def _stay(head: Integers) -> Step:
    change = np.zeros(head.shape, dtype=np.int64)
    return Step(change=change, weights=(), filtered=(), f_used=0)
