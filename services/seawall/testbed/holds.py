"""Files that keep a site of a local network down: a lease between the runner and the supervisor.

`holds/<site>@<id>` holds while its modification time lies ahead. Whoever keeps a site down prolongs
it; when he is gone the supervisor starts the site again by itself.
"""

import os
from pathlib import Path
from urllib.parse import quote

from seawall.testbed.directory import NetworkDirectory


def place_of(directory: NetworkDirectory, site: str, name: str) -> Path:
    """Return the file of one hold; `name` may be any text."""
    return directory.holds / f"{site}@{quote(name, safe='')}"


def hold(directory: NetworkDirectory, site: str, name: str, until_seconds: float) -> None:
    """Keep a site down until this Unix time; again, to prolong it."""
    place = place_of(directory, site, name)
    directory.holds.mkdir(exist_ok=True)
    place.touch()
    os.utime(place, (until_seconds, until_seconds))


def release(directory: NetworkDirectory, site: str, name: str) -> None:
    """Let go of a site, as far as this hold is concerned; it need not be there."""
    place_of(directory, site, name).unlink(missing_ok=True)


def holds_of(directory: NetworkDirectory, site: str, now_seconds: float) -> tuple[str, ...]:
    """Return the names of the files that hold a site at this Unix time."""
    found = []
    for place in sorted(directory.holds.glob(f"{site}@*")):
        try:
            until_seconds = place.stat().st_mtime
        except FileNotFoundError:
            continue
        if until_seconds > now_seconds:
            found.append(place.name)
    return tuple(found)


def is_held(directory: NetworkDirectory, site: str, now_seconds: float) -> bool:
    """Return whether a site must not be started at this Unix time."""
    return bool(holds_of(directory, site, now_seconds))
