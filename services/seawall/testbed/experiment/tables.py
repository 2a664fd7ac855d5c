"""What a terminal shows of a run."""

from collections.abc import Iterator, Sequence

from seawall.testbed.experiment.figures import Latency, PhaseFigures
from seawall.testbed.experiment.outcome import Result

PHASE_HEADER = (
    *("phase", "seconds", "handed in/s", "final/s", "committed/s"),
    *("final p50", "p95", "committed p50", "p95", "p99", "never"),
)


def summary(result: Result) -> list[str]:
    """Return the lines of a run: what it was, its figures, its findings, its verdict."""
    experiment, figures = result.experiment, result.figures
    spec = experiment.spec
    zones = spec.topology.zones if isinstance(spec.topology.zones, str) else "own zones"
    seconds = f"{result.elapsed_us / 1_000_000:g} {result.clock}"
    shape = f"{spec.topology.sites} sites, {zones}, {spec.engine.mode}"
    lines = [
        f"{experiment.metadata.name}: {shape}, seed {spec.seed}, {seconds}",
        experiment.metadata.description,
        "",
        *aligned(PHASE_HEADER, [phase_row(phase) for phase in figures.phases]),
        "",
        "latencies in ms, handed in to final and to committed at the same site",
        "",
        *[f"{name:<22} {value}" for name, value in numbers(result)],
        "",
        *aligned(("", "what", "expected", "observed"), list(_findings(result))),
        "",
        f"verdict: {result.verdict.name}{note(result)}",
    ]
    if result.replay:
        lines += ["replay:  " + result.replay]
    return lines


def numbers(result: Result) -> list[tuple[str, str]]:
    """Return the figures that are not of one phase, by name."""
    figures = result.figures
    return [
        ("recovery", _text(figures.recovery_seconds, "{:.2f} s", "not before the end")),
        ("throughput retained", _text(figures.throughput_retained, "{:.0%}", "-")),
        ("sensitivity", _text(figures.sensitivity_seconds, "{:.3f} s", "-")),
        ("updates committed", f"{figures.committed} of {figures.updates}"),
        ("commits of sites", _range(result.commits)),
    ]


def note(result: Result) -> str:
    """Return what to add to a verdict: a positive control is meant to be unsafe."""
    return ", a positive control" if result.experiment.spec.positive_control else ""


def phase_row(phase: PhaseFigures) -> tuple[str, ...]:
    """Return the cells of one phase under `PHASE_HEADER`."""
    final, committed = phase.final_latency, phase.committed_latency
    return (
        phase.name,
        f"{(phase.end_us - phase.start_us) / 1_000_000:.3g}",
        f"{phase.handed_in:.1f}",
        f"{phase.final:.1f}",
        f"{phase.committed:.1f}",
        *_cells(final)[:2],
        *_cells(committed),
        f"{committed.missing}",
    )


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, columns as wide as they must be."""
    lines = [header, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _cells(latency: Latency) -> list[str]:
    return [_text(value, "{:.0f}", "-") for value in (latency.p50, latency.p95, latency.p99)]


def _text(value: float | None, form: str, nothing: str) -> str:
    return nothing if value is None else form.format(value)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _findings(result: Result) -> Iterator[tuple[str, ...]]:
    for finding in result.findings:
        mark = "ok" if finding.holds else finding.verdict.name
        yield mark, finding.subject, finding.expected, finding.observed
