"""One fault under load, from before it to after recovery; and what was seen, in figures."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.faults.load import OpenLoad, loading
from bench.faults.network import LOOK_SECONDS, SITES, FaultNetwork, running
from bench.faults.table import FAULTS, VICTIM, Scene, Step
from bench.quantiles import Latency, summarise
from seawall.testbed.judging import Findings, judge

BACK_SHARE = 0.8
"""Throughput is back when so much of what it was is acknowledged again."""

WINDOW_SECONDS = 2.0
STEP_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Seconds of each part, and the load: updates a second."""

    before: float
    hold: float
    after: float
    recover_max: float
    rate: float


FULL = Lengths(before=10.0, hold=20.0, after=5.0, recover_max=120.0, rate=50.0)
QUICK = Lengths(before=4.0, hold=5.0, after=2.0, recover_max=60.0, rate=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """What one fault did.

    Attributes:
        name: the fault.
        sent: updates that were sent.
        acknowledged: of them, those that clients were told of.
        unanswered: those of which clients were told nothing, long after recovery.
        refused: codes of refusals.
        rate_before: updates acknowledged per second before the fault.
        share_during: rate under the fault, as a share of that.
        latency: of all updates, from when each was due.
        commit_seconds: from the end of the fault to the first acknowledgement.
        level_seconds: from there to every site having certified what any had; None: never.
        back_seconds: from there to `BACK_SHARE` of the rate before; None: never.
        findings: what was wrong with the ledgers.
        complaint: what else did not go as it had to, empty for nothing.

    """

    name: str
    sent: int
    acknowledged: int
    unanswered: int
    refused: tuple[str, ...]
    rate_before: float
    share_during: float
    latency: Latency | None
    commit_seconds: float | None
    level_seconds: float | None
    back_seconds: float | None
    findings: Findings
    complaint: str

    @property
    def holds(self) -> bool:
        """Tell whether nothing was lost, nothing forked, and everything came back."""
        clean = self.findings.clean and not (self.refused or self.unanswered or self.complaint)
        return clean and self.level_seconds is not None and self.back_seconds is not None


@dataclass(slots=True)
class Times:
    """Moments of one fault on the monotonic clock."""

    began: float = 0.0
    struck: float = 0.0
    healed: float = 0.0
    ended: float = 0.0
    level: float | None = None


async def measure(name: str, lengths: Lengths, home: Path, seed: int) -> FaultReport:
    """Do one fault to fresh sites under load.

    Raises:
        RuntimeError: the fault could not be done, or is not real; no figure would mean anything.

    """
    fault = FAULTS[name]
    times = Times()
    done_to = range(SITES) if fault.everywhere else (VICTIM,)
    settings = {f"site-{site}": fault.settings for site in done_to}
    liar = VICTIM if fault.lies else None
    async with running(home, apart=fault.apart, settings=settings, liar=liar) as network:
        scene = Scene(network, random.Random(seed), lengths.hold)  # noqa: S311 - choices
        async with loading(network, lengths.rate, seed) as load:
            complaint = await _run(scene, load, name, lengths, times)
        findings = await look_back(network, load, home, liar)
    return report(name, load, times, findings, complaint)


async def look_back(
    network: FaultNetwork, load: OpenLoad, home: Path, liar: int | None
) -> Findings:
    """Return what is wrong with the ledgers; nothing is asked of a site that lies."""
    await network.level(without=liar)
    ledgers = await network.export(home / "exported")
    asked = {site: name for site, name in enumerate(network.names) if site != liar}
    return await judge(
        network.observer,
        network.chain.data,
        asked,
        load.acknowledged,
        {name: ledgers[name] for name in asked.values()},
        [head for head, site in network.heads.items() if site != liar],
    )


async def _run(scene: Scene, load: OpenLoad, name: str, lengths: Lengths, times: Times) -> str:
    """Go through the fault; return a complaint about recovery."""
    fault, network = FAULTS[name], scene.network
    await load.until(lambda one: bool(one.acknowledged), lengths.recover_max)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(network))
        await _step(fault.prepare, scene)
        times.began = time.monotonic()
        await asyncio.sleep(lengths.before)
        times.struck = time.monotonic()
        await fault.strike(scene)
        await _step(fault.confirm, scene)
        spent = time.monotonic() - times.struck
        await asyncio.sleep(max(0.0, lengths.hold - spent))
        times.healed = time.monotonic()
        await fault.heal(scene)
        watching.cancel()
    complaint = ""
    try:
        await network.level(lengths.recover_max, without=VICTIM if fault.lies else None)
        times.level = time.monotonic()
        await _step(fault.prove, scene)
    except TimeoutError:
        complaint = "not every site caught up"
    except RuntimeError as failure:
        complaint = str(failure)
    await _until_back(load, lengths, times)
    times.ended = time.monotonic()
    return complaint


async def _step(step: Step | None, scene: Scene) -> None:
    if step is not None:
        await step(scene)


async def _watch(network: FaultNetwork) -> None:
    """Look at the sites all the time, for the heads that they name."""
    while True:
        await network.look()
        await asyncio.sleep(LOOK_SECONDS)


async def _until_back(load: OpenLoad, lengths: Lengths, times: Times) -> None:
    """Keep the load on until throughput is back, and a while longer."""
    end = times.healed + lengths.recover_max
    while time.monotonic() < end:
        await asyncio.sleep(STEP_SECONDS)
        times.ended = time.monotonic()
        if _back_seconds(load, times) is not None:
            break
    await asyncio.sleep(lengths.after)


def not_done(name: str, failure: Exception) -> FaultReport:
    """Return the report of a fault that could not be done, or was not real."""
    reasons = failure.exceptions if isinstance(failure, ExceptionGroup) else (failure,)
    complaint = "; ".join(str(one) or type(one).__name__ for one in reasons)
    return report(name, OpenLoad(), Times(), Findings(), f"was not done: {complaint}")


def report(
    name: str, load: OpenLoad, times: Times, findings: Findings, complaint: str
) -> FaultReport:
    """Return what was seen."""
    before = load.rate(times.began, times.struck)
    during = load.rate(times.struck, times.healed)
    after = [at - times.healed for at in load.acknowledged.values() if at >= times.healed]
    return FaultReport(
        name=name,
        sent=load.sent,
        acknowledged=len(load.acknowledged),
        unanswered=load.unanswered,
        refused=tuple(sorted(load.refused)),
        rate_before=before,
        share_during=during / before if before else 0.0,
        latency=summarise(load.took),
        commit_seconds=min(after, default=None),
        level_seconds=None if times.level is None else times.level - times.healed,
        back_seconds=_back_seconds(load, times),
        findings=findings,
        complaint=complaint,
    )


def _back_seconds(load: OpenLoad, times: Times) -> float | None:
    """Return when a window begins in which throughput is back, in seconds after the fault."""
    wanted = BACK_SHARE * load.rate(times.began, times.struck)
    return first_window(sorted(load.acknowledged.values()), wanted, times.healed, times.ended)


def first_window(moments: Sequence[float], rate: float, start: float, end: float) -> float | None:
    """Return how long after `start` a window begins with at least this rate; None for never."""
    at = start
    while at + WINDOW_SECONDS <= end:
        inside = sum(at <= moment < at + WINDOW_SECONDS for moment in moments)
        if inside >= rate * WINDOW_SECONDS:
            return at - start
        at += STEP_SECONDS
    return None
