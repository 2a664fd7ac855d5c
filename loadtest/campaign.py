"""One run: hands out what is due, sends it, counts it, and looks it up afterwards."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

import gevent
import gevent.event
import gevent.pool
import grpc

from loadtest.lookup import look_up
from loadtest.network import START_SECONDS_MAX, Log, Network
from loadtest.outcome import Flooding, Outcome
from loadtest.plan import EXPECTED, Item, Kind, Plan, Transport, schedule
from loadtest.tally import Acknowledged, Tally
from loadtest.updates import Maker
from seawall.client import Prepared

REFRESH_SECONDS: Final = 1.0
LOOKUPS_AT_ONCE: Final = 8
SETTLE_SECONDS_MAX: Final = 30.0
SETTLE_PAUSE_SECONDS: Final = 0.5


class Sender(Protocol):
    """Brings updates to sites."""

    def send(self, update: Prepared, site: int) -> Outcome:
        """Send an update; return what became of it."""
        ...

    def flood(self, updates: list[Prepared], site: int) -> Flooding:
        """Open uploads that never go on."""
        ...


Report = Callable[[Item, float, int, str], None]
"""Hears of each item: what, seconds from sending to its end, bytes, and its fault, if any."""


class Campaign:
    """The schedule of one run, its users, and its tally."""

    def __init__(self, network: Network, plan: Plan, report: Report) -> None:
        """Draw the schedule; nothing is sent yet."""
        self.network = network
        self.tally = Tally(plan, schedule(plan))
        self.done = gevent.event.Event()
        self._report = report
        self._log = Log(network)
        self._maker = Maker(network, plan.seed, [])
        self._waiting: dict[Transport, deque[Item]] = {one: deque() for one in Transport}
        for item in self.tally.items:
            self._waiting[item.transport].append(item)
        self._under_way = len(self.tally.items)
        self._origin = 0.0
        self._ended = False

    def begin(self) -> None:
        """Learn where the log stands, and start the clock."""
        self.tally.before = self._log.accepted(START_SECONDS_MAX)
        self._maker.first = self._log.next_numbers()
        self._refresh()
        gevent.spawn(self._keep_fresh)
        self._origin = time.monotonic()
        if not self.tally.items:
            self.done.set()

    def take(self, transport: Transport) -> Item | None:
        """Return the next item of a transport once it is due; None when none is left."""
        waiting = self._waiting[transport]
        if not waiting or self._ended:
            return None
        item = waiting.popleft()
        pause = self._origin + item.due_seconds - time.monotonic()
        if pause > 0:
            gevent.sleep(pause)
        return item

    def perform(self, item: Item, sender: Sender) -> None:
        """Send one item, and count what becomes of it."""
        try:
            entry, update = self._prepared(item)
            if update is None:
                self.tally.skipped += 1
                return
            due = self._origin + item.due_seconds
            sent = time.monotonic()
            if item.kind is Kind.FLOOD:
                flooding = sender.flood(self._maker.flood(item), item.site)
                outcome = flooding.outcome(EXPECTED[Kind.FLOOD])
            else:
                outcome = sender.send(update, entry.item.site)
            entry = replace(entry, entry_index=outcome.entry_index)
            good = self.tally.count(entry, outcome, due, sent)
            took = time.monotonic() - sent
            self._report(item, took, len(update.payload), "" if good else outcome.code)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.done.set()

    def finish(self) -> None:
        """Look everything up, and close what is open."""
        self._ended = True
        pool = gevent.pool.Pool(LOOKUPS_AT_ONCE)
        look_up(self.tally, self._log, self.network.chain.data, pool.map)
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            self.tally.after = self._log.accepted()
            level = max(self.tally.after) == min(self.tally.after)
            if level or time.monotonic() > deadline:
                break
            gevent.sleep(SETTLE_PAUSE_SECONDS)
        self._log.close()

    def _prepared(self, item: Item) -> tuple[Acknowledged, Any]:
        """Return what is sent for an item, and how it is counted.

        A replay uses the number of an update that was acknowledged, at the site that did so.
        """
        if item.kind is not Kind.REPLAYED:
            update = self._maker.make(item)
            return Acknowledged(item, update.seq, update.update_id, update.envelope, 0), update
        if not self.tally.acknowledged:
            return Acknowledged(item, 0, b"", b"", 0), None
        old = self.tally.acknowledged[-1]
        update = self._maker.sign(old.item, 1, seq=old.seq)
        same = replace(item, site=old.item.site)
        return Acknowledged(same, update.seq, update.update_id, update.envelope, 0), update

    def _refresh(self) -> None:
        for name, _ in self.network.tasks:
            self._maker.bases[name] = self._log.base_of(name)

    def _keep_fresh(self) -> None:
        """Follow the newest versions: updates from old ones are refused in the end."""
        while True:
            gevent.sleep(REFRESH_SECONDS)
            if self._ended:
                return
            with suppress(grpc.RpcError):
                # The site may be away for a moment; what is known stays good for a while.
                self._refresh()
