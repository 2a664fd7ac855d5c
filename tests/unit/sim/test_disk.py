from random import Random

import pytest

from seawall.consensus.dag.records import BASE_BEGIN, BASE_END, BLOCK, COMMIT
from seawall.consensus.engine import Record
from seawall.sim.disk import Crashed, CrashPoint, Disk, DiskHealth


def records(*names: bytes) -> list[Record]:
    return [Record(kind=BLOCK, data=name) for name in names]


def test_only_a_finished_sync_makes_records_durable() -> None:
    disk = Disk()
    disk.append(records(b"a"))
    disk.sync()
    assert disk.durable == []
    disk.settle()
    disk.append(records(b"b"))
    disk.crash(Random(1), torn=False)
    assert disk.durable == records(b"a")


def test_a_torn_crash_keeps_some_prefix_and_every_prefix_can_happen() -> None:
    kept = set()
    for seed in range(40):
        disk = Disk()
        disk.append(records(b"a", b"b"))
        disk.sync()
        disk.append(records(b"c"))
        disk.crash(Random(seed), torn=True)
        assert disk.durable == records(b"a", b"b", b"c")[: len(disk.durable)]
        kept.add(len(disk.durable))
    assert kept == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("point", "durable", "lost"),
    [
        (CrashPoint.BEFORE_PERSIST, [], []),
        (CrashPoint.AFTER_PERSIST, [], records(b"a")),
        (CrashPoint.BEFORE_SYNC, [], records(b"a")),
        (CrashPoint.AFTER_SYNC, records(b"a"), []),
    ],
)
def test_an_armed_disk_crashes_at_its_point(
    point: CrashPoint, durable: list[Record], lost: list[Record]
) -> None:
    disk = Disk()
    disk.armed = point
    with pytest.raises(Crashed):
        _write(disk)
    assert (disk.durable, disk.tail) == (durable, lost)


def _write(disk: Disk) -> None:
    disk.append(records(b"a"))
    disk.sync()


def test_a_step_that_persists_nothing_does_not_crash() -> None:
    disk = Disk()
    disk.armed = CrashPoint.AFTER_SYNC
    disk.append([])
    disk.sync()
    assert disk.armed is CrashPoint.AFTER_SYNC


def test_a_durable_base_replaces_everything_before_it() -> None:
    base = [Record(kind=BASE_BEGIN, data=b""), *records(b"b"), Record(kind=BASE_END, data=b"")]
    disk = Disk()
    disk.append([*records(b"a"), Record(kind=COMMIT, data=b"1"), *base[:2]])
    disk.sync()
    disk.settle()
    assert len(disk.durable) == 4, "a base without its end replaces nothing"
    disk.append([base[2], *records(b"c")])
    disk.sync()
    disk.settle()
    assert disk.durable == [*base, *records(b"c")]


def test_a_wiped_disk_is_empty() -> None:
    disk = Disk()
    disk.append(records(b"a"))
    disk.sync()
    disk.settle()
    disk.wipe()
    assert disk.durable == []


def synced(disk: Disk, *data: bytes) -> None:
    """Write records, sync, and let the sync end."""
    disk.append(records(*data))
    disk.sync()
    disk.settle()


def test_a_lying_disk_loses_what_it_acknowledged_and_nothing_older() -> None:
    disk = Disk()
    synced(disk, b"a")
    disk.set_health(DiskHealth(lying=True))
    synced(disk, b"b")
    synced(disk, b"c")
    assert disk.durable == records(b"a", b"b", b"c"), "it is read back while the power is on"
    assert disk.promised_records == 2
    disk.crash(Random(1), torn=True)
    assert disk.durable == records(b"a")
    assert (disk.lost_records, disk.promised_records) == (2, 0)


def test_a_disk_that_lied_makes_up_for_it_with_the_next_true_sync() -> None:
    disk = Disk()
    disk.set_health(DiskHealth(lying=True))
    synced(disk, b"a")
    disk.set_health(DiskHealth())
    assert disk.promised_records == 1, "nothing has been synced since"
    synced(disk, b"b")
    disk.crash(Random(1), torn=False)
    assert disk.durable == records(b"a", b"b")
    assert disk.lost_records == 0


def test_a_lying_disk_deletes_nothing_that_it_may_need_again() -> None:
    base = [Record(kind=BASE_BEGIN, data=b""), Record(kind=BASE_END, data=b"")]
    disk = Disk()
    synced(disk, b"a")
    disk.set_health(DiskHealth(lying=True))
    disk.append(base)
    disk.sync()
    disk.settle()
    disk.crash(Random(1), torn=False)
    assert disk.durable == records(b"a")


def test_a_full_disk_stops_whoever_writes() -> None:
    disk = Disk()
    disk.set_health(DiskHealth(full=True))
    disk.append([])
    with pytest.raises(Crashed):
        disk.append(records(b"a"))
    assert (disk.durable, disk.tail) == ([], [])


def test_a_slow_disk_takes_longer_around_its_median() -> None:
    disk, random = Disk(), Random(3)
    assert disk.sync_us(2_000, random) == 2_000
    disk.set_health(DiskHealth(add_us=30_000, sigma=0.5))
    taken = sorted(disk.sync_us(2_000, random) for _ in range(1001))
    assert abs(taken[500] / 32_000 - 1) < 0.1
    assert disk.synced_us == 2_000 + sum(taken)
