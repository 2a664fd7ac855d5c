"""Settings of the integrity role."""

from typing import Annotated

from pydantic import Field

from seawall.config import Settings


class IntegritySettings(Settings):
    """Limits of one attester.

    Attributes:
        ledger_seconds_max: one call to the own ledger.
        pull_chunk_seconds_max: wait for one chunk from the asking site's ledger.
        pull_seconds_max: wait for one whole payload.
        pulls_max: payloads that are pulled at once, by the whole process.
        later_wait_seconds: how long a batch may wait here for the pinned height.
        batches_in_flight_max: batches of one stream that are worked on at once.
        streams_max: open streams of all sites.

    """

    ledger_seconds_max: Annotated[float, Field(gt=0, le=60)] = 10.0
    pull_chunk_seconds_max: Annotated[float, Field(gt=0, le=60)] = 5.0
    pull_seconds_max: Annotated[float, Field(gt=0, le=3600)] = 30.0
    pulls_max: Annotated[int, Field(ge=1, le=64)] = 4
    later_wait_seconds: Annotated[float, Field(ge=0, le=10)] = 0.5
    batches_in_flight_max: Annotated[int, Field(ge=1, le=64)] = 4
    streams_max: Annotated[int, Field(ge=1, le=1024)] = 64
