import hashlib

import pytest
import rfc8785

from seawall.aggregation.rules import RuleParameters
from seawall.errors import LocalError


def test_digest_covers_every_parameter_in_canonical_json() -> None:
    parameters = RuleParameters(name="root-gate", f=4)
    expected = hashlib.sha256(rfc8785.dumps(dict(parameters.document()))).digest()
    assert parameters.digest() == expected
    changed = [
        RuleParameters(name="fedavg", f=4),
        RuleParameters(name="root-gate", f=4, version=2),
        RuleParameters(name="root-gate", f=4, eta_numerator=2),
        RuleParameters(name="root-gate", f=4, eta_denominator=2),
        RuleParameters(name="root-gate", f=3),
        RuleParameters(name="root-gate", f=4, grid_bits=19),
        RuleParameters(name="root-gate", f=4, examples_cap=2),
    ]
    assert len({parameters.digest(), *(one.digest() for one in changed)}) == 8


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 0),
        ("eta_numerator", 0),
        ("eta_numerator", 1025),
        ("eta_denominator", 0),
        ("f", -1),
        ("grid_bits", 41),
        ("examples_cap", 0),
    ],
)
def test_parameters_outside_their_limits_are_refused(field: str, value: int) -> None:
    with pytest.raises(LocalError) as caught:
        RuleParameters(name="fedavg", **{field: value})
    assert (caught.value.code, caught.value.field) == ("RULE_PARAMETER", field)
