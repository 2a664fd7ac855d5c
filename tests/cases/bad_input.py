"""Updates that must be refused without looking at state: what is wrong, and the exact answer.

Each row spoils one thing of a good update. `code` is stable; `field` names the part at fault, or
`offset` the byte, or both.
"""

from collections.abc import Iterator

from tests.cases.bad_envelopes import envelope_cases
from tests.cases.bad_statements import statement_cases
from tests.cases.bad_tensors import tensor_cases
from tests.cases.case import Case


def all_cases() -> Iterator[Case]:
    """Yield every row."""
    yield from envelope_cases()
    yield from statement_cases()
    yield from tensor_cases()
