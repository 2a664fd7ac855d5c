"""Crash points, callers, certificates, channels, clocks: what a process is made of."""

import datetime as dt
import inspect
import re
from pathlib import Path

import pytest

from seawall.errors import LocalError, PeerError
from seawall.runtime import authorisation
from seawall.runtime.authorisation import CALLERS, Who, is_allowed
from seawall.runtime.certificates import make_certificate
from seawall.runtime.channels import DIALLING_OPTIONS, SERVING_OPTIONS, SiteChannels
from seawall.runtime.clock import SystemClock
from seawall.runtime.crash import EXIT_CODE, POINTS, ArmedCrashPoints, parse
from seawall.runtime.local import LocalServer
from seawall.runtime.serve import CONTRACT, first_failure, read_genesis
from seawall.runtime.tls import RUNNER, Callers, server_name
from tests.integration.sites import TestSites, make_sites

SERVICES = Path(inspect.getfile(authorisation)).parents[1]


class Ended(Exception):  # noqa: N818 - stands for the end of the process
    """The process would have ended here."""


def end(code: int) -> None:
    raise Ended(code)


def test_an_armed_point_ends_the_process_after_its_skips() -> None:
    points = ArmedCrashPoints(end)
    points.reach("journal.before_sync")
    points.arm("journal.before_sync", 2)
    for _ in range(2):
        points.reach("journal.before_sync")
        points.reach("journal.after_sync")
    with pytest.raises(Ended, match=str(EXIT_CODE)):
        points.reach("journal.before_sync")
    points.disarm("journal.before_sync")
    points.reach("journal.before_sync")


def test_points_have_names_of_the_table_only() -> None:
    points = ArmedCrashPoints(end)
    with pytest.raises(AssertionError):
        points.reach("journal.before_snc")
    with pytest.raises(LocalError, match="CRASH_POINT"):
        points.arm("journal.before_snc")
    assert parse("host.before_send") == ("host.before_send", 0)
    assert parse("host.before_send:12") == ("host.before_send", 12)
    for text in ("", "host", "host.before_send:", "host.before_send:x", "host.before_send:-1"):
        if text == "host.before_send:":
            assert parse(text) == ("host.before_send", 0)
            continue
        with pytest.raises(LocalError, match="CRASH_POINT"):
            parse(text)


def test_every_point_in_the_source_is_in_the_table_and_the_reverse() -> None:
    source = "".join(
        path.read_text() for path in sorted(SERVICES.rglob("*.py")) if path.name != "crash.py"
    )
    reached = re.findall(r"\.reach\(\s*\"([a-z_.]+)\"", source)
    assert {*reached} <= set(POINTS)
    for point in POINTS:
        if point.partition(".")[0] in ("journal", "host"):
            assert point in reached


def test_every_rpc_of_the_contract_is_in_the_table() -> None:
    contract = {
        f"{method.containing_service.full_name}/{method.name}"
        for module in CONTRACT
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert contract == set(CALLERS)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (Who.ANYONE, {None, 0, 1, RUNNER}),
        (Who.SITES, {0, 1}),
        (Who.OWN_SITE, {0}),
        (Who.RUNNER, {0, RUNNER}),
    ],
)
def test_callers_are_allowed_by_who_they_are(who: Who, allowed: set[int | None]) -> None:
    for site in (None, 0, 1, RUNNER):
        assert is_allowed(who, site, own_site=0) == (site in allowed)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> TestSites:
    """Make a chain."""
    return make_sites(tmp_path_factory.mktemp("sites"))


class TlsContext:
    """The authentication facts of a call, as gRPC gives them."""

    def __init__(self, *pems: str) -> None:
        self._facts = {
            "transport_security_type": (b"ssl",),
            "x509_common_name": (b"site-0.seawall.internal",),
            "x509_pem_cert": tuple(pem.encode() for pem in pems),
        }

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        """Return the facts."""
        return self._facts


def known(callers: Callers, *pems: str) -> int | None:
    return callers.site_of(TlsContext(*pems))  # type: ignore[arg-type]  # all that it reads


def test_a_site_is_known_by_its_certificate_not_by_its_name(sites: TestSites) -> None:
    runner = make_certificate("runner", (), not_before=dt.datetime.now(dt.UTC))[1]
    callers = Callers(sites.genesis, 2, runner)
    for index, site in enumerate(sites.genesis.sites):
        pem = site.tls_certificate_pem
        assert known(callers, pem) == index
        spaced = pem.replace("\n", "\r\n")
        assert known(callers, spaced) == index
    impostor = make_certificate("site-0", (), not_before=dt.datetime.now(dt.UTC))[1].decode()
    assert known(callers, impostor) is None
    assert known(callers) is None
    assert known(callers, runner.decode()) == RUNNER


def test_options_keep_the_rules_that_links_need() -> None:
    dialling, serving = dict(DIALLING_OPTIONS), dict(SERVING_OPTIONS)
    for options in (dialling, serving):
        assert int(options["grpc.max_receive_message_length"]) > (1 << 20) + (64 << 10)
        assert options["grpc.http2.max_pings_without_data"] == 0
        assert options["grpc.http2.ping_timeout_ms"] == 5_000
    assert dialling["grpc.enable_http_proxy"] == 0
    assert dialling["grpc.max_reconnect_backoff_ms"] == 500
    assert dialling["grpc.dns_min_time_between_resolutions_ms"] == 1_000
    assert serving["grpc.so_reuseport"] == 0
    # Strictly below what callers send, or they are cut off.
    pause = int(serving["grpc.http2.min_recv_ping_interval_without_data_ms"])
    assert pause < int(dialling["grpc.keepalive_time_ms"])


async def test_channels_are_opened_once_and_roles_of_the_process_stay_inside(
    sites: TestSites,
) -> None:
    keys = sites.directory / "site-0" / "keys"
    tls = (keys / "tls.key").read_bytes(), (keys / "tls.crt").read_bytes()
    local = LocalServer()
    channels = SiteChannels(
        sites.genesis, 0, tls, {"ledger": local}, addresses={"integrity": "127.0.0.1:1"}
    )
    assert channels.to("ledger") is channels.to("ledger", 0)
    assert type(channels.to("ledger")).__name__ == "LocalChannel"
    assert channels.to("integrity") is channels.to("integrity")
    assert channels.to("integrity") is not channels.to("consensus")
    assert channels.to("ledger", 1) is channels.to("integrity", 1)
    assert channels.to("ledger", 1) is not channels.to("consensus", 1)
    assert channels.to("ledger", 1) is not channels.to("ledger", 2)
    for site in (-1, 4):
        with pytest.raises(LocalError, match="RPC_SITE"):
            channels.to("ledger", site)
    await channels.close()


def test_a_certificate_names_its_site_and_hosts() -> None:
    private, certificate = make_certificate(
        "site-7", ("127.0.0.1", "edge.example"), not_before=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    )
    assert private.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    assert server_name("site-7") == "site-7.seawall.internal"


def test_genesis_files_are_read_with_their_origin(sites: TestSites, tmp_path: Path) -> None:
    genesis, origin = read_genesis(sites.directory / "genesis.json")
    assert (genesis, origin) == (sites.genesis, sites.origin)
    with pytest.raises(PeerError, match="JSON_"):
        read_genesis(_written(tmp_path / "bad.json", b"{"))
    with pytest.raises(Exception, match=r"GENESIS_READ.*missing\.json"):
        read_genesis(tmp_path / "missing.json")


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_the_failure_to_report_is_one_of_ours() -> None:
    ours = PeerError("TX_SIZE", "")
    nested = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [OSError(), ours])])
    assert first_failure(nested) is ours
    assert isinstance(first_failure(BaseExceptionGroup("", [ValueError(), OSError()])), ValueError)


def test_clocks_tick() -> None:
    clock = SystemClock()
    first = clock.elapsed_us()
    assert clock.elapsed_us() >= first
    assert clock.wall_ms() > 1_700_000_000_000
