"""Named places at which an experiment may end the process, as if it were killed.

Everything that must survive a crash has its promises around these points: before and after each
write, sync, send and answer. Tests and experiments arm one, restart the process, and look at what
is left.
"""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from seawall.errors import LocalError

EXIT_CODE: Final = 137
"""What a shell reports for a process ended by SIGKILL."""

POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "journal.before_append": "records of a batch of events are decided, none is written",
        "journal.before_sync": "the records are written, not yet durable",
        "journal.after_sync": "the records are durable, nothing was sent",
        "host.before_send": "the replica's output is known, nothing was sent",
        "host.after_send": "messages are queued for peers, commits not yet for the ledger",
        "host.before_deliver": "a commit is about to be handed to the ledger",
        "host.after_deliver": "a commit was handed to the ledger, its answer is outstanding",
        "host.after_rooted": "the ledger's answer is about to enter the replica",
        "ledger.before_commit": "a commit has arrived and is not executed",
        "ledger.before_sync": "the entries are written, not yet durable",
        "ledger.after_sync": "the entries are durable, no reader knows yet",
        "ledger.before_certificate": "a certificate has arrived and is not stored",
        "ledger.after_certificate": "the certificate is durable, nobody knows",
        "ledger.before_payload": "chunks are hashed, not yet written",
        "ledger.after_payload": "chunks are durable, not yet acknowledged",
        "ingestion.before_received": "an update is durable, its sender does not know",
        "ingestion.before_attest": "a batch is formed, nobody has seen it",
        "ingestion.after_attest": "a batch is certified, consensus has not seen it",
        "ingestion.after_submit": "consensus has queued the batch",
        "integrity.before_attest": "a batch was judged, its signature is not out",
        "aggregation.before_version": "a version is computed, not yet stored",
        "aggregation.after_version": "a version is stored, not yet voted for",
        "aggregation.after_vote": "the vote was handed to consensus",
    }
)
"""Every crash point and what is true there."""


def parse(text: str) -> tuple[str, int]:
    """Return point and skip count of `point` or `point:skip`.

    Raises:
        LocalError: CRASH_POINT.

    """
    point, _, skip = text.partition(":")
    if point not in POINTS or (skip and not skip.isdecimal()):
        raise LocalError("CRASH_POINT", "name a point of docs/operations.md, or point:skip")
    return point, int(skip or "0")


class ArmedCrashPoints:
    """Crash points of one process; passing one costs a dictionary look-up.

    `end` is called with the exit code and never returns; tests pass their own.
    """

    def __init__(self, end: Callable[[int], None] = os._exit) -> None:
        """Start with nothing armed."""
        self._armed: dict[str, int] = {}
        self._end = end

    def arm(self, point: str, skip_count: int = 0) -> None:
        """Let the next `skip_count` passes by, then end the process at `point`.

        Raises:
            LocalError: CRASH_POINT for a name that is not in the table.

        """
        if point not in POINTS:
            raise LocalError("CRASH_POINT", "name a point of docs/operations.md", field="point")
        self._armed[point] = skip_count

    def disarm(self, point: str) -> None:
        """Let every later pass by."""
        self._armed.pop(point, None)

    def reach(self, point: str) -> None:
        """Pass the point, or end the process here without any clean-up."""
        assert point in POINTS, point
        if not self._armed or point not in self._armed:
            return
        if self._armed[point] > 0:
            self._armed[point] -= 1
            return
        self._end(EXIT_CODE)
