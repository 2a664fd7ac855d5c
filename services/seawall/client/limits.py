"""How long a client waits, and how much it holds."""

from dataclasses import dataclass

from seawall.errors import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one client; durations in seconds.

    Attributes:
        rpc_seconds: one answer of a site; after it the next site is asked.
        pull_seconds: one attempt to get a whole model version.
        finish_seconds: check of a whole large payload by a site, after its last chunk.
        received_seconds: from sending an update to RECEIVED; then the same bytes go elsewhere.
        committed_seconds: from one step of an update to the next, until COMMITTED; then the same
            bytes go to one more site as well. Doubles with every attempt.
        backoff_seconds_max: longest time for which a silent site is left alone.
        in_flight_max: updates sent and not committed; `push` waits at the limit.
        uploads_max: large payloads on their way at one time.
        expires_commits: commits after the pulled checkpoint within which an update must be
            accepted; at most what genesis allows.

    """

    rpc_seconds: float = 5.0
    pull_seconds: float = 60.0
    finish_seconds: float = 60.0
    received_seconds: float = 8.0
    committed_seconds: float = 20.0
    backoff_seconds_max: float = 10.0
    in_flight_max: int = 4096
    uploads_max: int = 4
    expires_commits: int = 20_000

    def __post_init__(self) -> None:
        """Raise LocalError `CLIENT_LIMIT` for a value that is not positive."""
        for field in self.__slots__:
            if getattr(self, field) <= 0:
                raise LocalError("CLIENT_LIMIT", "choose more than 0", field=field)
