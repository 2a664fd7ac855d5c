"""A real Prometheus over real sites: every question has an answer, and the answers are true."""

import bisect
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import sites
from bench.load import Generator, open_loop
from seawall.api.v1 import fault_plane_pb2, fault_plane_pb2_grpc, ingestion_pb2, ingestion_pb2_grpc
from seawall.runtime.channels import peer_channel
from seawall.telemetry.metrics import CONS
from seawall.testbed.directory import NetworkDirectory
from seawall.testbed.genesis_maker import NetworkPlan, make_network
from seawall.testbed.monitoring.boards import BOARDS
from seawall.testbed.monitoring.grafana import FAULTS
from seawall.testbed.monitoring.rules import ALERTS, GROUP_INTERVAL, RECORDINGS
from seawall.testbed.monitoring.scraping import INTERVAL, write_configuration
from seawall.testbed.supervisor import plans_of
from tests.e2e.prometheus import Prometheus, Sample, needs_prometheus, running
from tests.integration.sites import free_ports
from tests.unit.testbed.monitoring.promql import RECORDED, filled, names

SITES = 4
PAYLOAD_BYTES = 1024
RATE = 40.0
UPDATES = 160
ROUNDS_MAX = 5
DRAIN_SECONDS_MAX = 60.0
CALL_SECONDS_MAX = 60.0
SPAN = "seawall_ingest_duration_seconds"
COMMITTED = 'outcome="committed"'
MICROSECOND = 1e-6

SILENT = {"Refused by consensus"}
"""Panels of what does not happen here."""

pytestmark = [needs_prometheus, pytest.mark.timeout(600)]


@dataclass(slots=True, kw_only=True)
class Watched:
    """Running sites, a Prometheus that scrapes them, and a client that counts what it sent."""

    network: sites.Network
    prometheus: Prometheus
    client: Generator
    landed: int = 0
    refused: int = 0

    async def load(self) -> list[float]:
        """Send updates at a fixed rate; return how long each took until it was committed."""
        self.client.prepare(UPDATES)
        due = open_loop(RATE, len(self.client.lanes), time.monotonic())
        done = await self.client.run(DRAIN_SECONDS_MAX, due)
        assert (done["lost"], done["refused"]) == (0, {})
        assert done["sent"] == len(done["landed"]) == UPDATES
        self.landed += UPDATES
        return sorted(stages[-1] - sent for _, sent, *stages in done["landed"])

    async def refuse(self) -> None:
        """Send something that is no update."""
        stub: Any = ingestion_pb2_grpc.IngestionServiceStub(self.client.channels[0])
        call = stub.Submit()
        bad = ingestion_pb2.WholeUpdate(number=1, envelope=b"{}", payload=b"")
        await call.write(ingestion_pb2.IngestionServiceSubmitRequest(updates=[bad]))
        answer = await call.read()
        assert answer.events[0].refusal.code
        call.cancel()
        self.refused += 1

    async def counted(self) -> None:
        """Wait until Prometheus has seen at every site what the client has seen."""
        await self.prometheus.until(
            "min(seawall_ledger_updates_total)",
            lambda found: bool(found) and found[0].value >= self.landed,
        )
        await self.prometheus.until(
            f"sum(seawall_ingest_updates_total{{{COMMITTED}}})",
            lambda found: bool(found) and found[0].value >= self.landed,
        )


@asynccontextmanager
async def watched(directory: Path) -> AsyncIterator[Watched]:
    """Run sites with chaos enabled, and everything that looks at them."""
    chaos = ("[chaos]", "enabled = true")
    async with sites.running(directory, PAYLOAD_BYTES, sites=SITES, settings=chaos) as network:
        files = NetworkDirectory(directory)
        plans = plans_of(files, network.genesis)
        configuration = write_configuration(files, network.genesis, plans)
        quicken(configuration, files.rules)
        (port,) = free_ports(1)
        origin = json.loads(files.run.read_text("utf-8"))["origin"]
        task = sites.task_name(PAYLOAD_BYTES)
        client = Generator(network.genesis, origin, directory, task)
        async with running(configuration, port) as prometheus:
            await client.open()
            try:
                await prometheus.until("sum(up)", lambda found: found == [one(SITES)])
                yield Watched(network=network, prometheus=prometheus, client=client)
            finally:
                await client.close()


def quicken(configuration: Path, rules: Path) -> None:
    """Have sites scraped and rules evaluated every second, so that nobody waits long."""
    for path, interval in ((configuration, INTERVAL), (rules, GROUP_INTERVAL)):
        text = path.read_text("utf-8")
        assert f"interval: {interval}\n" in text
        path.write_text(text.replace(f"interval: {interval}\n", "interval: 1s\n"), "utf-8")


def one(value: float) -> Sample:
    return Sample(labels={}, value=value)


@asynccontextmanager
async def fault(network: sites.Network) -> AsyncIterator[None]:
    """Keep a fault active in one site that never strikes."""
    files, site = NetworkDirectory(network.directory), network.genesis.sites[0]
    keys = files.keys(site.name)
    pair = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    spec = fault_plane_pb2.FaultSpec(
        id="never",
        lease_seconds=300,
        crash=fault_plane_pb2.CrashFault(point="host.before_send", skip_count=1 << 30),
    )
    async with peer_channel(site, *pair) as channel:
        plane: Any = fault_plane_pb2_grpc.FaultPlaneServiceStub(channel)
        patient = {"wait_for_ready": True, "timeout": CALL_SECONDS_MAX}
        await plane.Apply(fault_plane_pb2.ApplyRequest(fault=spec), **patient)
        yield
        await plane.Revert(fault_plane_pb2.RevertRequest(id="never"), **patient)


async def test_every_question_has_an_answer_and_the_answers_are_true(tmp_path: Path) -> None:
    async with watched(tmp_path / "network") as seen:
        await seen.refuse()
        await the_same_bucket(seen)
        await exactly_what_was_sent(seen)
        async with fault(seen.network):
            await seen.prometheus.until(FAULTS_SEEN, bool)
            await every_panel_has_data(seen.prometheus)
            await every_rule_is_well(seen.prometheus)
        await seen.prometheus.until("sum(seawall_chaos_fault_active)", lambda now: now == [one(0)])
        await names_are_those_of_live_sites(seen.prometheus)


FAULTS_SEEN = 'ALERTS{alertname="FaultActive",alertstate="firing"}'


async def exactly_what_was_sent(seen: Watched) -> None:
    """Compare counters with the client's own count."""
    ask = seen.prometheus.query
    for expr, expected in (
        ("min(seawall_ledger_updates_total)", seen.landed),
        ("max(seawall_ledger_updates_total)", seen.landed),
        (f"sum(seawall_ingest_updates_total{{{COMMITTED}}})", seen.landed),
        ('sum(seawall_ingest_updates_total{outcome="received"})', seen.landed),
        ('sum(seawall_ingest_updates_total{outcome="attested"})', seen.landed),
        ('sum(seawall_ingest_updates_total{outcome="refused"})', seen.refused),
        (f"sum({SPAN}_count{{{COMMITTED}}})", seen.landed),
        ("sum(seawall_ingest_update_size_bytes_count)", seen.landed),
        ("sum(seawall_ingest_batch_updates_sum)", seen.landed),
        ("sum(seawall_ingest_queue_depth)", 0),
    ):
        assert await ask(expr) == [one(expected)], expr


async def the_same_bucket(seen: Watched) -> None:
    """Compare quantiles of one span, measured by sites and by the client.

    The span is that from sending an update to its COMMITTED event; sites measure it from arrival to
    that event, so theirs is never longer. The way there and back may lie across the bound of a
    bucket: a few rounds of load are tried, one has to agree.
    """
    before = await at_sites(seen.prometheus)
    differing = []
    for _ in range(ROUNDS_MAX):
        took = await seen.load()
        await seen.counted()
        after = await at_sites(seen.prometheus)
        grown = [now - then for now, then in zip(after, before, strict=True)]
        assert grown[-1] == len(took)
        for bound, count in zip(CONS, grown, strict=False):
            assert count >= bisect.bisect_right(took, bound - MICROSECOND), bound
        ours, theirs = zip(*(buckets(grown, took, share) for share in (0.5, 0.95)), strict=True)
        if ours == theirs:
            return
        differing.append((ours, theirs))
        before = after
    pytest.fail(f"buckets of sites and of the client differ: {differing}")


async def at_sites(prometheus: Prometheus) -> list[float]:
    """Return how many updates took up to each bound, all of them last."""
    found = await prometheus.query(f"sum by (le) ({SPAN}_bucket{{{COMMITTED}}})")
    counts = {sample.labels["le"]: sample.value for sample in found}
    return [counts.get(str(bound), 0.0) for bound in (*CONS, "+Inf")]


def buckets(counts: Sequence[float], took: Sequence[float], share: float) -> tuple[int, int]:
    """Return the bucket of a quantile by cumulative counts, and by durations in order."""
    rank = share * len(took)
    by_count = next(at for at, count in enumerate(counts) if count >= rank)
    return by_count, bisect.bisect_left(CONS, took[int(rank)])


async def every_panel_has_data(prometheus: Prometheus) -> None:
    """Ask what each dashboard asks."""
    empty = {
        panel.title
        for panel, query in itertools.chain.from_iterable(
            [(panel, query) for panel in board.panels for query in panel.queries]
            for board in BOARDS
        )
        if not await prometheus.numbers(asked(query.expr))
    }
    foreign = {panel.title for board in BOARDS for panel in board.panels if panel.foreign}
    assert empty == foreign | SILENT
    assert [sample.labels["fault"] for sample in await prometheus.query(asked(FAULTS))]


def asked(expr: str) -> str:
    """Return an expression with the name of this network."""
    return filled(expr).replace('network="local"', 'network="bench"')


async def every_rule_is_well(prometheus: Prometheus) -> None:
    """Look at what Prometheus says of the rules, and at what they say of the network."""
    groups = (await prometheus.get("/api/v1/rules"))["data"]["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(rules) == {one.record for one in RECORDINGS} | {one.name for one in ALERTS}
    assert {name: rule["health"] for name, rule in rules.items()} == dict.fromkeys(rules, "ok")
    for recording in RECORDINGS:
        (sample,) = await prometheus.numbers(recording.record)
        assert sample.labels["network"] == "bench"
    firing = {name for name, rule in rules.items() if rule.get("state") == "firing"}
    assert "FaultActive" in firing
    assert not firing & {"ForkDetected", "EvidenceSeen", "FaultLeaseExpired"}


async def names_are_those_of_live_sites(prometheus: Prometheus) -> None:
    """Compare names in dashboards and rules with those that Prometheus has scraped."""
    live = set((await prometheus.get("/api/v1/label/__name__/values"))["data"])
    exprs = [query.expr for board in BOARDS for panel in board.panels for query in panel.queries]
    exprs += [one.expr for one in (*RECORDINGS, *ALERTS)]
    wanted = set[str]().union(*map(names, exprs))
    missing = {name for name in wanted - live if not name.startswith("container_")}
    # Its only series are made by what is refused, and nothing was.
    assert missing == {"seawall_mempool_rejected_total"}
    assert {name for name in live if RECORDED.match(name)} == {one.record for one in RECORDINGS}


async def test_a_site_that_is_down_is_told_of(tmp_path: Path) -> None:
    """Without sites behind it, every target of the configuration is down, and the alert says so."""
    directory = tmp_path / "network"
    files = NetworkDirectory(directory)
    made = make_network(directory, NetworkPlan(sites=SITES, contributors=3))
    configuration = write_configuration(files, made.genesis, plans_of(files, made.genesis))
    quicken(configuration, files.rules)
    (port,) = free_ports(1)
    async with running(configuration, port) as prometheus:
        found = await prometheus.until(
            'ALERTS{alertname="TargetDown"}', lambda found: len(found) == SITES
        )
    assert sorted(sample.labels["site"] for sample in found) == [
        site.name for site in made.genesis.sites
    ]
