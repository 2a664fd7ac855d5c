"""What a lying disk has promised: a note beside a log of where its durable part ends.

A killed process loses nothing that it has written, synced or not, because the system still has
it. So the loss is done at the next start: `lose` cuts away what came after the note. There is a
note only while a disk lies, and until the first real sync after it.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from seawall.runtime.locks import sync_directory, write_durably

NOTE: Final = "unsynced"


def note(directory: Path, segment: int, size_bytes: int) -> None:
    """Say that the log is durable up to this size of this segment; raises OSError."""
    write_durably(directory / NOTE, f"{segment} {size_bytes}\n".encode())


def forget(directory: Path) -> None:
    """Remove the note, if there is one; raises OSError."""
    (directory / NOTE).unlink(missing_ok=True)
    sync_directory(directory)


def lose(directory: Path, segments: Iterable[tuple[int, Path]]) -> bool:
    """Cut the segments back to what the note says; return whether there was one.

    Raises OSError, and ValueError for a note that is none.
    """
    try:
        text = (directory / NOTE).read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    kept, size_bytes = (int(word) for word in text.split())
    for number, path in segments:
        if number > kept:
            path.unlink()
        elif number == kept and path.stat().st_size > size_bytes:
            os.truncate(path, size_bytes)
    forget(directory)
    return True
