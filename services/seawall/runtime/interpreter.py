"""How the Python interpreter of a serving process is set: its garbage collector and its threads.

Measured with `make bench` at 1 KB: the collector's passes over everything that start-up had made
took a tenth of a site's processor time.
"""

import gc
import sys
from typing import Final

COLLECTOR_THRESHOLDS: Final = (20_000, 20, 50)
"""When to look for reference cycles: a site makes many short-lived objects, and few cycles."""

SWITCH_SECONDS: Final = 0.0005
"""How long a thread that wants to run Python waits for another one: the replica's thread gives the
interpreter up at every signature, and by default would wait ten times as long to have it back."""


def tune_interpreter() -> None:
    """Take what start-up made out of the collector's sight, and let threads take turns sooner."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
