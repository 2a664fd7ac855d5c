"""The driver carries out what the core says, with a platform that lives in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from seawall.chaos.runner.core import Core, Schedule
from seawall.chaos.runner.driver import Driver, clean
from seawall.chaos.runner.injection import Breach, Confirmation, Injection
from seawall.chaos.runner.records import Intended, Record, Reverted, outstanding
from seawall.chaos.runner.steps import Cause, Phase
from seawall.errors import OperationalError
from tests.unit.chaos.runner.sites import injection

DOWN = OperationalError("SITE_DOWN", "nobody answers")


@dataclass(slots=True)
class _Memory:
    """A platform in memory: sites, journal, load, probes and ledgers in one."""

    name: str = "memory"
    place: str = "here"
    in_force: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    breaches: tuple[Breach, ...] = ()
    refuses: bool = False
    full: bool = False
    unreadable: bool = False
    blind: BaseException | None = None
    finished: int = 0

    @property
    def journal(self) -> "_Memory":
        return self

    @property
    def workload(self) -> "_Memory":
        return self

    @property
    def ledgers(self) -> "_Ledgers":
        return _Ledgers(self)

    def resolve(self, fault: int, primaries: Sequence[int]) -> tuple[Injection, ...]:
        return tuple([injection(fault, site, 0, 1) for site in primaries])

    async def primaries(self) -> tuple[int, ...]:
        return (1, 2)

    def actuator(self, name: str) -> "_Memory":
        assert name == "plane"
        return self

    def probe(self, fault: int, injections: tuple[Injection, ...]) -> "_Probe":
        del fault, injections
        return _Probe(self)

    async def apply(self, one: Injection, lease_seconds: int) -> None:
        assert lease_seconds > 0
        if self.refuses:
            raise DOWN
        self.in_force.append(one.id)

    async def renew(self, one: Injection, lease_seconds: int) -> None:
        assert lease_seconds > 0
        assert one.id in self.in_force

    async def revert(self, one: Injection) -> None:
        if one.id in self.in_force:
            self.in_force.remove(one.id)

    async def active(self, site: int) -> tuple[str, ...]:
        del site
        return tuple(self.in_force)

    async def write(self, record: Record) -> None:
        if self.full and isinstance(record, Intended):
            raise OperationalError("CHAOS_JOURNAL_WRITE", "the disk is full")
        self.records.append(record)

    async def read(self) -> tuple[Record, ...]:
        return tuple(self.records)

    async def start(self) -> None:
        """Start at once."""

    def enter(self, phase: Phase, now_us: int) -> None:
        """Take no note."""

    async def finish(self) -> None:
        self.finished += 1


@dataclass(slots=True)
class _Probe:
    platform: _Memory

    async def begin(self) -> None:
        raise DOWN

    async def look(self) -> Confirmation:
        if self.platform.blind is not None:
            raise self.platform.blind
        return Confirmation(is_seen=bool(self.platform.in_force), evidence="looked")


@dataclass(slots=True)
class _Ledgers:
    platform: _Memory

    async def look(self) -> tuple[Breach, ...]:
        return ()

    async def check(self) -> tuple[Breach, ...]:
        if self.platform.unreadable:
            raise DOWN
        return self.platform.breaches


class _Time:
    """Time that stands still until the core waits for it, so that no test waits."""

    def __init__(self) -> None:
        self.now_us = 0

    def __call__(self) -> int:
        self.now_us += 20_000
        return self.now_us


def core() -> Core:
    length_us = 1_000_000
    return Core(
        Schedule(
            baseline_us=length_us,
            hold_us=length_us,
            recover_us=length_us,
            faults=((0, length_us),),
            lease_seconds=30,
        )
    )


async def run(platform: _Memory, stop: asyncio.Event | None = None) -> Core:
    driven = core()
    driver = Driver(driven, platform, _Time(), lambda _core, _command: None)
    await driver.run(stop or asyncio.Event())
    return driven


async def test_a_run_injects_confirms_and_takes_back() -> None:
    platform = _Memory()
    done = await run(platform)
    assert done.cause is Cause.FINISHED
    assert platform.in_force == []
    assert platform.finished == 1
    assert sum(isinstance(one, Intended) for one in platform.records) == 2
    assert outstanding(platform.records) == ()
    assert done.faults[0].confirmation.is_seen


async def test_nothing_is_injected_when_the_journal_cannot_be_written() -> None:
    platform = _Memory(full=True)
    done = await run(platform)
    assert done.cause is Cause.INJECTION
    assert "CHAOS_JOURNAL_WRITE" in done.failure
    assert platform.in_force == []


async def test_a_refused_injection_ends_the_run() -> None:
    done = await run(_Memory(refuses=True))
    assert done.cause is Cause.INJECTION
    assert done.failure == "SITE_DOWN: nobody answers"


async def test_what_the_ledgers_show_in_the_end_is_a_breach() -> None:
    breach = Breach(invariant="nothing acknowledged is lost", detail="one is")
    done = await run(_Memory(breaches=(breach,)))
    assert done.breaches == [breach]


async def test_ledgers_that_cannot_be_read_leave_the_run_without_a_verdict() -> None:
    done = await run(_Memory(unreadable=True))
    assert done.cause is Cause.LEDGERS
    assert done.breaches == []


async def test_a_fault_of_ours_leaves_nothing_behind() -> None:
    platform = _Memory(blind=RuntimeError("a bug"))
    with pytest.raises(BaseExceptionGroup):
        await run(platform)
    assert platform.in_force == []
    assert outstanding(platform.records) == ()


async def test_what_the_system_refuses_is_a_step_that_failed() -> None:
    done = await run(_Memory(blind=PermissionError(13, "Permission denied")))
    assert done.cause is Cause.FINISHED
    assert "CHAOS_STEP" in done.faults[0].confirmation.evidence


async def test_a_stop_rolls_back() -> None:
    stop = asyncio.Event()
    stop.set()
    platform = _Memory()
    done = await run(platform, stop)
    assert done.cause is Cause.STOPPED
    assert platform.in_force == []


@pytest.mark.parametrize("again", [False, True])
async def test_clean_takes_back_what_a_killed_runner_left(again: bool) -> None:  # noqa: FBT001 - by name
    platform = _Memory()
    left = injection(0, 3)
    await platform.write(Intended(at_us=5, injection=left, lease_seconds=30))
    await platform.apply(left, 30)
    assert await clean(platform, platform.actuator, _Time()) == ()
    if again:
        assert await clean(platform, platform.actuator, _Time()) == ()
    assert platform.in_force == []
    assert sum(isinstance(one, Reverted) for one in platform.records) == 1


async def test_clean_says_what_it_could_not_take_back() -> None:
    platform = _Memory()
    left = injection(0, 3)
    await platform.write(Intended(at_us=5, injection=left, lease_seconds=30))

    class Gone(_Memory):
        async def revert(self, one: Injection) -> None:
            del one
            raise DOWN

    assert await clean(platform, Gone().actuator, _Time()) == ((left, "SITE_DOWN: nobody answers"),)
    assert outstanding(platform.records) == (left,)
