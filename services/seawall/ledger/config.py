"""Settings of the ledger role."""

from typing import Annotated

from pydantic import Field

from seawall.config import Settings


class LedgerSettings(Settings):
    """Limits of one ledger.

    `map_size_bytes_max` is the most that the tables may take on disk, and `index_size_bytes_max`
    the index of the payload store; at either the site stops taking writes. `puts_in_flight_max`
    and `commits_in_flight_max` bound what one stream has under way. `streams_max` bounds how many
    may follow the log at once.
    """

    map_size_bytes: Annotated[int, Field(ge=1 << 20)] = 1 << 28
    map_size_bytes_max: Annotated[int, Field(ge=1 << 20)] = 1 << 40
    index_size_bytes_max: Annotated[int, Field(ge=1 << 20)] = 1 << 36
    puts_in_flight_max: Annotated[int, Field(ge=1, le=256)] = 16
    commits_in_flight_max: Annotated[int, Field(ge=1, le=1024)] = 128
    streams_max: Annotated[int, Field(ge=1, le=4096)] = 256
