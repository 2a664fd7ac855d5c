"""Kinds of journal records that the DAG engine writes."""

from typing import Final

BLOCK: Final = 1
COMMIT: Final = 2
BASE_BEGIN: Final = 3
BASE_END: Final = 4
LOST_DISK: Final = 5
