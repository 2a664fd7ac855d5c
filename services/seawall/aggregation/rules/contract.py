"""What goes into an aggregation rule and what comes out of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seawall.errors import LocalError
from seawall.formats.fxp24 import GRID_BITS_MAX, Integers

Sums: TypeAlias = npt.NDArray[np.int64]

WEIGHT_ONE = 2**16
"""Weights are integers in units of 2^-16; this is the weight 1."""

ETA_MAX = 2**10
"""Largest numerator and denominator of the server's learning rate."""

EXAMPLES_CAP_MAX = 2**10
"""Largest cap on the number of examples that an update may claim as its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleParameters:
    """A task's aggregation rule; every field is hashed into the cut.

    Attributes:
        name: key of the rule in the table of rules, together with `version`.
        version: changes whenever any result of the rule changes.
        eta_numerator: with `eta_denominator` the server's learning rate, as a ratio.
        eta_denominator: see `eta_numerator`.
        f: how many bad updates in one cut the rule is to withstand; a cut should hold more than
            2f. In a smaller one the rule uses (n - 1) // 2 and the outcome says so.
        grid_bits: S of the number format; a grid unit is 2^-S.
        examples_cap: the mean weighs an update by the examples it claims, at most this many;
            1 means that claims do not count, which is wise since nobody can verify them.

    """

    name: str
    version: int = 1
    eta_numerator: int = 1
    eta_denominator: int = 1
    f: int = 0
    grid_bits: int = 20
    examples_cap: int = 1

    def __post_init__(self) -> None:
        """Raise LocalError `RULE_PARAMETER` for a value outside its limits."""
        limits = {
            "version": (1, 2**16),
            "eta_numerator": (1, ETA_MAX),
            "eta_denominator": (1, ETA_MAX),
            "f": (0, 2**16),
            "grid_bits": (0, GRID_BITS_MAX),
            "examples_cap": (1, EXAMPLES_CAP_MAX),
        }
        for field, (least, most) in limits.items():
            if not least <= getattr(self, field) <= most:
                raise LocalError("RULE_PARAMETER", f"choose {least} to {most}", field=field)

    def document(self) -> Mapping[str, int | str]:
        """Return the parameters as ASCII strings and integers, for ledger entries and genesis."""
        return asdict(self)

    def digest(self) -> bytes:
        """Return SHA-256 of the document as RFC 8785 JSON."""
        # Sorted ASCII keys, integers and no blanks: here json writes exactly the RFC's form.
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One update of a cut.

    Attributes:
        update_id: identity of the update; the only order among contributions that rules use.
        delta: change of the model, int32 of shape (d,), in grid units.
        staleness: versions between the update's base and the head, at least 0.
        num_examples: claimed number of training examples, at least 0.

    """

    update_id: bytes
    delta: Integers
    staleness: int
    num_examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The next head, and why it is what it is.

    Attributes:
        head: the new model, int32 of shape (d,), in grid units.
        rule_used: name of the rule that ran; differs from the task's when it fell back.
        rule_version: version of that rule.
        f_used: bad updates that this cut was large enough to withstand, at most the task's f;
            0 for rules without that parameter.
        weights: per contribution, in the caller's order, units of 2^-16; what it stands for is
            the rule's (see each rule's docstring).
        filtered: per contribution None, or the reason why it had no influence.
        saturated: coordinates of the head that were clipped to the number format's range.

    """

    head: Integers
    rule_used: str
    rule_version: int
    f_used: int
    weights: tuple[int, ...]
    filtered: tuple[str | None, ...]
    saturated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The contributions of one cut in order of their update id, as a rule gets them.

    Attributes:
        deltas: int32 of shape (n, d), n at least 1.
        staleness: weights s(tau), units of 2^-16.
        examples: claimed examples.
        root: reference delta, int32 of shape (d,), not all zero; only for rules that need it.

    """

    deltas: Integers
    staleness: tuple[int, ...]
    examples: tuple[int, ...]
    root: Integers | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a rule decides: the change of the head, int64 of shape (d,), and its reasons."""

    change: Sums
    weights: tuple[int, ...]
    filtered: tuple[str | None, ...]
    f_used: int
