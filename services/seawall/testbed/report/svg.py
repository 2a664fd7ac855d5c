"""Plots as inline SVG: axes with round numbers, lines, dots, bands, and a legend."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]

WIDTH: Final = 880
HEIGHT: Final = 300
LEFT: Final = 58
RIGHT: Final = 16
TOP: Final = 18
BOTTOM: Final = 46
TICKS: Final = 6
LABEL_GAP: Final = 14

COLOURS: Final = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#db2777", "#0891b2", "#65a30d")
"""One colour for each line; told apart by people who see few colours, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: its range, its title, and how a tick reads."""

    low: float
    high: float
    title: str
    text: Callable[[float], str] = "{:g}".format
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, 0..1."""
        if self.logarithmic:
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(max(value, self.low)) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> Iterator[float]:
        """Yield round values between the ends."""
        if self.logarithmic:
            for power in range(
                math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1
            ):
                for factor in (1, 2, 5):
                    value = factor * 10.0**power
                    if self.low <= value <= self.high:
                        yield value
            return
        step = _round_step((self.high - self.low) / TICKS)
        at = math.ceil(self.low / step - 1e-9)
        while at * step <= self.high + step * 1e-9:
            yield round(at * step, 10)
            at += 1


@dataclass(slots=True)
class Plot:
    """A plot under construction; `render` gives the SVG."""

    title: str
    x: Axis
    y: Axis
    _marks: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def line(self, points: Points, name: str, colour: str, *, width: float = 2) -> None:
        """Add a line through the points; wide ones first, so that all are seen."""
        if not points:
            return
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self._marks.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
            ' stroke-linejoin="round"/>'
        )
        if name:
            self._legend.append((name, colour))

    def dots(self, points: Points, name: str, colour: str) -> None:
        """Add a dot for each point."""
        self._marks.extend(
            f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="2" fill="{colour}"'
            ' fill-opacity="0.45"/>'
            for x, y in points
        )
        if name:
            self._legend.append((name, colour))

    def band(self, start: float, end: float, label: str, hint: str, colour: str) -> None:
        """Add a span of the x axis, numbered; pointing at it shows what it is."""
        left, right = self._x(start), self._x(max(end, start))
        wide = max(right - left, 3.0)
        self._marks.insert(
            0,
            f'<g><title>{escape(hint)}</title><rect x="{left:.1f}" y="{TOP}" width="{wide:.1f}"'
            f' height="{HEIGHT - TOP - BOTTOM}" fill="{colour}" fill-opacity="0.13"/>'
            f'<text x="{left + 4:.1f}" y="{TOP - 5}" class="tag">{escape(label)}</text></g>',
        )

    def level(self, value: float, label: str, *, below: bool = False) -> None:
        """Add a dashed line across, with a word at its end, above the line or below it."""
        y = self._y(value)
        line = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        place = f'x="{WIDTH - RIGHT - 4}" y="{y + 14 if below else y - 5:.1f}"'
        self._marks.append(f'<line {line} class="level"/>')
        self._marks.append(f'<text {place} class="note">{escape(label)}</text>')

    def render(self) -> str:
        """Return the SVG element."""
        frame = "".join(self._frame())
        legend = "".join(self._named())
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f"{frame}{''.join(self._marks)}{legend}</svg>"
        )

    def _frame(self) -> Iterator[str]:
        bottom = HEIGHT - BOTTOM
        for value in self.y.ticks():
            y = self._y(value)
            yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            text = escape(self.y.text(value))
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="ytick">{text}</text>'
        for value in self.x.ticks():
            x = self._x(value)
            text = escape(self.x.text(value))
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}" class="axis"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 18}" class="xtick">{text}</text>'
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" class="axis"/>'
        middle, title = (LEFT + WIDTH - RIGHT) / 2, escape(self.x.title)
        yield f'<text x="{middle}" y="{HEIGHT - 8}" class="xtick title">{title}</text>'
        turned = f"translate(14 {(TOP + bottom) / 2}) rotate(-90)"
        title = escape(self.y.title)
        yield f'<text transform="{turned}" class="xtick title">{title}</text>'

    def _named(self) -> Iterator[str]:
        x = LEFT + 10.0
        for name, colour in self._legend:
            y = TOP + LABEL_GAP
            yield f'<rect x="{x:.1f}" y="{y - 8}" width="14" height="4" rx="2" fill="{colour}"/>'
            yield f'<text x="{x + 19:.1f}" y="{y - 2}" class="legend">{escape(name)}</text>'
            x += 34 + 7.0 * len(name)

    def _x(self, value: float) -> float:
        return LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM)


def _round_step(step: float) -> float:
    """Return the least of 1, 2, 5 times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(max(step, 1e-9)))
    for factor in (1, 2, 5):
        if factor * power >= step:
            return factor * power
    return 10 * power
