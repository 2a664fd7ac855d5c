"""What a lying disk has promised: a note beside a log of where its durable part ends.

A killed process loses nothing that it has written, synced or not, because the system still has
it. So the loss is done at the next start: `lose` cuts away what came after the note. There is a
note only while a disk lies, and until the first real sync after it.
"""

import os
import re
from pathlib import Path
from typing import Final

from seawall.errors import OperationalError
from seawall.runtime.locks import sync_directory, write_durably

NOTE: Final = "unsynced"
_NOTE: Final = re.compile(r"([0-9]{1,12}) ([0-9]{1,18})\n")


def note(directory: Path, segment: int, size_bytes: int) -> None:
    """Say that the log is durable up to this size of this segment; raises OSError."""
    write_durably(directory / NOTE, f"{segment} {size_bytes}\n".encode())


def forget(directory: Path) -> None:
    """Remove the note, if there is one; raises OSError."""
    (directory / NOTE).unlink(missing_ok=True)
    sync_directory(directory)


def lose(directory: Path) -> None:
    """Cut the log back to what the note says, if there is one.

    Raises:
        OSError: the disk refused.
        OperationalError: JOURNAL_CORRUPT when the note is none.

    """
    try:
        text = (directory / NOTE).read_text(encoding="ascii")
    except FileNotFoundError:
        return
    found = _NOTE.fullmatch(text)
    if found is None:
        hint = f"{NOTE}: it is no note: restore this directory, or start with an empty one"
        raise OperationalError("JOURNAL_CORRUPT", hint, field=NOTE, offset=0)
    kept, size_bytes = int(found[1]), int(found[2])
    for path in sorted(directory.glob("*.seg")):
        if int(path.stem) > kept:
            path.unlink()
        elif int(path.stem) == kept and path.stat().st_size > size_bytes:
            os.truncate(path, size_bytes)
    forget(directory)
