"""The six dashboards, in the order in which somebody would look at them."""

from typing import Final

from seawall.testbed.monitoring.boards.chaos import CHAOS
from seawall.testbed.monitoring.boards.consensus import CONSENSUS
from seawall.testbed.monitoring.boards.intake import INTAKE
from seawall.testbed.monitoring.boards.ledger import LEDGER
from seawall.testbed.monitoring.boards.load import LOAD
from seawall.testbed.monitoring.boards.overview import OVERVIEW
from seawall.testbed.monitoring.panels import Board

BOARDS: Final[tuple[Board, ...]] = (OVERVIEW, CONSENSUS, LEDGER, INTAKE, CHAOS, LOAD)
