"""Every scenario runs over every engine of the table, with every checker."""

from collections.abc import Generator

import pytest

from seawall.consensus.engines import ENGINES
from seawall.sim.checking import InvariantError


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of the engine under test."""
    name: str = request.param
    return name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print one command that shows a violation again, also where only this test knows the run."""
    report = yield
    fault = None if call.excinfo is None else call.excinfo.value
    if isinstance(fault, InvariantError):
        command = fault.replay or f"python -m pytest {item.nodeid!r}"
        report.sections.append(("replay", command))
    return report
