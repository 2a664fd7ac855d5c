"""What the sites say of their ledgers: looked at during a run, and read as a whole at its end."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from seawall.chaos.runner.injection import Breach
from seawall.client import Chain
from seawall.errors import OperationalError
from seawall.formats.entry import kind_of
from seawall.testbed import judging
from seawall.testbed.export import Exported, export_ledger
from seawall.testbed.observer import Observer, SiteView, forks

LEVEL_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.25
RECEIPTS_MAX: Final = 300
"""Receipts that each site is asked for; that every acknowledged update is in every ledger is read
from the entries."""


Look: TypeAlias = tuple[int, tuple[SiteView, ...]]
"""When all sites were looked at, and what each said."""


@dataclass(slots=True)
class Expected:
    """What a run must leave in the ledgers.

    Attributes:
        acknowledged: ids of acknowledged updates, in hex, as they come.
        excused: sites that lie by order, or stay down: nothing is asked of them.
        convicted: names of sites of which there must be evidence.

    """

    acknowledged: Mapping[str, int]
    excused: list[int] = field(default_factory=list)
    convicted: Sequence[str] = ()


@dataclass(slots=True)
class SiteLedgers:
    """Implements `chaos.runner.protocols.Ledgers`.

    Attributes:
        looks: (time, what every site said), as often as was looked.
        behind: names of the sites that were not level at the end, and so were not asked.

    """

    observer: Observer
    chain: Chain
    home: Path
    expected: Expected
    clock: Callable[[], int]
    looks: list[Look] = field(default_factory=list)
    behind: tuple[str, ...] = ()
    _heads: dict[tuple[int, str], None] = field(default_factory=dict)
    _said: dict[Breach, None] = field(default_factory=dict)

    async def look(self) -> tuple[Breach, ...]:
        """Look at every site; two roots for one size are a fork. Each breach is told once."""
        views = await self.observer.look()
        self.looks.append((self.clock(), views))
        honest = self._asked(views)
        for view in honest:
            if view.up and view.tree_size:
                self._heads[view.tree_size, view.root] = None
        found = [
            Breach(invariant="one order", detail=f"{a} and {b} have two roots for one size")
            for a, b in forks(tuple(honest))
        ]
        news = [breach for breach in found if breach not in self._said]
        self._said.update(dict.fromkeys(news))
        return tuple(news)

    async def check(self) -> tuple[Breach, ...]:
        """Wait for the sites to be level, copy their ledgers to files, and judge them."""
        level = await self._level()
        if not level:
            raise OperationalError("CHAOS_LEDGERS", "no site answers")
        ledgers: dict[str, Exported] = {}
        for view in level:
            if not view.certified:
                # It has lost whatever was ever acknowledged.
                ledgers[view.name] = Exported(entries=(), size=0, root=b"")
                continue
            path = self.home / "ledgers" / f"{view.name}.jsonl"
            ledgers[view.name] = await export_ledger(self.observer, view.site, path)
        findings = await judging.judge(
            self.observer,
            self.chain.data,
            {view.site: view.name for view in level},
            spread(tuple(self.expected.acknowledged), RECEIPTS_MAX),
            ledgers,
            self._heads,
        )
        found = [*_of_findings(findings), *self._lost(ledgers), *self._evidence(ledgers)]
        return tuple([breach for breach in dict.fromkeys(found) if breach not in self._said])

    async def _level(self) -> tuple[SiteView, ...]:
        """Return the sites that have certified what any of them had ordered."""
        height = -1
        level: list[SiteView] = []
        try:
            async with asyncio.timeout(LEVEL_SECONDS_MAX):
                while True:
                    await self.look()
                    asked = self._asked(self.looks[-1][1])
                    answering = [view for view in asked if view.up]
                    if height < 0:
                        height = max((view.height for view in answering), default=-1)
                    level = [view for view in answering if view.certified >= height]
                    if level and len(level) == len(asked):
                        break
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            asked = self._asked(self.looks[-1][1])
            self.behind = tuple([one.name for one in asked if one not in level])
            # Without any that is level: those that have the most.
            level = level or [one for one in asked if one.up]
        return tuple(level)

    def _asked(self, views: Sequence[SiteView]) -> list[SiteView]:
        return [view for view in views if view.site not in self.expected.excused]

    def _lost(self, ledgers: Mapping[str, Exported]) -> Iterable[Breach]:
        """Yield the acknowledged updates that a ledger has no entry of."""
        for name, ledger in ledgers.items():
            there = dict.fromkeys(updates_of(ledger.entries))
            lost = [one for one in self.expected.acknowledged if one not in there]
            if lost:
                detail = f"{name} lacks {len(lost)} acknowledged updates, such as {lost[0][:16]}"
                yield Breach(invariant="nothing acknowledged is lost", detail=detail)

    def _evidence(self, ledgers: Mapping[str, Exported]) -> Iterable[Breach]:
        """Yield what is missing, or too much, among the convictions."""
        for name, ledger in ledgers.items():
            found = judging.convicted(ledger.entries)
            for missing in [one for one in self.expected.convicted if one not in found]:
                detail = f"{name} has none against {missing}, which signed two blocks of a round"
                yield Breach(invariant="evidence of equivocation", detail=detail)
            for wrong in dict.fromkeys([one for one in found if one not in self._liars()]):
                detail = f"{name} has some against {wrong}, which is honest"
                yield Breach(invariant="no false evidence", detail=detail)

    def _liars(self) -> tuple[str, ...]:
        sites = self.chain.genesis.sites
        return tuple([sites[site].name for site in self.expected.excused])


def _of_findings(findings: judging.Findings) -> Iterable[Breach]:
    for name, update, why in findings.lost:
        detail = f"{name} cannot prove {update[:16]}: {why}"
        yield Breach(invariant="receipts verify", detail=detail)
    for name in findings.forks:
        detail = f"the entries of {name} are not the beginning of the longest ledger"
        yield Breach(invariant="one order", detail=detail)
    for index in findings.digests:
        detail = f"two ledgers name two digests for commit {index}"
        yield Breach(invariant="one order", detail=detail)
    for size, root in findings.heads:
        detail = f"a site named root {root[:16]} for {size} entries, which no ledger has"
        yield Breach(invariant="logs only grow", detail=detail)


def spread(values: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most so many of the values, evenly spread over all."""
    if len(values) <= most:
        return tuple(values)
    return tuple([values[place * len(values) // most] for place in range(most)])


def updates_of(entries: Iterable[bytes]) -> Iterable[str]:
    """Yield the ids of the updates among entries, in hex."""
    for data in entries:
        if kind_of(data) == "update":
            yield json.loads(data)["spec"]["updateId"]
