"""Genesis, keys and configuration of test sites, on loopback ports below 32768."""

import datetime as dt
import fcntl
import os
import socket
import tempfile
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from seawall.config import SiteConfig
from seawall.crypto.coin import deal
from seawall.crypto.signing import SigningKey
from seawall.domain.genesis import Contributor, Genesis, GenesisSite, Task
from seawall.domain.parameters import ASYNC, AdmissionParameters, ConsensusParameters
from seawall.formats import genesis as genesis_format
from seawall.formats.genesis_consensus import coin_threshold
from seawall.runtime.certificates import make_certificate
from seawall.runtime.coin_key import write_coin_secret
from seawall.runtime.keys import CONSENSUS_KEY, COSIGNER_KEY, LOG_KEY, write_site_secrets

PORTS_FROM = 20_000
PORTS_TO = 32_000
PORTS_STRIDE = 212

FAST = ConsensusParameters(round_delay_ms_min=10, round_delay_ms_idle=100)


def seed(label: str) -> bytes:
    """Return a seed that this label always gives."""
    return sha256(label.encode()).digest()


def free_ports(count: int, width: int = 4) -> list[int]:
    """Return base ports of `count` ranges of `width` ports that nobody else uses.

    Tests in other processes look for ports at the same time, so each range is reserved by a lock
    that this process keeps until its end.
    """
    bases: list[int] = []
    start = os.getpid() * 64 % (PORTS_TO - PORTS_FROM) // width * width
    for step in range(0, PORTS_TO - PORTS_FROM, width):
        base = PORTS_FROM + (start + step) % (PORTS_TO - PORTS_FROM)
        if _reserve(base) and all(_is_free(base + offset) for offset in range(width)):
            bases.append(base)
        if len(bases) == count:
            return bases
    raise AssertionError("no free ports")


def _reserve(base: int) -> bool:
    directory = Path(tempfile.gettempdir()) / f"seawall-test-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory / str(base), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSites:
    """Sites of one chain under one directory."""

    __test__ = False

    genesis: Genesis
    origin: str
    directory: Path
    bases: tuple[int, ...]

    def config(self, site: int, **members: object) -> SiteConfig:
        """Return the settings of one site's process."""
        return SiteConfig.model_validate(
            {
                "site": site,
                "genesis": self.directory / "genesis.json",
                "data_dir": self.directory / f"site-{site}" / "data",
                "keys_dir": self.directory / f"site-{site}" / "keys",
                "port": self.bases[site],
                **members,
            }
        )

    def key(self, site: int) -> SigningKey:
        """Return a site's consensus key."""
        return SigningKey.from_seed(seed(f"consensus-{site}"))


def make_site(directory: Path, index: int, base: int) -> GenesisSite:
    """Write the keys of one site of stake 1 and return its part of genesis."""
    name = f"site-{index}"
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    tls = make_certificate(name, ("127.0.0.1",), not_before=yesterday)
    seeds = {
        CONSENSUS_KEY: seed(f"consensus-{index}"),
        COSIGNER_KEY: seed(f"cosigner-{index}"),
        LOG_KEY: seed("log"),
    }
    write_site_secrets(directory / name / "keys", seeds, *tls)
    return GenesisSite(
        name=name,
        zone="loopback",
        stake=1,
        consensus_key=SigningKey.from_seed(seeds[CONSENSUS_KEY]).public,
        cosigner_name=f"seawall.dev/{name}",
        cosigner_key=SigningKey.from_seed(seeds[COSIGNER_KEY]).public,
        tls_certificate_pem=tls[1].decode(),
        peer_address=f"127.0.0.1:{base + 1}",
        client_address=f"127.0.0.1:{base}",
    )


def make_sites(
    directory: Path,
    count: int = 4,
    *,
    consensus: ConsensusParameters = FAST,
    tasks: tuple[Task, ...] = (),
    contributors: tuple[Contributor, ...] = (),
) -> TestSites:
    """Write genesis and keys of `count` sites of stake 1."""
    bases = free_ports(count)
    sites = [make_site(directory, index, base) for index, base in enumerate(bases)]
    genesis = Genesis(
        chain="test",
        sites=tuple(sites),
        consensus=replace(consensus, leaders_per_round=min(consensus.leaders_per_round, count)),
        admission=AdmissionParameters(),
        log_key=SigningKey.from_seed(seed("log")).public,
        root_keys=(SigningKey.from_seed(seed("root")).public,),
        root_threshold=1,
        tasks=tasks,
        contributors=contributors,
    )
    if consensus.protocol == ASYNC:
        coin, secrets = deal(seed("coin"), coin_threshold(count), count)
        for index, secret in enumerate(secrets):
            write_coin_secret(directory / f"site-{index}" / "keys", secret)
        genesis = replace(genesis, coin=coin)
    data = genesis_format.encode(genesis)
    (directory / "genesis.json").write_bytes(data)
    return TestSites(
        genesis=genesis,
        origin=genesis_format.origin(data),
        directory=directory,
        bases=tuple(bases),
    )
