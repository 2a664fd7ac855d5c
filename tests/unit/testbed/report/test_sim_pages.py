import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from seawall.sim import bench
from seawall.sim.bench import Case, Figures
from seawall.sim.capacity import Capacity
from seawall.sim.saturation import Study
from seawall.sim.stress import Reading, Setting, Trouble
from seawall.testbed.report import bench_page, stress_page
from tests.unit.testbed.report.test_page import Balance


@pytest.fixture(scope="module")
def cases() -> list[Figures]:
    return [bench.measure(Case(size=4, wave_length=wave, rounds=8)) for wave in (3, 5)]


def reading(trouble: Trouble, offered: float = 9_000.0, latency_ms: float = 500.0) -> Reading:
    return Reading(
        trouble=trouble,
        offered=offered,
        throughput=offered,
        latency_p50_ms=latency_ms,
        latency_p95_ms=latency_ms + 100,
        acknowledged_p50_ms=latency_ms + 200,
        round_ms=120.0,
        timeout_ms=250.0,
        by_timer=0.02,
        fetches=3,
        core=0.1,
        ledger=0.9,
    )


STUDIES = [
    Study(
        setting=Setting(size=size, protocol="sync", jitter=size == 7),
        saturation=10_000.0,
        probes=(reading(Trouble.NONE, 10_000.0), reading(Trouble.NONE, 12_000.0, float("inf"))),
        runs=(reading(Trouble.NONE), reading(Trouble.CRASH, latency_ms=1_100.0)),
    )
    for size in (4, 7)
]


def figures_in(page: str) -> list[ET.Element]:
    parts = [part.split("</svg>")[0] for part in page.split("<svg")[1:]]
    return [ET.fromstring(f"<svg{part}</svg>") for part in parts]  # noqa: S314 - our own text


def check(page: str, plots: int) -> None:
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.fetched == []
    assert len(figures_in(page)) == plots


def test_the_page_of_the_bench_shows_every_case(cases: list[Figures]) -> None:
    page = bench_page.render_page(cases)
    check(page, 4)
    assert "2 of 2 cases take the expected delays" in page
    assert page.count('class="mark good">yes') == 2
    late = bench_page.render_page([cases[0], replace(cases[1], other=7.0)])
    assert "1 of 2 cases" in late
    assert 'class="mark bad">NO' in late


def test_the_page_of_the_stress_shows_every_protocol_that_ran() -> None:
    page = stress_page.render_page(STUDIES, Capacity())
    check(page, 3)
    assert "2 of 4 runs keep 80% of the throughput" in page
    assert "async4: under faults" not in page
    assert page.count('class="mark bad">NO') == 2
    assert "n = 7, jitter" in page
