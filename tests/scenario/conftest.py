"""Every scenario runs over every engine of the table, with every checker."""

import pytest

from seawall.consensus.engines import ENGINES


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of the engine under test."""
    name: str = request.param
    return name
