"""How a run went, on whatever platform: what its report and its verdict are made of."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from seawall.chaos.experiment.schema import Experiment
from seawall.testbed.experiment.figures import Figures
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.samples import Samples
from seawall.testbed.experiment.verdict import Finding, Verdict

SIMULATOR: Final = "simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run went.

    Attributes:
        experiment: what was run.
        source: the same, as it stands in its file.
        backend: where it ran.
        ends_us: when baseline, hold and recover really ended.
        figures: what was measured.
        injected: the faults that were done.
        findings: what was looked at, and what was found.
        verdict: the worst of them.
        samples: every update.
        elapsed_us: how long it took, of virtual time in the simulator.
        commits: of each site at the end.
        replay: the command that shows a violation again, of the simulator alone.
        steps: events of the simulator.
        trace: what one site saw, where that was asked for.

    """

    experiment: Experiment
    source: dict[str, Any]
    backend: str
    ends_us: tuple[int, int, int]
    figures: Figures
    injected: tuple[Happened, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    samples: Samples
    elapsed_us: int
    commits: tuple[int, ...]
    replay: str = ""
    steps: int = 0
    trace: bytes | None = None

    @property
    def clock(self) -> str:
        """Return what kind of seconds these are, for people."""
        return "s of virtual time" if self.backend == SIMULATOR else "s"


def document_of(result: Result) -> dict[str, object]:
    """Return a result as JSON values."""
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "ExperimentResult",
        "metadata": {"name": result.experiment.metadata.name},
        "spec": result.source.get("spec", {}),
        "status": {
            "backend": result.backend,
            "seed": result.experiment.spec.seed,
            "verdict": result.verdict.name,
            "exitCode": int(result.verdict),
            "findings": [
                {**asdict(finding), "verdict": finding.verdict.name} for finding in result.findings
            ],
            "figures": asdict(result.figures),
            "faults": [
                {
                    "number": fault.number,
                    "kind": fault.kind,
                    "beginUs": fault.begin_us,
                    "endUs": fault.end_us,
                    "sites": list(fault.hit),
                    "directions": [list(pair) for pair in fault.directions],
                    "evidence": fault.confirmation.evidence if fault.confirmation else None,
                }
                for fault in result.injected
            ],
            "commits": list(result.commits),
            "endsUs": list(result.ends_us),
            **_seconds(result),
            "replay": result.replay or None,
        },
    }


def _seconds(result: Result) -> dict[str, object]:
    seconds = result.elapsed_us / 1_000_000
    if result.backend == SIMULATOR:
        return {"virtualSeconds": seconds, "steps": result.steps}
    return {"seconds": seconds}
