"""Settings of the aggregation role."""

from typing import Annotated

from pydantic import Field

from seawall.config import Settings


class AggregationSettings(Settings):
    """Limits of one site's aggregation; durations in seconds.

    Attributes:
        rpc_seconds_max: one answer of a role of the own site.
        chunk_seconds_max: wait for one chunk of a payload, from any ledger.
        fetches_max: payloads that are read or fetched at once.
        retry_seconds_min: pause before the first repetition of anything that failed; it doubles.
        retry_seconds_max: longest such pause.
        vote_seconds: wait for an own vote to be counted before it is handed in again; doubles.
        vote_attempts_max: times that one vote is handed in.
        cuts_ahead_max: cuts that are read from the log ahead of their versions.
        streams_max: model versions that are sent to clients at once.

    """

    rpc_seconds_max: Annotated[float, Field(gt=0, le=60)] = 10.0
    chunk_seconds_max: Annotated[float, Field(gt=0, le=60)] = 5.0
    fetches_max: Annotated[int, Field(ge=1, le=64)] = 4
    retry_seconds_min: Annotated[float, Field(gt=0, le=10)] = 0.1
    retry_seconds_max: Annotated[float, Field(gt=0, le=600)] = 5.0
    vote_seconds: Annotated[float, Field(gt=0, le=600)] = 3.0
    vote_attempts_max: Annotated[int, Field(ge=1, le=100)] = 8
    cuts_ahead_max: Annotated[int, Field(ge=1, le=1024)] = 32
    streams_max: Annotated[int, Field(ge=1, le=4096)] = 128
