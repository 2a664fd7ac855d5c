from pathlib import Path

from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.holds import hold, holds_of, is_held, release


def test_a_site_is_held_until_the_time_of_the_last_file(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    assert not is_held(directory, "site-1", 100.0)
    hold(directory, "site-1", "run/0/1", 130.0)
    hold(directory, "site-1", "run/1/1", 110.0)
    assert len(holds_of(directory, "site-1", 100.0)) == 2
    assert is_held(directory, "site-1", 120.0)
    assert not is_held(directory, "site-1", 130.0), "a hold ends by itself"
    assert not is_held(directory, "site-10", 100.0)
    hold(directory, "site-1", "run/0/1", 160.0)
    assert is_held(directory, "site-1", 130.0)


def test_a_hold_that_is_released_twice_is_gone(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    hold(directory, "site-1", "run/0/1", 130.0)
    release(directory, "site-1", "run/0/1")
    release(directory, "site-1", "run/0/1")
    assert not is_held(directory, "site-1", 100.0)
