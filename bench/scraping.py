"""Metrics of a site over HTTP: read the text format, and subtract one reading from another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]
Samples: TypeAlias = Mapping[tuple[str, Labels], float]

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a histogram of durations grew by: events, and seconds in all."""

    count: int
    seconds: float


def scrape(port: int, host: str = "127.0.0.1") -> Samples:
    """Return all samples that a process exposes now.

    Raises:
        OSError: nobody answers.

    """
    with urlopen(f"http://{host}:{port}/metrics", timeout=TIMEOUT_SECONDS) as answer:
        return parse(answer.read().decode())


def parse(text: str) -> Samples:
    """Return the samples of a text in the Prometheus format, by name and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def growth(before: Samples, after: Samples) -> dict[tuple[str, Labels], float]:
    """Return how much each sample grew; one that was not there before started at 0."""
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def total(readings: Iterable[Samples], name: str, **labels: str) -> float:
    """Return the sum of a sample over readings, over all series that have these labels."""
    wanted = set(labels.items())
    return sum(
        value
        for samples in readings
        for (found, having), value in samples.items()
        if found == name and wanted <= set(having)
    )


def durations(readings: Iterable[Samples]) -> dict[str, Spent]:
    """Return count and seconds of every histogram of durations that grew, by name and labels.

    The name comes without `seawall_` and `_seconds`; labels of protocols are left out.
    """
    counts: dict[str, float] = {}
    sums: dict[str, float] = {}
    for samples in readings:
        for (name, labels), value in samples.items():
            for suffix, into in (("_seconds_count", counts), ("_seconds_sum", sums)):
                if name.startswith("seawall_") and name.endswith(suffix):
                    step = step_name(name.removesuffix(suffix), labels)
                    into[step] = into.get(step, 0.0) + value
    return {
        step: Spent(count=round(count), seconds=sums.get(step, 0.0))
        for step, count in sorted(counts.items())
        if count > 0
    }


def step_name(name: str, labels: Labels) -> str:
    """Return the name of a step for people: `consensus_phase_duration{persist}`."""
    values = [value for label, value in labels if label != "protocol"]
    short = name.removeprefix("seawall_")
    return f"{short}{{{','.join(values)}}}" if values else short
