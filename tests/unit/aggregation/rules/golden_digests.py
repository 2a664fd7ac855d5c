"""Print the digest of every rule on fixed inputs: one JSON object.

`python golden_digests.py` under another BLAS kernel, CPU or thread count must print the same.
"""

import hashlib
import json
import sys
from collections.abc import Mapping

from seawall.aggregation.rules import RULES, Contribution, Outcome, RuleParameters, aggregate
from tests.unit.aggregation.rules.reference import expand

COUNT, SIZE = 11, 5_003


def outcome_digest(outcome: Outcome) -> str:
    reasons = json.dumps([outcome.rule_used, outcome.weights, outcome.filtered, outcome.saturated])
    return hashlib.sha256(outcome.head.astype("<i4").tobytes() + reasons.encode()).hexdigest()


def digests() -> Mapping[str, str]:
    """Return the digest of the outcome for each rule, on small and on full-range values."""
    found = {}
    for bits in (18, 24):
        deltas = expand(f"deltas {bits}", COUNT, SIZE, bits)
        head = expand(f"head {bits}", 1, SIZE, bits)[0]
        root = expand(f"root {bits}", 1, SIZE, bits)[0] // 2 + deltas[3] // 3
        cut = [
            Contribution(update_id=bytes([i]), delta=delta, staleness=i % 4, num_examples=7 * i)
            for i, delta in enumerate(deltas)
        ]
        for name, version in RULES:
            parameters = RuleParameters(
                name=name,
                version=version,
                f=4,
                examples_cap=50,
                eta_numerator=3,
                eta_denominator=4,
            )
            outcome = aggregate(parameters, head, cut, root.astype("int32"))
            found[f"{name}/{version}, {bits} bits"] = outcome_digest(outcome)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests()))
