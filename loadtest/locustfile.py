"""What locust runs: `locust -f loadtest/locustfile.py --headless ...`; see docs/load.md."""

from pathlib import Path
from typing import Any, Final

import gevent
import grpc.experimental.gevent
from locust import User, constant, events, task
from locust.env import Environment
from locust.exception import StopUser

from loadtest.campaign import Campaign
from loadtest.network import Network, web_of
from loadtest.over_grpc import GrpcSender
from loadtest.over_http import HttpSender
from loadtest.plan import Item, Kind, Plan, Shape, Transport
from loadtest.tally import Criteria, table_of, write
from seawall.domain.genesis import Genesis
from seawall.formats import genesis as genesis_format

# Before the first channel: from here on a call that waits lets other users go on.
grpc.experimental.gevent.init_gevent()

SECONDS_DEFAULT: Final = 30.0
MILLISECONDS: Final = 1000
FAULT_EXIT: Final = 1

campaigns: dict[Environment, Campaign] = {}
"""The run of each environment of locust; there is one, but for tests."""


@events.init_command_line_parser.add_listener
def declare(parser: Any) -> None:  # noqa: ANN401 - locust's parser
    """Add what a run is told on the command line."""
    group = parser.add_argument_group("Seawall")
    group.add_argument("--network", help="directory of a local network: genesis, keys, settings")
    group.add_argument("--genesis", help="the genesis file, where there is no such directory")
    group.add_argument("--keys", help="directory of contributors' keys, NAME.key")
    group.add_argument(
        "--http-port", type=int, help="HTTP port of ingestion, the same at every site's host"
    )
    group.add_argument("--seed", type=int, default=1, help="draws sizes, times, kinds and sites")
    group.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, help="of sending")
    group.add_argument("--rate", type=float, default=20.0, help="arrivals a second")
    group.add_argument("--shape", choices=[*Shape], default=Shape.FIXED, help="of the rate")
    group.add_argument("--malicious-share", type=float, default=0.2)
    group.add_argument("--http-share", type=float, default=0.25)
    group.add_argument("--tally", help="file that the tally is written to, as JSON")
    group.add_argument(
        "--alone", action="store_true", help="nobody else writes: ledgers count what we count"
    )
    group.add_argument(
        "--pushed-back-max", type=float, default=0.0, help="share of honest updates, 0 to 1"
    )


@events.test_start.add_listener
def begin(environment: Environment, **_: object) -> None:
    """Read the network, draw the schedule, and end the run when all of it is done."""
    options: Any = environment.parsed_options
    network = network_of(options)
    plan = Plan(
        seed=options.seed,
        seconds=options.seconds,
        rate=options.rate,
        shape=Shape(options.shape),
        tasks=network.tasks,
        sites=len(network.sites),
        contributors=len(network.keys),
        malicious_share=options.malicious_share,
        http_share=options.http_share if len(network.web) == len(network.sites) else 0.0,
    )

    def report(item: Item, seconds: float, size_bytes: int, fault: str) -> None:
        name = item.task if item.kind is Kind.HONEST else str(item.kind)
        environment.events.request.fire(
            request_type=str(item.transport),
            name=name,
            response_time=seconds * MILLISECONDS,
            response_length=size_bytes,
            exception=ValueError(fault) if fault else None,
            context={},
        )

    campaign = campaigns[environment] = Campaign(network, plan, report)
    campaign.begin()

    def end() -> None:
        campaign.done.wait()
        if environment.runner is not None:
            environment.runner.quit()

    gevent.spawn(end)


@events.quitting.add_listener
def judge(environment: Environment, **_: object) -> None:
    """Look up what was acknowledged, write the tally, and decide the exit code."""
    options: Any = environment.parsed_options
    campaign = campaigns.pop(environment, None)
    if campaign is None:
        environment.process_exit_code = FAULT_EXIT
        return
    campaign.finish()
    criteria = Criteria(alone=options.alone, pushed_back_share_max=options.pushed_back_max)
    document = campaign.tally.document(criteria)
    print(table_of(document))
    if options.tally:
        write(document, Path(options.tally))
    # Locust's own rule fails a run for any failed request; a refusal that had to come is none.
    environment.process_exit_code = 0 if document["verdict"] == "PASS" else FAULT_EXIT


def network_of(options: Any) -> Network:  # noqa: ANN401 - locust's options
    """Return the network that the command line names."""
    if not options.network and not (options.genesis and options.keys):
        raise SystemExit("name a network: --network DIRECTORY, or --genesis FILE --keys DIRECTORY")
    directory = Path(options.network) if options.network else None
    genesis = Path(options.genesis or f"{options.network}/genesis.json")
    keys = Path(options.keys or f"{options.network}/contributors")
    sites = genesis_of(genesis).sites
    web: dict[int, tuple[str, int]] = {}
    if options.http_port:
        hosts = [site.client_address_of("ingestion").rpartition(":")[0] for site in sites]
        web = {site: (host, options.http_port) for site, host in enumerate(hosts)}
    elif directory is not None:
        web = web_of(directory, tuple(site.name for site in sites))
    return Network(genesis, keys, web)


def genesis_of(path: Path) -> Genesis:
    """Return what a genesis file says."""
    return genesis_format.decode(path.read_bytes())


class LoadUser(User):
    """Sends what is due next over one transport, and waits until it is committed or refused."""

    abstract = True
    transport: Transport
    wait_time = constant(0)

    def on_start(self) -> None:
        """Take a place in the run."""
        self.campaign = campaigns[self.environment]
        kind = GrpcSender if self.transport is Transport.GRPC else HttpSender
        self.sender = kind(self.campaign.network)

    def on_stop(self) -> None:
        """Let go of the connections."""
        self.sender.close()

    @task
    def send_next(self) -> None:
        """Send one item; end when none is left."""
        item = self.campaign.take(self.transport)
        if item is None:
            raise StopUser
        self.campaign.perform(item, self.sender)


class GrpcUser(LoadUser):
    """A user of gRPC."""

    transport = Transport.GRPC
    weight = 3


class HttpUser(LoadUser):
    """A user of HTTP and server-sent events."""

    transport = Transport.HTTP
    weight = 1
