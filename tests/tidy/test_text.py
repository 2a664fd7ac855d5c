import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.tidy import checkout, text_rules
from tools import lock

README_LINES_MAX = 120
LOCKS = tuple(lock.EXTRAS)


def pages() -> list[Path]:
    return checkout.tracked(".md")


def prose() -> list[Path]:
    # Licence, hashes and binary baselines are not ours to phrase.
    skipped = ("LICENSE", "tests/tidy/test_text.py", *LOCKS)
    names = [path for path in checkout.tracked() if checkout.name_of(path) not in skipped]
    # Inputs of the fuzzer are bytes, whatever they look like.
    names = [path for path in names if not checkout.name_of(path).startswith("tests/fuzz/corpus/")]
    return [path for path in names if b"\0" not in path.read_bytes()[:4096]]


def test_pages_have_one_title() -> None:
    found = {checkout.name_of(p): list(text_rules.headings(p.read_text("utf-8"))) for p in pages()}
    assert {name: titles for name, titles in found.items() if titles} == {}


def test_relative_links_resolve() -> None:
    found = {
        checkout.name_of(page): list(text_rules.broken_links(page.read_text("utf-8"), page.parent))
        for page in pages()
    }
    assert {name: links for name, links in found.items() if links} == {}


def test_text_has_nothing_unfinished_and_no_place_or_host() -> None:
    found = {
        checkout.name_of(path): list(text_rules.unwanted(path.read_text(encoding="utf-8")))
        for path in prose()
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_readme_is_short() -> None:
    assert len((checkout.ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES_MAX


def make_targets(makefile: str) -> list[str]:
    lines = [line.partition(":") for line in makefile.splitlines() if "## " in line]
    return [name for name, colon, _ in lines if colon]


def seawall_commands() -> str:
    """Return the help text of the command line."""
    command = [sys.executable, "-m", "seawall.cli.main", "--help"]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=checkout.PACKAGE.parent
    ).stdout


def test_readme_commands_exist() -> None:
    targets = make_targets((checkout.ROOT / "Makefile").read_text("utf-8"))
    words = seawall_commands().replace(",", " ").replace("{", " ").replace("}", " ").split()
    known = {"make": targets, "seawall": words}
    for page in ("README.md", "CONTRIBUTING.md"):
        commands = text_rules.commands((checkout.ROOT / page).read_text("utf-8"))
        assert commands, f"{page} shows how to start"
        assert [(p, name) for p, name in commands if name not in known[p]] == [], page


PLANTS: list[tuple[Callable[[str], Iterable[str]], str]] = [
    (text_rules.headings, "no title"),
    (text_rules.headings, "# One\n\n# Two\n"),
    (text_rules.unwanted, "# TO" + "DO: later"),
    (text_rules.unwanted, "x = 1  # FIX" + "ME"),
    (text_rules.unwanted, "https://files.python" + "hosted.org/x"),
    (text_rules.unwanted, "image: ghcr" + ".io/x/y"),
    (text_rules.unwanted, "see /wo" + "rk/notes"),
    (text_rules.unwanted, 'open("/tm' + 'p/x")'),
    (lambda page: text_rules.broken_links(page, checkout.ROOT), "# A\n[a](missing.md)"),
    (lambda page: text_rules.broken_links(page, checkout.ROOT), "# A\n[a](#nowhere)"),
    (lambda page: text_rules.broken_links(page, checkout.ROOT), "# A\n[a](LICENSE#nowhere)"),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTS)
def test_each_rule_finds_what_is_planted(rule: Callable[[str], Iterable[str]], plant: str) -> None:
    assert list(rule(plant)) != []


def test_fair_pages_pass() -> None:
    page = "# Title\n\n[a](LICENSE) [b](#a-part) [c](https://example.org)\n\n## A part\n"
    page += "\n```\n# a comment in a shell\n```\n"
    assert list(text_rules.headings(page)) == []
    assert list(text_rules.broken_links(page, checkout.ROOT)) == []
    assert list(text_rules.unwanted("services/work/x and ./tmp/x")) == []


def test_commands_are_read_from_blocks_only() -> None:
    page = "make nothing\n\n```\nmake demo\n$ seawall up -n 4  # four\n```\n"
    assert text_rules.commands(page) == [("make", "demo"), ("seawall", "up")]
