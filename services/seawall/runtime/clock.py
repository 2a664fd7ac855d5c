"""The process's clocks."""

import time


class SystemClock:
    """The operating system's clocks, behind the `Clock` protocol."""

    def elapsed_us(self) -> int:
        """Return microseconds of the monotonic clock."""
        return time.monotonic_ns() // 1000

    def wall_ms(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000
