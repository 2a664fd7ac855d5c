"""What the contributors' process reports, one JSON line each, and what it is told."""

from typing import Final, TypeAlias

import msgspec

ROOT_OFF: Final = "root-off"
ROOT_ON: Final = "root-on"
FINISH: Final = "finish"
"""Commands, one a line on standard input; its end means: stop at once."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The data are loaded; contributors begin."""

    parameters: int


class Version(msgspec.Struct, frozen=True, tag="version"):
    """A version was pulled, its proof verified, and its accuracy measured on the test part."""

    version: int
    accuracy: float
    digest: str


class Acknowledged(msgspec.Struct, frozen=True, tag="acknowledged"):
    """An update is under a checkpoint of quorum stake.

    `milliseconds` is the time from signed to acknowledged, as its contributor measured it.
    """

    contributor: int
    base: int
    milliseconds: float


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An update of an enrolled contributor was not acknowledged."""

    contributor: int
    base: int
    code: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """All receipts are fetched, verified and written; `missing` could not be had."""

    acknowledged: int
    receipts: int
    missing: int


Report: TypeAlias = Ready | Version | Acknowledged | Failed | Finished

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Report).decode
