import io
import json
from dataclasses import replace

import pytest

from seawall.testbed.learning.study import (
    CLEAN,
    CLIP_NNM_MEDIAN,
    FEDAVG,
    LOCAL_ONLY,
    ROOT_GATE,
    ROOT_ONLY,
    Progress,
    Row,
    Settings,
    Study,
    run_study,
)
from seawall.testbed.learning.study_report import progress_line, render_table, to_json


@pytest.fixture(scope="module")
def small() -> tuple[Study, list[Progress]]:
    """Run a study of five versions and two seeds."""
    seen: list[Progress] = []
    return run_study((11, 12), Settings(versions=5), seen.append), seen


def made_up(gate: float, mean: float, root_only: float) -> Study:
    values = {
        ROOT_GATE: gate,
        FEDAVG: mean,
        ROOT_ONLY: root_only,
        CLIP_NNM_MEDIAN: 0.7,
        CLEAN: 0.9,
        LOCAL_ONLY: 0.5,
    }
    rows = tuple(
        Row(name=name, attackers=0, accuracies=(0.0, value, 1.0), curves=((value,),) * 3)
        for name, value in values.items()
    )
    return Study(settings=Settings(), seeds=(1, 2, 3), rows=rows)


def test_every_row_has_a_curve_per_seed(small: tuple[Study, list[Progress]]) -> None:
    study, seen = small
    assert [row.name for row in study.rows] == [
        ROOT_GATE,
        CLIP_NNM_MEDIAN,
        FEDAVG,
        CLEAN,
        ROOT_ONLY,
        LOCAL_ONLY,
    ]
    for row in study.rows:
        assert [len(curve) for curve in row.curves] == [5, 5]
        assert row.accuracies == tuple(curve[-1] for curve in row.curves)
    assert [row.attackers for row in study.rows] == [6, 6, 6, 0, 0, 0]
    assert [one.done for one in seen] == list(range(1, 13))
    assert {one.total for one in seen} == {12}


def test_a_few_versions_already_tell_the_rules_apart(small: tuple[Study, list[Progress]]) -> None:
    study, _ = small
    assert study.row(ROOT_GATE).median > study.row(FEDAVG).median + 0.1
    assert study.row(CLEAN).median > study.row(FEDAVG).median + 0.1


def test_a_study_repeats_exactly(small: tuple[Study, list[Progress]]) -> None:
    first, _ = small
    again = run_study((12,), first.settings)
    for row in first.rows:
        assert row.curves[1] == again.row(row.name).curves[0]


@pytest.mark.parametrize(
    ("gate", "mean", "root_only", "holds"),
    [
        (0.80, 0.60, 0.70, [True, True, True]),
        (0.79, 0.50, 0.60, [False, True, True]),
        (0.85, 0.50, 0.76, [True, False, True]),
        (0.85, 0.66, 0.60, [True, True, False]),
    ],
)
def test_expectations_hold_or_fail_each_for_itself(
    gate: float, mean: float, root_only: float, holds: list[bool]
) -> None:
    study = made_up(gate, mean, root_only)
    assert [expectation.holds for expectation in study.expectations()] == holds
    assert study.holds == all(holds)
    assert render_table(study).count("FAIL") == holds.count(False)


def test_the_table_names_settings_and_results(small: tuple[Study, list[Progress]]) -> None:
    text = render_table(small[0])
    for words in ("root gate", "6/20", "5 versions", "seeds 11, 12", "learning rate 0.1", "K = 10"):
        assert words in text
    assert max(len(line) for line in text.splitlines()) <= 110


def test_json_holds_the_whole_study(small: tuple[Study, list[Progress]]) -> None:
    study, _ = small
    document = json.loads(json.dumps(to_json(study)))
    assert document["seeds"] == [11, 12]
    assert document["settings"]["training"]["learning_rate"] == 0.1
    assert document["rows"][0]["curves"] == [list(curve) for curve in study.rows[0].curves]
    assert document["holds"] == study.holds


class Terminal(io.StringIO):
    """Text that passes for a terminal."""

    def isatty(self) -> bool:
        """Return that this is one."""
        return True


def test_progress_shows_on_terminals_only() -> None:
    step = Progress(done=1, total=2, row=FEDAVG, seed=3)
    for stream, texts in ((io.StringIO(), []), (Terminal(), ["1/2 seed 3", "2/2 seed 3"])):
        show = progress_line(stream)
        show(step)
        show(replace(step, done=2))
        assert all(text in stream.getvalue() for text in texts)
        assert bool(stream.getvalue()) == bool(texts)
        assert stream.getvalue().count("\n") == (1 if texts else 0)
