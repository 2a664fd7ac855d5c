"""Results of runs that never happened, for reports."""

from seawall.chaos.runner.injection import Confirmation
from seawall.testbed.experiment.figures import figures_of
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.outcome import Result
from seawall.testbed.experiment.samples import Samples, Update
from seawall.testbed.experiment.verdict import judge, rolled_back, worst
from tests.unit.testbed.experiment.small import small

ENDS_US = (1_000_000, 2_500_000, 3_500_000)


def result(backend: str, *, wait_us: int = 100_000, breaches: tuple[str, ...] = ()) -> Result:
    """Return the result of a run in which every update took so long."""
    loaded = small("{crash: {targets: [1]}}")
    updates = [
        Update(
            site=at % 4,
            submitted_us=at * 25_000,
            is_honest=True,
            final_us=at * 25_000 + wait_us // 2,
            committed_us=at * 25_000 + wait_us,
        )
        for at in range(140)
    ]
    samples = Samples(
        updates=updates,
        handed_in_us=[one.submitted_us for one in updates],
        heights=[(at * 100_000, site, at) for at in range(30) for site in range(4)],
        resumed_us=dict.fromkeys(range(4), 2_600_000),
    )
    seen = Confirmation(is_seen=True, evidence="1 of 1 <stopped>")
    fault = Happened(
        number=0, kind="crash", begin_us=1_000_000, end_us=2_500_000, hit=(1,), confirmation=seen
    )
    figures = figures_of(samples, ENDS_US, [1], range(4), 4_000_000)
    findings = (rolled_back(()), *judge(loaded.experiment, figures, (fault,), breaches))
    return Result(
        experiment=loaded.experiment,
        source=loaded.source,
        backend=backend,
        ends_us=ENDS_US,
        figures=figures,
        injected=(fault,),
        findings=findings,
        verdict=worst(findings),
        samples=samples,
        elapsed_us=4_000_000,
        commits=(30, 30, 30, 30),
    )
