"""How often a fault has struck."""


class Tally:
    """Counts what one fault did: messages, calls, writes, whatever it is about."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Start at nothing."""
        self.count = 0

    def add(self) -> None:
        """Count one more; calls from several threads may lose one."""
        self.count += 1
