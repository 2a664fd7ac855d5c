"""Other systems beside Seawall: the same machine, the same invocation, turn by turn.

What others do to a shared machine passes; in turns it hits all systems alike, so ratios hold
where single figures do not.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from bench import comet, etcd
from bench.cells import measure_cell
from bench.plan import COMPARED, WINDOW_SITES, Cell, Lengths, Progress
from bench.report import Phase
from bench.systems import STEADY_SHARE, Load, SystemReport, best_of


class System(Protocol):
    """A system that can be measured."""

    name: str

    def seconds(self, lengths: Lengths) -> float:
        """Return about how long `measure` takes."""
        ...

    async def measure(self, lengths: Lengths, home: Path) -> SystemReport:
        """Start it below `home`, load it, stop it."""
        ...


class Seawall:
    """Four sites and payloads as small as the others' values; two sites check each update."""

    name = "Seawall"

    def __init__(self, progress: Progress) -> None:
        """Tell `progress` what goes on."""
        self._progress = progress
        self._cell = Cell(sites=WINDOW_SITES, size=COMPARED)

    def seconds(self, lengths: Lengths) -> float:
        """Return about how long `measure` takes."""
        return seawall_seconds(lengths)

    async def measure(self, lengths: Lengths, home: Path) -> SystemReport:
        """Run fresh sites once."""
        directory = home / "seawall"
        run, _ = await measure_cell(
            self._cell, lengths, directory, self._progress, share=STEADY_SHARE
        )
        shutil.rmtree(directory)
        return SystemReport(
            name=self.name,
            nodes=WINDOW_SITES,
            bytes=self._cell.size.payload_bytes,
            low=run.low.latency["committed"],
            peak=load_of(run.peak),
            steady=None if run.half is None else load_of(run.half),
            note="signed updates, a payload each",
        )


def load_of(phase: Phase) -> Load:
    """Return a phase as one of any system."""
    cost = phase.cost
    return Load(
        rate=phase.rate,
        latency=phase.latency["committed"],
        cpu_seconds_per_1000=0.0 if cost is None else cost.site_cpu_us / 1000,
        errors=sum(phase.refused.values()) + phase.lost,
    )


def seawall_seconds(lengths: Lengths) -> float:
    """Return about how long Seawall's turn takes."""
    return lengths.run_seconds(WINDOW_SITES, COMPARED)


def installed(tell: Callable[[str], None]) -> tuple[System, ...]:
    """Return the other systems of this machine; tell how to get those that are missing."""
    found: list[System] = []
    if (program := comet.binary()) is not None:
        found.append(comet.Comet(program, "tuned"))
        found.append(comet.Comet(program, "default", loaded=False))
    else:
        tell(f"CometBFT is not measured; to have it: {comet.INSTALL}")
    server = etcd.binary()
    if server is not None and etcd.go() is not None:
        found.append(etcd.Etcd(server))
    else:
        tell(f"etcd is not measured; to have it: {etcd.INSTALL}")
    return tuple(found)


def turn_seconds(others: Sequence[System], lengths: Lengths) -> float:
    """Return about how long one turn of all systems takes; nothing without others."""
    if not others:
        return 0.0
    return seawall_seconds(lengths) + sum(one.seconds(lengths) for one in others)


async def compare(
    others: Sequence[System], lengths: Lengths, turns: int, home: Path, progress: Progress
) -> tuple[SystemReport, ...]:
    """Measure Seawall and the others in turns; return the best run of each, with ratios."""
    if not others:
        return ()
    systems: tuple[System, ...] = (Seawall(progress), *others)
    runs: dict[str, list[SystemReport]] = {one.name: [] for one in systems}
    for turn in range(turns):
        for one in systems:
            progress.say(f"{one.name}: turn {turn + 1} of {turns}")
            runs[one.name].append(await one.measure(lengths, home))
            progress.finished(one.seconds(lengths))
    ours = runs[systems[0].name]
    return tuple(best_of(found, ours) for found in runs.values())
