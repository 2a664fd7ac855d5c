"""Rules for pages and other text. Each takes text and yields findings."""

import re
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^ {0,3}(?:```|~~~).*?^ {0,3}(?:```|~~~)\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*$", re.MULTILINE)
COMMAND = re.compile(r"^\$?\s*(?P<program>make|seawall)\s+(?P<name>[a-z][a-z-]*)", re.MULTILINE)

# Spelled in parts, so that this list does not find itself.
UNFINISHED = re.compile(
    "|".join(rf"\b{a}{b}\b" for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X")))
)
HOSTS = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("docker", "io"),
            ("ghcr", "io"),
            ("quay", "io"),
            ("gcr", "io"),
        )
    )
)
PLACES = re.compile(r"(?<![\w.$}])/(?:work|tmp|root|home|farm)/")


def without_code(page: str) -> str:
    """Return a markdown page without its fenced blocks."""
    return FENCE.sub("", page)


def headings(page: str) -> Iterator[str]:
    """Yield when a page does not have exactly one first-level heading."""
    found = [title for level, title in HEADING.findall(without_code(page)) if level == "#"]
    if len(found) != 1:
        yield f"{len(found)} first-level headings"


def anchors(page: str) -> list[str]:
    """Return the anchors of a page's headings."""
    titles = [title for _, title in HEADING.findall(without_code(page))]
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return [title.replace(" ", "-") for title in plain]


def broken_links(page: str, home: Path) -> Iterator[str]:
    """Yield relative links of a page in folder `home` that lead nowhere."""
    for target in LINK.findall(without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = home / name
        if name and not place.exists():
            yield f"{target} does not exist"
        elif anchor:
            text = place.read_text(encoding="utf-8") if name else page
            if anchor not in anchors(text):
                yield f"{target} has no such heading"


def unwanted(text: str) -> Iterator[str]:
    """Yield unfinished work, package hosts, and places of one machine."""
    for number, line in enumerate(text.splitlines(), 1):
        for rule, what in ((UNFINISHED, "finish it"), (HOSTS, "no hosts"), (PLACES, "no machine")):
            if rule.search(line):
                yield f"line {number}: {what}"


def commands(page: str) -> list[tuple[str, str]]:
    """Return (program, first argument) of the commands in a page's fenced blocks, sorted."""
    blocks = FENCE.findall(page)
    return sorted({match for block in blocks for match in COMMAND.findall(block)})
