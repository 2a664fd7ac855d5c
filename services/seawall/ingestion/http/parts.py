"""What the HTTP side speaks for: the same parts as the gRPC side."""

from dataclasses import dataclass

from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.host import OwnLog
from seawall.ingestion.http.bodies import Bodies
from seawall.ingestion.intake import Intake
from seawall.ingestion.receiving import Receiving
from seawall.ingestion.shared import Shared
from seawall.ingestion.watching import Watching
from seawall.telemetry.logs import Log


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts of one site's way in; `shared` counts streams and requests of every port together."""

    settings: IngestionSettings
    intake: Intake
    receiving: Receiving
    watching: Watching
    log: OwnLog
    bodies: Bodies
    shared: Shared
    events: Log
