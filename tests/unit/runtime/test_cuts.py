"""Cut links hold messages back, and let them go when the last cut is taken back."""

import asyncio

import pytest

from seawall.runtime.cuts import Direction, LinkCuts

BOTH = (Direction.INBOUND, Direction.OUTBOUND)


def waits(task: asyncio.Task[None]) -> bool:
    return not task.done()


async def turn() -> None:
    """Let everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_messages_of_other_links_and_directions_pass() -> None:
    cuts = LinkCuts()
    cuts.cut([1], [Direction.OUTBOUND])
    async with asyncio.timeout(1):
        await cuts.passed(1, Direction.INBOUND)
        await cuts.passed(2, Direction.OUTBOUND)


@pytest.mark.parametrize("direction", BOTH)
async def test_a_message_waits_until_the_last_of_several_cuts_is_mended(
    direction: Direction,
) -> None:
    cuts = LinkCuts()
    cuts.cut([1, 2], BOTH)
    cuts.cut([1], [direction])
    async with asyncio.TaskGroup() as group:
        message = group.create_task(cuts.passed(1, direction))
        other = group.create_task(cuts.passed(2, direction))
        await turn()
        assert waits(message)
        assert waits(other)
        cuts.mend([1, 2], BOTH)
        await turn()
        assert waits(message)
        assert not waits(other)
        cuts.mend([1], [direction])
    assert not waits(message)
