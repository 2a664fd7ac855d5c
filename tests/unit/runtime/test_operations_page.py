"""The operations page says what the code does."""

import re
from pathlib import Path

from seawall.chaos.checks import LEASE_SECONDS_MAX
from seawall.consensus.config import ConsensusSettings
from seawall.consensus.messages import FRAGMENT_BYTES_MAX, FRAGMENTS_BYTES_MAX
from seawall.consensus.pending import BLOCKS_AHEAD_MAX
from seawall.runtime.channels import MESSAGE_SIZE_BYTES_MAX
from seawall.runtime.crash import EXIT_CODE, POINTS
from seawall.runtime.serve import PROCESS_ENVIRONMENT, SERVER_GRACE_SECONDS

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_crash_point_is_described() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == dict(POINTS)
    assert f"| {EXIT_CODE} |" in PAGE


def test_the_environment_is_the_one_that_is_set() -> None:
    for name, value in PROCESS_ENVIRONMENT.items():
        (row,) = [line for line in PAGE.splitlines() if f"`{name}`" in line]
        assert f"`{value}`" in row


def test_limits_are_those_of_the_settings() -> None:
    limits = dict(re.findall(r"^\| ([a-z' ,]+[a-z]) \| (.+?) \| ", PAGE, re.MULTILINE))
    settings = ConsensusSettings()
    mib = 1 << 20
    assert mib + (128 << 10) == MESSAGE_SIZE_BYTES_MAX
    assert limits["a message between replicas"] == (
        f"{FRAGMENTS_BYTES_MAX // mib} MiB, in fragments of {FRAGMENT_BYTES_MAX // mib} MiB"
    )
    assert limits["messages waiting for a peer"] == (
        f"{settings.peer_queue_messages_max:,}, or {settings.peer_queue_bytes_max // mib} MiB"
    )
    assert limits["messages of a peer waiting for the replica"] == str(
        settings.peer_inflight_messages_max
    )
    assert limits["silence on a link"] == (
        f"{settings.silence_seconds_max:.0f} s (a heartbeat follows "
        f"{settings.heartbeat_seconds:.0f} s of silence)"
    )
    assert limits["events that one journal sync covers"] == str(settings.events_per_step_max)
    assert limits["batches, updates, transactions waiting for delivery"] == (
        f"{settings.pending_batches_max}, {settings.pending_updates_max:,}, "
        f"{settings.pending_transactions_max}; at most {BLOCKS_AHEAD_MAX} blocks of each"
    )
    assert limits["commits that the ledger may be behind"] == str(settings.ledger_lag_commits_max)
    assert limits["commits sent to the ledger without an answer"] == str(
        settings.ledger_window_commits
    )
    assert limits["log of delivered commits"] == f"{settings.history_bytes_max >> 30} GiB"
    assert limits["a fault's lease"] == f"{LEASE_SECONDS_MAX} s"
    assert SERVER_GRACE_SECONDS == 0.5
