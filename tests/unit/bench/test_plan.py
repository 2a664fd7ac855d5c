import pytest

from bench.plan import FULL, SIZES, Progress, cells_of


def test_each_number_of_sites_looks_at_idle_sites_once() -> None:
    cells = cells_of((4, 10), (), idle=True)
    assert [(cell.sites, cell.size.label, cell.idle) for cell in cells] == [
        (4, "1 KB", True),
        (4, "64 KB", False),
        (4, "1 MB", False),
        (10, "1 KB", True),
        (10, "64 KB", False),
        (10, "1 MB", False),
    ]


@pytest.mark.parametrize(("sites", "labels"), [((4,), ("2 KB",)), ((3,), ())])
def test_unknown_sizes_and_too_few_sites_are_refused(
    sites: tuple[int, ...], labels: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="choose sizes"):
        cells_of(sites, labels, idle=False)


def test_more_sites_share_the_updates_that_are_on_their_way() -> None:
    assert [SIZES[0].window_of(sites) for sites in (4, 7, 10)] == [512, 292, 204]
    assert SIZES[2].window_of(10) == 4


def test_the_rest_is_told_at_the_pace_so_far() -> None:
    now = [0.0]
    told: list[str] = []
    progress = Progress(100.0, told.append, clock=lambda: now[0])
    progress.say("first")
    now[0] = 100.0
    progress.finished(50.0)
    assert progress.left_seconds == 100.0
    progress.say("second")
    now[0] = 200.0
    progress.finished(60.0)
    assert progress.left_seconds == 0.0
    assert told == ["first (about 2 min left)", "second (about 2 min left)"]


def test_more_sites_take_longer() -> None:
    assert FULL.run_seconds(10, SIZES[0]) > FULL.run_seconds(4, SIZES[0])
