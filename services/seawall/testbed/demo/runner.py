"""Runs the demo from set-up to verdict."""

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import seawall
from seawall.client import Chain
from seawall.errors import LocalError, OperationalError
from seawall.testbed.demo import attacks, messages
from seawall.testbed.demo.field import Entries, Field
from seawall.testbed.demo.figures import Figures
from seawall.testbed.demo.messages import Acknowledged, Failed, Finished, Report, Version
from seawall.testbed.demo.outcomes import Band, Outcome, Sample, expect, require
from seawall.testbed.demo.schedule import Attack, draw_schedule
from seawall.testbed.demo.settings import OTHERS, DemoSettings
from seawall.testbed.demo.state import State
from seawall.testbed.demo.view import View
from seawall.testbed.demo.workers import Workers
from seawall.testbed.export import export_chain
from seawall.testbed.genesis_maker import MadeNetwork, NetworkPlan, make_network
from seawall.testbed.observer import Observer, SiteView
from seawall.testbed.processes import environment
from seawall.testbed.supervisor import Supervisor, plans_of
from seawall.testbed.tasks import digits_task, wide_task

LOOK_SECONDS: Final = 0.4
START_SECONDS_MAX: Final = 60.0
SETTLE_SECONDS_MAX: Final = 30.0
RECEIPTS_SECONDS_MAX: Final = 90.0
AUDIT_SECONDS_MAX: Final = 120.0
MARKER: Final = "DEMO"
LAST_VERSIONS: Final = 5
"""One version can be unlucky; the median of the last five is judged."""

AUDITOR: Final = Path(seawall.__file__).resolve().parents[2] / "tools" / "audit.py"
"""The auditor; it lies beside the package in a checkout."""

AUDITS: Final = (
    "four ledgers: entry by entry, Q cosigned",
    "every receipt: offline, and in every ledger",
    "every conviction: two signatures of one round",
    "every version: recomputed from log and payloads",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished demo."""

    outcomes: tuple[Outcome, ...]
    figures: Figures
    audit: tuple[str, ...]
    schedule: tuple[Attack, ...]
    state: State

    @property
    def holds(self) -> bool:
        """Whether every expectation held."""
        return all(outcome.holds for outcome in self.outcomes)


def prepare(path: Path, settings: DemoSettings) -> MadeNetwork:
    """Make an empty directory and the network in it; an earlier demo's directory is emptied.

    Raises:
        LocalError: CLI_DIRECTORY for a directory that holds something else.

    """
    if (path / MARKER).exists():
        shutil.rmtree(path)
    if path.exists() and any(path.iterdir()):
        raise LocalError("CLI_DIRECTORY", f"{path} holds other files: choose another directory")
    path.mkdir(parents=True, exist_ok=True)
    (path / MARKER).write_text("removed by the next demo in this directory\n", encoding="utf-8")
    digits = digits_task(
        settings.seed, contributors=settings.contributors, interval_ms=settings.interval_ms
    )
    plan = NetworkPlan(
        sites=settings.sites,
        chain="demo",
        contributors=settings.contributors,
        others=OTHERS,
        tasks=(digits, wide_task()),
        consensus=settings.consensus,
    )
    return make_network(path, plan)


async def run_demo(path: Path, settings: DemoSettings, view: View) -> Result:
    """Run a demo; whatever happens, no process is left behind."""
    state = State(settings=settings)
    view.refresh(state)
    made = prepare(path, settings)
    demo = _Demo(made, settings, state, view)
    return await demo.run()


class _Demo:
    """One run."""

    def __init__(self, made: MadeNetwork, settings: DemoSettings, state: State, view: View) -> None:
        self._made = made
        self._settings = settings
        self._state = state
        self._view = view
        self._schedule = draw_schedule(settings)
        self._finished = Finished(acknowledged=0, receipts=0, missing=0)

    async def run(self) -> Result:
        made, state = self._made, self._state
        self._enter("starting four sites")
        plans = plans_of(made.directory, made.genesis)
        async with AsyncExitStack() as stack:
            supervisor = await stack.enter_async_context(
                Supervisor(made.directory, made.origin, plans)
            )
            observer = await stack.enter_async_context(Observer(made.genesis))
            workers = await stack.enter_async_context(
                Workers(made.directory, self._settings, self._hear)
            )
            field = Field(
                settings=self._settings,
                directory=made.directory,
                chain=Chain.read(made.directory.genesis),
                supervisor=supervisor,
                observer=observer,
                workers=workers,
            )
            attacked = await self._with_everything(field)
            self._enter("copying ledgers and payloads")
            genesis_bytes = made.directory.genesis.read_bytes()
            ledgers = await export_chain(observer, made.genesis, genesis_bytes, made.directory.path)
            self._view.refresh(state)
        self._enter("auditing")
        audit = await self._audit()
        entries = {name: one.entries for name, one in ledgers.items()}
        outcomes = (
            *self._training_outcomes(),
            *attacked,
            *(check(entries) for check in field.later),
            self._refused_outcome(field, entries),
            *_audit_outcomes(audit),
        )
        self._enter("done")
        return Result(
            outcomes=tuple(outcomes),
            figures=state.run.figures(
                receipts=self._finished.receipts, entries=max(map(len, entries.values()))
            ),
            audit=tuple(audit),
            schedule=self._schedule,
            state=state,
        )

    async def _with_everything(self, field: Field) -> list[Outcome]:
        """Train under attack until enough versions are there, then let receipts be fetched."""
        looking = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(field, looking), name="watch")
            following = group.create_task(field.workers.follow(), name="follow")
            async with asyncio.timeout(START_SECONDS_MAX):
                await field.until(lambda: _all_serve(field.views))
            self._enter("training under attack")
            attacked = await self._siege(field)
            self._enter("fetching receipts")
            field.workers.tell(messages.FINISH)
            async with asyncio.timeout(RECEIPTS_SECONDS_MAX):
                await following
            assert field.workers.finished is not None
            self._finished = field.workers.finished.result()
            await self._settle(field)
            looking.set()
        return attacked

    async def _siege(self, field: Field) -> list[Outcome]:
        """Carry out the schedule while versions are made; return outcomes in its order."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._attack(field, attack), name=attack.kind)
                for attack in self._schedule
            ]
            try:
                async with asyncio.timeout(self._settings.seconds_max):
                    # As contributors count: a version that was pulled and verified.
                    await field.until(lambda: self._state.version >= self._settings.versions)
                    await asyncio.wait(tasks)
            except TimeoutError:
                for task in tasks:
                    task.cancel()
        outcomes: list[Outcome] = []
        for attack, task in zip(self._schedule, tasks, strict=True):
            if task.cancelled():
                subject = attacks.title(field, attack)
                outcomes.append(expect(subject, "it is carried out", "its turn never came"))
            else:
                outcomes.extend(task.result())
        return outcomes

    async def _attack(self, field: Field, attack: Attack) -> list[Outcome]:
        await field.reached(attack.version)
        band = Band(attack.number, attacks.title(field, attack), self._state.seconds)
        self._state.run.bands.append(band)
        try:
            outcomes = await attacks.carry_out(field, attack)
        finally:
            band.end = self._state.seconds
        self._state.outcomes.extend(outcomes)
        return outcomes

    async def _watch(self, field: Field, stop: asyncio.Event) -> None:
        """Look at the sites, note what they say, and show it, until told to stop."""
        while not stop.is_set():
            await field.look()
            if field.supervisor.failed.is_set():
                hint = f"a site does not start: see {self._made.directory.path}/site-*/site.log"
                raise OperationalError("SITE_START", hint)
            self._state.views = field.views
            self._state.run.samples.append(
                Sample(
                    seconds=self._state.seconds,
                    heights=tuple(view.height if view.up else -1 for view in field.views),
                    versions=tuple(view.versions[0] if view.up else -1 for view in field.views),
                    rounds=tuple(view.round if view.up else -1 for view in field.views),
                )
            )
            self._view.refresh(self._state)
            await asyncio.sleep(LOOK_SECONDS)

    async def _settle(self, field: Field) -> None:
        """Wait until every site has what any site had when training ended."""
        height = max(view.height for view in field.views)
        try:
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await field.until(lambda: all(view.certified >= height for view in field.views))
        except TimeoutError:
            # The auditor will say what is missing.
            return

    def _hear(self, message: Report) -> None:
        now = self._state.seconds
        run = self._state.run
        if isinstance(message, Version):
            run.versions.append((now, message))
        elif isinstance(message, Acknowledged):
            run.updates.append((now, message))
        elif isinstance(message, Failed):
            run.failures.append(message.code)

    def _enter(self, phase: str) -> None:
        """Begin a phase; its length is known when the next one begins."""
        run, now = self._state.run, self._state.seconds
        run.phases[self._state.phase] = now - sum(run.phases.values())
        self._state.phase = phase
        self._view.refresh(self._state)

    async def _audit(self) -> list[str]:
        """Run the auditor as a process of its own; return its lines."""
        if not AUDITOR.exists():
            return [f"FAIL | the auditor | not found: {AUDITOR.name} lies in a checkout only"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(AUDITOR),
            str(self._made.directory.path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={key: value for key, value in environment().items() if key != "PYTHONPATH"},
        )
        try:
            async with asyncio.timeout(AUDIT_SECONDS_MAX):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return output.decode(errors="replace").splitlines()

    def _training_outcomes(self) -> list[Outcome]:
        settings, state, finished = self._settings, self._state, self._finished
        missing = len(state.run.failures) + finished.missing
        last = [version.accuracy for _, version in state.run.versions[-LAST_VERSIONS:]]
        settled = median(last) if last else 0.0
        return [
            require(
                "versions of the digits model",
                f"at least {settings.versions}",
                holds=state.version >= settings.versions,
                detail=str(state.version),
            ),
            require(
                f"accuracy with {settings.cheats} of {settings.contributors} cheating",
                f"at least {100 * settings.accuracy_min:.0f} %, median of five",
                holds=settled >= settings.accuracy_min,
                detail=f"{100 * settled:.1f} %",
            ),
            require(
                "updates of enrolled contributors",
                "each acknowledged, with a receipt",
                holds=missing == 0 and finished.acknowledged > 0,
                detail=f"{finished.receipts} receipts, {missing} missing",
            ),
        ]

    def _refused_outcome(self, field: Field, entries: Entries) -> Outcome:
        """Say whether any refused submission has left an update in any ledger."""
        refused = frozenset(field.refused)
        found = sum(
            json.loads(entry)["spec"]["updateId"] in refused
            for ledger in entries.values()
            for entry in ledger
            if b'"kind":"update","spec"' in entry
        )
        return expect("refused submissions", "0 in any ledger", f"{found} in any ledger")


def _audit_outcomes(lines: Sequence[str]) -> list[Outcome]:
    """Return one outcome for each verdict of the auditor."""
    verdicts = [line.split(" | ", 2) for line in lines if line.startswith(("ok ", "FAIL "))]
    outcomes = []
    for at, subject in enumerate(AUDITS):
        mark, _, detail = verdicts[at] if at < len(verdicts) else ("FAIL", "", "no verdict")
        outcomes.append(
            require(f"audit, {subject}", "holds", holds=mark.strip() == "ok", detail=detail)
        )
    return outcomes


def _all_serve(views: Sequence[SiteView]) -> bool:
    return bool(views) and all(view.up and view.certified for view in views)
