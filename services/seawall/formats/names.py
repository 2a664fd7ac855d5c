"""Names in manifests and tensor headers: which ones are safe to show, sort and compare.

A name is text in Unicode normalisation form C without control, format (so no bidirectional
override), private or unassigned characters, and without any space but the plain one. The tables
are those of Unicode 3.2, frozen in the standard library, so that every site judges a name alike
whatever its Python version.
"""

import unicodedata
from typing import Final

NAME_BYTES_MAX: Final = 255
"""The longest name in bytes of UTF-8: what common file systems allow for one component."""

_UNICODE: Final = unicodedata.ucd_3_2_0
_HIDDEN_CATEGORIES: Final = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")


def name_fault(name: str) -> str | None:
    """Return what is wrong with a name, as a hint for its author, or None when it is fine."""
    if not name:
        return "give a name that is not empty"
    if not name.isascii():
        if any(_UNICODE.category(letter) in _HIDDEN_CATEGORIES for letter in name if letter != " "):
            return "use visible characters of Unicode 3.2 and plain spaces only"
        if _UNICODE.normalize("NFC", name) != name:
            return "use Unicode normalisation form C"
    elif not name.isprintable():
        return "use no control characters"
    if len(name.encode()) > NAME_BYTES_MAX:
        return f"use at most {NAME_BYTES_MAX} bytes of UTF-8"
    return None


def path_fault(name: str) -> str | None:
    """Return what is wrong with a relative POSIX path, as a hint, or None when it is fine.

    A colon is refused too: manifests of shards separate path, start and end by colons.
    """
    fault = name_fault(name)
    if fault is not None:
        return fault
    if "\\" in name or ":" in name:
        return "use neither backslash nor colon"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "use a relative path without empty, '.' or '..' parts"
    return None
