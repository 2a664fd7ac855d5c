"""At what load sites are saturated, and what faults cost at 90 % of it.

Sites are offered more and more updates, until what is committed no longer follows. Then one load
just below runs without faults and under each trouble of `stress`, and is compared.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Final

from seawall.codec import RECORD_BYTES
from seawall.sim.capacity import Capacity
from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.stress import DELAY_US, Reading, Setting, Trouble, measure

LOAD_SHARE: Final = 0.9
FOLLOWS_SHARE: Final = 0.985
"""Commits follow a load when they are at least this share of it, over the window."""

THROUGHPUT_SHARE_MIN: Final = 0.8
LATENCY_RATIO_MAX: Final = 2.0

_PRECISION_SHARE: Final = 0.02
_ABOVE: Final = 1.2
_PROBES_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One setting's saturation throughput, the probes that found it, and the runs under faults."""

    setting: Setting
    saturation: float
    probes: tuple[Reading, ...]
    runs: tuple[Reading, ...]

    @property
    def calm(self) -> Reading:
        """Return the run without faults."""
        return self.runs[0]

    def throughput_share(self, run: Reading) -> float:
        """Return a run's throughput as a share of the run without faults."""
        return run.throughput / max(self.calm.throughput, 1e-9)

    def latency_ratio(self, run: Reading) -> float:
        """Return a run's median latency over that of the run without faults."""
        return run.latency_p50_ms / self.calm.latency_p50_ms

    def holds(self, run: Reading) -> bool:
        """Return whether a run keeps to what is asked of it."""
        return (
            self.throughput_share(run) >= THROUGHPUT_SHARE_MIN
            and self.latency_ratio(run) <= LATENCY_RATIO_MAX
        )

    @property
    def all_hold(self) -> bool:
        """Return whether every run does."""
        return all(self.holds(run) for run in self.runs)


def find_saturation(setting: Setting, capacity: Capacity) -> tuple[float, tuple[Reading, ...]]:
    """Return the highest load that commits follow, to about 2 %, and the loads that were tried.

    What a load that is too high lets through says where to look: there, and then just above.
    """
    low, high = 0.0, _ABOVE * _bound(setting, capacity)
    load = high
    probes: list[Reading] = []
    while high - low > _PRECISION_SHARE * high and len(probes) < _PROBES_MAX:
        found = measure(setting, Trouble.NONE, load, capacity)
        probes.append(found)
        if found.throughput >= FOLLOWS_SHARE * load:
            low, load = load, min((load + high) / 2, load * (1 + _PRECISION_SHARE))
        else:
            high, load = load, min(found.throughput, load * (1 - _PRECISION_SHARE / 2))
            if load <= low:
                load = (low + high) / 2
    return low, tuple(sorted(probes, key=lambda one: one.offered))


def _bound(setting: Setting, capacity: Capacity) -> float:
    """Return what ledgers can execute, or uplinks carry, if nothing else took anything."""
    uplinks = setting.size * capacity.uplink_bytes_per_second
    carried = uplinks / RECORD_BYTES / (setting.size - 1)
    return min(SECOND_US / capacity.execute_us, carried)


def study(setting: Setting, capacity: Capacity, troubles: Sequence[Trouble]) -> Study:
    """Find a setting's saturation and run it at 90 % of that under each trouble."""
    saturation, probes = find_saturation(setting, capacity)
    load = LOAD_SHARE * saturation
    wanted = [Trouble.NONE, *[one for one in troubles if one is not Trouble.NONE]]
    runs = tuple([measure(setting, one, load, capacity) for one in wanted])
    return Study(setting=setting, saturation=saturation, probes=probes, runs=runs)


HEADER: Final = (
    *("n", "protocol", "links", "saturation", "faults", "updates/s", "share", "p50 ms", "ratio"),
    *("p95 ms", "acked ms", "round ms", "timeout ms", "by timer", "fetches", "holds"),
)


def title(setting: Setting) -> str:
    """Return a setting in words."""
    links = "with jitter" if setting.jitter else "fixed"
    return f"n = {setting.size}, {setting.protocol}, links {links}"


def row(study: Study, run: Reading) -> tuple[str, ...]:
    """Return the cells of a table's row under `HEADER`."""
    setting = study.setting
    return (
        f"{setting.size}",
        setting.protocol,
        "jitter" if setting.jitter else "fixed",
        f"{study.saturation:.0f}",
        run.trouble.value,
        f"{run.throughput:.0f}",
        f"{study.throughput_share(run):.0%}",
        f"{run.latency_p50_ms:.0f}",
        f"{study.latency_ratio(run):.2f}",
        f"{run.latency_p95_ms:.0f}",
        f"{run.acknowledged_p50_ms:.0f}",
        f"{run.round_ms:.0f}",
        f"{run.timeout_ms:.0f}",
        f"{run.by_timer:.1%}",
        f"{run.fetches}",
        "yes" if study.holds(run) else "NO",
    )


def document(studies: Sequence[Study], capacity: Capacity) -> dict[str, object]:
    """Return the studies as JSON values."""
    return {
        "apiVersion": "seawall.dev/v1",
        "kind": "SimStress",
        "delayMs": DELAY_US // MILLISECOND_US,
        "capacity": asdict(capacity),
        "studies": [
            {
                **asdict(one.setting),
                "saturation": one.saturation,
                "probes": [_values(probe) for probe in one.probes],
                "runs": [
                    {
                        **_values(run),
                        "throughput_share": one.throughput_share(run),
                        "latency_ratio": _finite(one.latency_ratio(run)),
                        "holds": one.holds(run),
                    }
                    for run in one.runs
                ],
            }
            for one in studies
        ],
    }


def _values(reading: Reading) -> dict[str, object]:
    return {name: _finite(value) for name, value in asdict(reading).items()}


def _finite(value: object) -> object:
    """Return a value that JSON has: nothing in place of an infinite latency."""
    return None if isinstance(value, float) and not isfinite(value) else value
