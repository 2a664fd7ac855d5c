from random import Random

import pytest

from seawall.consensus.dag.records import BASE_BEGIN, BASE_END, BLOCK, COMMIT
from seawall.consensus.engine import Record
from seawall.sim.disk import Crashed, CrashPoint, Disk


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
