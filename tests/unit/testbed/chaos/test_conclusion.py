"""What is made of looks at sites, and of samples, without any site."""

from collections.abc import Sequence

from seawall.testbed.chaos.conclusion import heights_of, resumed, shifted
from seawall.testbed.chaos.ledgers import Look, spread, updates_of
from seawall.testbed.experiment.samples import Samples, Update
from seawall.testbed.observer import SiteView


def looks(*seen: tuple[int, Sequence[tuple[int, int]]]) -> list[Look]:
    """Return looks at sites: (time, (height, tree size) of each site)."""
    return [
        (
            at_us,
            tuple(
                SiteView(site=site, name=f"site-{site}", height=height, tree_size=size)
                for site, (height, size) in enumerate(sites)
            ),
        )
        for at_us, sites in seen
    ]


def test_what_was_handed_in_before_the_baseline_is_left_out() -> None:
    updates = [
        Update(site=0, submitted_us=at, is_honest=True, final_us=at + 5) for at in (90, 300, 200)
    ]
    found = shifted(Samples(updates=updates, handed_in_us=[90, 200, 300]), 100)
    assert [(one.submitted_us, one.final_us, one.committed_us) for one in found.updates] == [
        (100, 105, None),
        (200, 205, None),
    ]
    assert found.handed_in_us == [100, 200]


def test_heights_are_noted_when_they_change() -> None:
    seen = looks((5, [(1, 1), (1, 1)]), (15, [(1, 1), (2, 3)]), (25, [(4, 9), (2, 3)]))
    assert heights_of(seen, 10) == [(0, 0, 1), (0, 1, 1), (5, 1, 2), (15, 0, 4)]


def test_a_site_has_resumed_when_it_has_an_update_from_after_the_faults() -> None:
    seen = looks((40, [(1, 8), (1, 2)]), (60, [(1, 7), (1, 4)]), (80, [(1, 8), (1, 7)]))
    # Faults end at 50: the update of 60 is entry 7, so a tree of 8 has it.
    assert resumed(seen, {40: 3, 60: 7, 70: 9}, 50, 0) == {0: 80}
    assert resumed(seen, {40: 3}, 50, 0) == {}


def test_receipts_are_asked_for_evenly() -> None:
    values = [f"{number}" for number in range(10)]
    assert spread(values, 20) == tuple(values)
    assert spread(values, 5) == ("0", "2", "4", "6", "8")


def test_updates_are_read_from_entries() -> None:
    entries = [
        b'{"apiVersion":"seawall.dev/v1","kind":"commit","spec":{}}',
        b'{"apiVersion":"seawall.dev/v1","kind":"update","spec":{"updateId":"ab"}}',
    ]
    assert list(updates_of(entries)) == ["ab"]
