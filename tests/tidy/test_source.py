from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.tidy import checkout, source_rules
from tests.tidy.set_order import set_order

Rule = Callable[[str], Iterable[str]]


def findings(rule: Rule, paths: Iterable[Path]) -> list[str]:
    return [
        f"{checkout.name_of(path)}: {finding}"
        for path in paths
        for finding in rule(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    "rule", [source_rules.too_long, source_rules.long_functions, source_rules.silent]
)
def test_all_python_keeps_the_rule(rule: Rule) -> None:
    assert findings(rule, checkout.python_files()) == []


def test_public_names_are_documented() -> None:
    assert findings(source_rules.undocumented, checkout.python_files(checkout.PACKAGE)) == []


@pytest.mark.parametrize("rule", [set_order, source_rules.excluded_from_coverage])
def test_pure_cores_keep_the_rule(rule: Rule) -> None:
    assert checkout.pure_files(), "the pure cores exist"
    assert findings(rule, checkout.pure_files()) == []


def test_tests_neither_mock_nor_sleep() -> None:
    assert findings(source_rules.imitations, checkout.python_files(checkout.ROOT / "tests")) == []


PLANTS: list[tuple[Rule, str]] = [
    (source_rules.too_long, "\n" * 451),
    (source_rules.too_long, "x = '" + "y" * 100 + "'"),
    (source_rules.long_functions, "def long():\n" + "    call()\n" * 50),
    (source_rules.undocumented, "x = 1"),
    (source_rules.undocumented, '"""Module."""\ndef bare(): ...'),
    (source_rules.undocumented, '"""Module."""\nclass Bare: ...'),
    (source_rules.undocumented, '"""Module."""\nclass A:\n    """A."""\n    def bare(self): ...'),
    (source_rules.silent, "x = 1  # no" + "qa"),
    (source_rules.silent, "x = 1  # no" + "qa: E501"),
    (source_rules.silent, "x = 1  # type" + ": ignore[arg-type]"),
    (source_rules.excluded_from_coverage, "x = 1  # pragma: " + "no cover"),
    (source_rules.imitations, "from unittest.mock import Mock"),
    (source_rules.imitations, "import unittest.mock"),
    (source_rules.imitations, "import time\ntime.sleep(1)"),
    (set_order, "def f():\n    for x in {1, 2}: call(x)"),
    (set_order, "def f(v):\n    return [x for x in set(v)]"),
    (set_order, "def f(v):\n    return list(frozenset(v))"),
    (set_order, "def f(v: set[int]):\n    for x in v: call(x)"),
    (set_order, "def f(v: frozenset[int]):\n    return tuple(v | {1})"),
    (set_order, "def f(v):\n    s = set(v)\n    return {x: 1 for x in s}"),
    (set_order, "def f(v: set[int]):\n    return v.pop()"),
    (set_order, "def f(v: set[int]):\n    return [*v]"),
    (set_order, "def f(v: set[int], w):\n    return tuple(v.union(w))"),
    (set_order, "class A:\n    s: set[int]\n    def f(self):\n        return list(self.s)"),
    (
        set_order,
        "class A:\n    def f(self):\n        self.s: set[int] = set()\n        list(self.s)",
    ),
    (set_order, "def f(v: set[int]):\n    return sum(x for x in list(v))"),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTS)
def test_each_rule_finds_what_is_planted(rule: Rule, plant: str) -> None:
    assert list(rule(plant)) != []


FAIR: list[tuple[Rule, str]] = [
    (source_rules.silent, "x = 1  # no" + "qa: E501 - a published vector"),
    (source_rules.silent, "x = 1  # type" + ": ignore[arg-type]  # the library says Any"),
    (source_rules.long_functions, 'def f():\n    """' + "a\n" * 60 + '"""\n    call()'),
    (source_rules.undocumented, '"""M."""\nclass A:\n    """A."""\n    def _own(self): ...'),
    (set_order, "def f(v: set[int]):\n    for x in sorted(v): call(x)"),
    (set_order, "def f(v: set[int]):\n    return sum(x for x in v) + max(v) + len(v)"),
    (set_order, "def f(v: set[int]):\n    return {x + 1 for x in v}"),
    (set_order, "def f(v: set[int], w):\n    return w in v"),
    (set_order, "def f(v: list[int]):\n    return v.pop()\ndef g(v: set[int]): ..."),
]


@pytest.mark.parametrize(("rule", "fair"), FAIR)
def test_each_rule_lets_fair_code_pass(rule: Rule, fair: str) -> None:
    assert list(rule(fair)) == []
