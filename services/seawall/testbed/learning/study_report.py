"""The study as a terminal table, as JSON, and its progress while it runs."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO, TypeAlias

from seawall.testbed.learning.study import Progress, Row, Study

Json: TypeAlias = dict[str, object]

NAME_WIDTH = 26


def render_table(study: Study) -> str:
    """Return the table, the settings behind it and the verdict, as lines of plain text."""
    header = f"{'accuracy in %':<{NAME_WIDTH}} {'cheats':>6} {'median':>7} {'spread':>13}  per seed"
    lines = [header, "-" * len(header)]
    lines += [_row_line(row, study.settings.clients) for row in study.rows]
    lines += ["", *_settings_lines(study), ""]
    for expectation in study.expectations():
        mark = "ok  " if expectation.holds else "FAIL"
        lines.append(f"{mark} {expectation.statement} -> {expectation.observed}")
    return "\n".join(lines) + "\n"


def to_json(study: Study) -> Json:
    """Return the study as JSON values; accuracies are in 0..1, curves have one per version."""
    return {
        "seeds": list(study.seeds),
        "settings": asdict(study.settings),
        "rows": [
            {
                "name": row.name,
                "attackers": row.attackers,
                "median": row.median,
                "least": min(row.accuracies),
                "most": max(row.accuracies),
                "accuracies": list(row.accuracies),
                "curves": [list(curve) for curve in row.curves],
            }
            for row in study.rows
        ],
        "expectations": [asdict(expectation) for expectation in study.expectations()],
        "holds": study.holds,
    }


def progress_line(stream: TextIO) -> Callable[[Progress], None]:
    """Return a callback that keeps one line of progress on a terminal, or none elsewhere."""

    def show(progress: Progress) -> None:
        if stream.isatty():
            text = f"{progress.done}/{progress.total} seed {progress.seed}: {progress.row}"
            # Erase to the end of the line: the texts differ in length.
            stream.write(f"\r{text}\x1b[K" + ("\n" if progress.done == progress.total else ""))
            stream.flush()

    return show


def _row_line(row: Row, clients: int) -> str:
    cheats = f"{row.attackers}/{clients}" if row.attackers else "-"
    least, most = 100 * min(row.accuracies), 100 * max(row.accuracies)
    spread = f"{least:.1f} to {most:.1f}"
    each = " ".join(f"{100 * one:.1f}" for one in row.accuracies)
    return f"{row.name:<{NAME_WIDTH}} {cheats:>6} {100 * row.median:>7.1f} {spread:>13}  {each}"


def _settings_lines(study: Study) -> list[str]:
    settings, training, pace = study.settings, study.settings.training, study.settings.pace
    seeds = ", ".join(str(seed) for seed in study.seeds)
    return [
        (
            f"digits, MLP 64-32-10, {settings.versions} versions, seeds {seeds}; "
            "accuracy of the last version on 360 test images"
        ),
        (
            f"{settings.clients} clients, Dirichlet {settings.concentration:g}, "
            f"{pace.straggler_share:.0%} stragglers at {pace.straggler_factor}x, "
            f"{settings.root_count} root samples; cheats send the negative of what they learnt"
        ),
        (
            f"every row: SGD, {training.steps} steps of {training.batch_size} images, learning "
            f"rate {training.learning_rate:g}, eta 1, grid 2^-{training.grid_bits}"
        ),
        (
            f"cuts: K = {settings.k}, at least {settings.k_min} after two intervals of "
            f"{settings.interval_ms} ms simulated; f = {settings.f} for clip + NNM + median"
        ),
    ]
