"""Protocol parameters: fixed within an epoch and hashed into its genesis."""

from dataclasses import dataclass, replace
from typing import Final

SYNC: Final = "sync"
"""Leaders are known in advance and waited for; w = 3."""

ASYNC: Final = "async"
"""Leaders come from a common coin and nobody waits for them; w = 4 or 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusParameters:
    """All numbers that change what consensus decides or how fast it goes.

    `wave_length` is w; `leaders_per_round` l; `accept_window` W and `finality_delay` D belong to
    the fast path. Durations are milliseconds. `round_delay_ms_min` paces a busy replica,
    `round_delay_ms_idle` one that has nothing to say.
    """

    protocol: str = SYNC
    wave_length: int = 3
    leaders_per_round: int = 2
    accept_window: int = 1
    finality_delay: int = 3
    gc_depth: int = 60
    round_delay_ms_min: int = 25
    round_delay_ms_idle: int = 1000
    leader_timeout_ms_initial: int = 250
    leader_timeout_ms_max: int = 10_000
    block_batches_max: int = 64
    block_updates_max: int = 4096
    block_transactions_max: int = 64
    transaction_size_bytes_max: int = 16_384
    block_commit_votes_max: int = 64
    block_size_bytes_max: int = 1_000_000

    def asynchronous(self, wave_length: int) -> "ConsensusParameters":
        """Return these with a common coin and a wave length of 4 or 5.

        The accept window is the widest that the finality delay of just the wave length allows.
        """
        return replace(
            self,
            protocol=ASYNC,
            wave_length=wave_length,
            accept_window=wave_length - 2,
            finality_delay=wave_length,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionParameters:
    """Limits that decide which updates a site may attest; equal at all sites."""

    payload_size_bytes_max: int = 1 << 30
    chunk_size_bytes: int = 1 << 20
    seq_window: int = 1024
    expires_height_ahead_max: int = 100_000
    pin_age_commits_max: int = 1024
    batch_updates_max: int = 1024
