"""From what a run on real sites has seen to its figures, its findings and its verdict."""

from collections.abc import Mapping, Sequence

from seawall.chaos.experiment.reading import Loaded
from seawall.chaos.runner.core import Core
from seawall.chaos.runner.planning import hit_directions, hit_sites, liars
from seawall.chaos.runner.steps import Cause, Phase
from seawall.testbed.chaos.ledgers import Look, SiteLedgers
from seawall.testbed.chaos.load import OpenLoad
from seawall.testbed.experiment.figures import figures_of
from seawall.testbed.experiment.happened import Happened
from seawall.testbed.experiment.outcome import Result
from seawall.testbed.experiment.samples import Samples, Update
from seawall.testbed.experiment.verdict import Finding, cut_short, judge, rolled_back, worst


def conclude(
    loaded: Loaded,
    backend: str,
    core: Core,
    load: OpenLoad,
    ledgers: SiteLedgers,
    primaries_of: dict[int, tuple[int, ...]],
) -> Result:
    """Return the result of a run that is done; times count from the beginning of its baseline."""
    experiment = loaded.experiment
    start_us = core.marks_us.get(Phase.BASELINE, core.marks_us[Phase.DONE])
    ends_us = _ends(core, start_us)
    samples = shifted(load.samples, start_us)
    samples.heights = heights_of(ledgers.looks, start_us)
    samples.resumed_us = resumed(ledgers.looks, load.entries, ends_us[1], start_us)
    injected = _happened(loaded, core, primaries_of, start_us)
    hit = sorted({site for fault in injected for site in fault.hit})
    lost = [
        one.injection.site
        for fault in core.faults
        for one in fault.injections
        if one.injection.stays
    ]
    excused = (*liars(experiment), *lost)
    sites = range(experiment.spec.topology.sites)
    running = [site for site in sites if site not in excused]
    elapsed_us = core.marks_us[Phase.DONE] - start_us
    figures = figures_of(samples, ends_us, hit, running, max(elapsed_us, ends_us[2]))
    breaches = [f"{one.invariant}: {one.detail}" for one in core.breaches]
    findings = (
        rolled_back([one.injection.id for one in core.stuck]),
        *judge(experiment, figures, injected, breaches),
        *_cut_short(core, ledgers),
    )
    last = {site: height for _, site, height in samples.heights}
    return Result(
        experiment=experiment,
        source=loaded.source,
        backend=backend,
        ends_us=ends_us,
        figures=figures,
        injected=injected,
        findings=findings,
        verdict=worst(findings),
        samples=samples,
        elapsed_us=elapsed_us,
        commits=tuple([last.get(site, 0) for site in sites]),
    )


def shifted(samples: Samples, start_us: int) -> Samples:
    """Return samples whose times count from another start; what was handed in before is left out.

    Updates in the order of their time.
    """

    def since(at_us: int | None) -> int | None:
        return None if at_us is None else at_us - start_us

    updates = [
        Update(
            site=one.site,
            submitted_us=one.submitted_us - start_us,
            is_honest=one.is_honest,
            final_us=since(one.final_us),
            committed_us=since(one.committed_us),
        )
        for one in samples.updates
        if one.submitted_us >= start_us
    ]
    handed_in = [at_us - start_us for at_us in samples.handed_in_us if at_us >= start_us]
    return Samples(
        updates=sorted(updates, key=lambda one: one.submitted_us), handed_in_us=handed_in
    )


def heights_of(looks: Sequence[Look], start_us: int) -> list[tuple[int, int, int]]:
    """Return (time, site, commits) whenever a site was seen to have another number of them."""
    last: dict[int, int] = {}
    found = []
    for at_us, views in looks:
        for view in views:
            if view.up and last.get(view.site) != view.height:
                last[view.site] = view.height
                found.append((max(0, at_us - start_us), view.site, view.height))
    return found


def resumed(
    looks: Sequence[Look], entries: Mapping[int, int], heal_us: int, start_us: int
) -> dict[int, int]:
    """Return by site when it was first seen to have an update from after the faults.

    `entries` are places in the log by when the update was handed in.
    It is looked twice a second, so that this is up to half a second late.
    """
    after = [entry for submitted_us, entry in entries.items() if submitted_us - start_us >= heal_us]
    if not after:
        return {}
    wanted = min(after) + 1
    found: dict[int, int] = {}
    for at_us, views in looks:
        for view in views:
            # A site that was cut off may have what others made meanwhile, not what came later.
            if at_us - start_us >= heal_us and view.up and view.tree_size >= wanted:
                found.setdefault(view.site, at_us - start_us)
    return found


def _ends(core: Core, start_us: int) -> tuple[int, int, int]:
    """Return when baseline, hold and recover ended; a phase that never came has no length."""
    done = core.marks_us[Phase.DONE]
    heal = core.marks_us.get(Phase.HEAL, done)
    hold = core.marks_us.get(Phase.HOLD, heal)
    check = core.marks_us.get(Phase.CHECK, done)
    ends = (hold - start_us, heal - start_us, check - start_us)
    return max(0, ends[0]), max(0, ends[1]), max(0, ends[2])


def _happened(
    loaded: Loaded, core: Core, primaries_of: dict[int, tuple[int, ...]], start_us: int
) -> tuple[Happened, ...]:
    """Return the faults that began, as reports have them."""
    experiment = loaded.experiment
    heal_us = core.marks_us[Phase.HEAL]
    found = []
    for fault in core.faults:
        if fault.begun_us is None:
            continue
        primaries: Sequence[int] = primaries_of.get(fault.number, ())
        end_us = heal_us if fault.ended_us is None else min(fault.ended_us, heal_us)
        found.append(
            Happened(
                number=fault.number,
                kind=experiment.spec.faults[fault.number].kind,
                begin_us=fault.begun_us - start_us,
                end_us=max(end_us, fault.begun_us) - start_us,
                hit=hit_sites(experiment, fault.number, primaries),
                directions=hit_directions(experiment, fault.number, primaries),
                confirmation=fault.confirmation,
            )
        )
    return tuple(found)


def _cut_short(core: Core, ledgers: SiteLedgers) -> Sequence[Finding]:
    """Return why a run says nothing, where it does."""
    why = {
        Cause.STOPPED: "it was stopped by a signal",
        Cause.INJECTION: f"a fault could not be injected: {core.failure}",
        Cause.LEDGERS: f"the ledgers could not be read: {core.failure}",
    }
    found = [cut_short(why[core.cause])] if core.cause in why else []
    if ledgers.behind:
        found.append(cut_short(f"not level at its end: {', '.join(ledgers.behind)}"))
    return found
