"""The error tree: whose fault it is, a stable code, where it is, and what to do next.

Every error carries data, not prose: `code` is stable and part of the interface, `field` or
`offset` says where in the input the fault lies, `hint` says what to do next. Nothing here ever
repeats the offending bytes: they may be secret, hostile, or large.

`docs/errors.md` lists every code; it is generated from the `raise` statements of the source.
"""


class SeawallError(Exception):
    """Base of all errors that Seawall raises on purpose."""

    def __init__(
        self,
        code: str,
        hint: str,
        *,
        field: str | None = None,
        offset: int | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        """Keep the facts.

        Args:
            code: stable UPPER_CASE code, prefixed by its area (`ST_HEADER_SIZE`).
            hint: one sentence that says what is expected or what to do next.
            field: dotted path of the offending field, when there is one.
            offset: byte offset of the fault inside the input, when it is known.
            line: line in a text file that people write, from 1, when it is known.
            column: column in that line, from 1.

        """
        super().__init__(code, hint, field, offset)
        self.code = code
        self.hint = hint
        self.field = field
        self.offset = offset
        self.line = line
        self.column = column

    def __str__(self) -> str:
        """Return one line: code, place, hint."""
        place = ""
        if self.field is not None:
            place += f" in {self.field}"
        if self.offset is not None:
            place += f" at byte {self.offset}"
        if self.line is not None:
            place += f" at line {self.line}, column {self.column}"
        return f"{self.code}{place}: {self.hint}"


class LocalError(SeawallError):
    """Our own caller misused an interface: a wrong argument, a wrong state, a wrong file."""


class PeerError(SeawallError):
    """Bytes or behaviour of somebody else are at fault: evidence, never a crash."""


class OperationalError(SeawallError):
    """Disk, network or another process failed: nothing was changed, try again or repair."""
