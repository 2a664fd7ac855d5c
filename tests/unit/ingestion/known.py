"""Admitted updates for tests of what happens after admission."""

from seawall.domain.genesis import Genesis
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.formats.admission import Admission, AdmittedUpdate
from seawall.ingestion.update import Event
from tests.cases.authors import CONTRIBUTORS, TASKS, Author, Signed

ORIGIN = "seawall/0123456789abcdef"
ADMISSION = Admission(
    Genesis(
        chain="test",
        sites=(),
        consensus=ConsensusParameters(),
        admission=AdmissionParameters(),
        log_key=bytes(32),
        root_keys=(),
        root_threshold=1,
        tasks=TASKS,
        contributors=CONTRIBUTORS,
    ),
    ORIGIN,
)


def admitted(update: Signed) -> AdmittedUpdate:
    """Return an update that passes admission."""
    return ADMISSION.check_envelope(update.envelope, update.manifest, update.provenance)


def author(index: int = 0) -> Author:
    """Return a contributor."""
    return Author(ORIGIN, index)


class Listener:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.closed = False
        self.heard: list[tuple[int, Event]] = []

    def notify(self, number: int, event: Event) -> None:
        """Keep an event."""
        self.heard.append((number, event))

    @property
    def stages(self) -> list[str]:
        """Return the stages heard, or the code of a refusal."""
        return [
            event.refusal.code if event.refusal is not None else event.stage.name
            for _, event in self.heard
        ]
