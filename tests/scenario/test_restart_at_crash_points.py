import pytest

from seawall.sim.disk import CrashPoint
from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import Crash, Plan
from tests.scenario.staging import heights, play


@pytest.mark.parametrize("point", CrashPoint)
@pytest.mark.parametrize("together", [1, 2, 4])
def test_a_restart_never_signs_twice_and_loses_nothing(
    engine: str, point: CrashPoint, together: int
) -> None:
    faults = tuple(
        Crash(
            at_us=(300 + 350 * turn) * MILLISECOND_US,
            seat=seat,
            point=point,
            sends=turn % 4,
            restart_after_us=(20 + 60 * turn) * MILLISECOND_US,
        )
        for turn in range(6)
        for seat in range(together)
    )
    world = play(Plan(seed=10, faults=faults, heal_us=4 * SECOND_US), engine)
    assert min(heights(world)) >= 30
    assert all(seat.incarnation >= 5 for seat in world.seats[:together]), "crashes must happen"
