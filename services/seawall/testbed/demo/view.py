"""The live view: a full screen on a terminal, plain lines elsewhere, nothing for JSON."""

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seawall.testbed.demo.state import State

SPARKS: Final = "▁▂▃▄▅▆▇█"
OUTCOMES_SHOWN: Final = 8
BAR_WIDTH: Final = 40


class View(Protocol):
    """Shows a demo while it runs."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        ...

    def refresh(self, state: State) -> None:
        """Show the state as it is now."""
        ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def refresh(self, state: State) -> None:
        """Do nothing."""


class Lines(Silent):
    """One line for each thing that is new: phases, every fifth version, attacks, failures."""

    EVERY: Final = 5

    def __init__(self) -> None:
        """Start with nothing shown."""
        self._phase = ""
        self._version = -1
        self._begun: list[str] = []
        self._judged = 0

    def refresh(self, state: State) -> None:
        """Print what is new."""
        if state.phase != self._phase:
            self._phase = state.phase
            self._print(state, state.phase)
        if state.run.versions and state.version // self.EVERY > self._version // self.EVERY:
            self._version = state.version
            heights = " ".join(str(view.height) if view.up else "-" for view in state.views)
            text = f"version {state.version:>3}  accuracy {100 * state.accuracy:5.1f} %"
            self._print(state, f"{text}  heights {heights}")
        for band in state.run.bands[len(self._begun) :]:
            self._begun.append(band.name)
            self._print(state, f"attack: {band.name}")
        for outcome in state.outcomes[self._judged :]:
            if not outcome.holds:
                self._print(state, f"FAIL {outcome.subject}: {outcome.observed}")
        self._judged = len(state.outcomes)

    def _print(self, state: State, text: str) -> None:
        print(f"{state.seconds:6.1f} s  {text}", flush=True)  # noqa: T201 - this is the view


class Screen:
    """A live screen: sites, progress, attacks, verdicts."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._live = Live(console=Console(), refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the screen."""
        self._live.__exit__(kind, error, trace)

    def refresh(self, state: State) -> None:
        """Draw the state."""
        self._live.update(draw(state))


def draw(state: State) -> Group:
    """Return the screen for a state."""
    return Group(_heading(state), _sites(state), _attacks(state), _verdicts(state))


def open_view(*, json: bool) -> View:
    """Return the view that fits the output."""
    if json:
        return Silent()
    return Screen() if sys.stdout.isatty() else Lines()


def sparkline(values: list[float], width: int) -> str:
    """Return values in 0..1 as one line of blocks, newest at the right."""
    top = len(SPARKS) - 1
    return "".join(SPARKS[max(0, min(top, round(value * top)))] for value in values[-width:])


def _heading(state: State) -> Panel:
    settings = state.settings
    accuracies = [version.accuracy for _, version in state.run.versions]
    grid = Table.grid(padding=(0, 2))
    grid.add_row("phase", state.phase, f"{state.seconds:.0f} s")
    done = min(state.version, settings.versions)
    bar = ProgressBar(total=settings.versions, completed=done, width=BAR_WIDTH)
    grid.add_row("version", bar, f"{state.version} of {settings.versions}")
    line = Text(sparkline(accuracies, BAR_WIDTH), "green")
    grid.add_row("accuracy", line, f"{100 * state.accuracy:.1f} %")
    acknowledged, lost = len(state.run.updates), len(state.run.failures)
    grid.add_row("updates", f"{acknowledged} acknowledged", f"{lost} lost")
    people = f"{settings.contributors} contributors, {settings.cheats} of them cheat"
    return Panel(grid, title=f"seawall demo, seed {settings.seed}", subtitle=people)


def _sites(state: State) -> Table:
    table = Table(expand=True)
    for name in ("site", "state", "round", "height", "certified", "entries", "root", "version"):
        table.add_column(name, justify="left" if name in ("site", "state", "root") else "right")
    for view in state.views:
        if not view.up:
            table.add_row(view.name, Text("down", "bold red"), *["-"] * 6)
            continue
        mark = Text("recovering", "yellow") if view.recovering else Text("up", "green")
        numbers = [str(one) for one in (view.round, view.height, view.certified, view.tree_size)]
        version = f"v{view.versions[0]}" if view.versions else "-"
        table.add_row(view.name, mark, *numbers, view.root[:10], version)
    return table


def _attacks(state: State) -> Panel:
    active = [Text(f"! {band.name}", "bold red") for band in state.active]
    return Panel(Group(*(active or [Text("none", "dim")])), title="under attack")


def _verdicts(state: State) -> Panel:
    good = sum(outcome.holds for outcome in state.outcomes)
    lines = [
        Text(f"ok   {one.subject}: {one.observed}")
        if one.holds
        else Text(f"FAIL {one.subject}: {one.observed}", "bold red")
        for one in state.outcomes[-OUTCOMES_SHOWN:]
    ]
    title = f"expectations: {good} of {len(state.outcomes)} hold so far"
    return Panel(Group(*(lines or [Text("none judged yet", "dim")])), title=title)
