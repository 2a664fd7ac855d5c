"""Aggregation rules: pure functions from integers to integers, equal on every machine."""

from seawall.aggregation.rules.contract import Contribution, Outcome, RuleParameters
from seawall.aggregation.rules.registry import RULES, aggregate, parameters_of

__all__ = [
    "RULES",
    "Contribution",
    "Outcome",
    "RuleParameters",
    "aggregate",
    "parameters_of",
]
