"""Make keys, certificates, base models and the genesis of a local network."""

import argparse
from typing import Final

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.domain.parameters import ASYNC, SYNC, ConsensusParameters
from seawall.errors import LocalError
from seawall.testbed.genesis_maker import MadeNetwork, NetworkPlan, make_network
from seawall.testbed.tasks import digits_task

WAVE_LENGTH: Final = 5
"""Of an async chain, unless told otherwise: the likelier one to decide a leader directly."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    console.add_directory(parser)
    add_plan(parser)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a network."""
    parser.add_argument("-n", "--sites", type=int, default=4, help="sites (default: 4)")
    parser.add_argument("--stakes", help="stake of each site, with commas (default: 1 each)")
    parser.add_argument("--chain", default="local", help="name of the chain (default: local)")
    parser.add_argument("--host", default="127.0.0.1", help="address that sites listen on")
    parser.add_argument("--port", type=int, help="first port (default: free ones are looked for)")
    parser.add_argument("--contributors", type=int, default=20, help="enrolled keys (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the first model (default: 1)")
    parser.add_argument(
        "--protocol",
        choices=(ASYNC, SYNC),
        help="async: leaders by a common coin, nobody waits for them (default: sync)",
    )
    parser.add_argument(
        "--wave-length",
        type=int,
        choices=(4, 5),
        help="of async: rounds that it takes to decide a leader (default: 5)",
    )
    parser.add_argument(
        "--split", action="store_true", help="each role of each site in a process of its own"
    )
    parser.add_argument(
        "--chaos", action="store_true", help="let experiments inject faults into these sites"
    )
    parser.add_argument(
        "--interval-ms", type=int, default=1000, help="between two versions (default: 1000)"
    )


def plan_of(arguments: argparse.Namespace) -> NetworkPlan:
    """Return the plan that the options describe.

    Raises:
        LocalError: GENESIS_PLAN for a wave length without `--protocol async`.

    """
    task = digits_task(
        arguments.seed, contributors=arguments.contributors, interval_ms=arguments.interval_ms
    )
    stakes = arguments.stakes or ""
    consensus = ConsensusParameters()
    if arguments.protocol == ASYNC:
        consensus = consensus.asynchronous(arguments.wave_length or WAVE_LENGTH)
    elif arguments.wave_length is not None:
        hint = "only an async chain has a choice: add --protocol async"
        raise LocalError("GENESIS_PLAN", hint, field="--wave-length")
    return NetworkPlan(
        sites=arguments.sites,
        stakes=tuple(int(stake) for stake in stakes.split(",") if stake),
        chain=arguments.chain,
        host=arguments.host,
        port=arguments.port,
        contributors=arguments.contributors,
        tasks=(task,),
        consensus=consensus,
        split=arguments.split,
        chaos=arguments.chaos,
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the network and say where it is."""
    made = make_network(arguments.dir, plan_of(arguments))
    console.emit(arguments, document_of(made), lines_of(made))
    return Exit.OK


def document_of(made: MadeNetwork) -> dict[str, object]:
    """Return a network as JSON values."""
    return {
        "origin": made.origin,
        "genesis": str(made.directory.genesis),
        "protocol": made.genesis.consensus.protocol,
        "sites": [
            {"name": site.name, "stake": site.stake, "client": site.client_address}
            for site in made.genesis.sites
        ],
        "tasks": [task.name for task in made.genesis.tasks],
        "contributors": [one.name for one in made.genesis.contributors],
    }


def lines_of(made: MadeNetwork) -> list[str]:
    """Return a network as lines of text."""
    genesis = made.genesis
    committee = genesis.committee(made.origin)
    return [
        f"origin       {made.origin}",
        f"genesis      {made.directory.genesis}",
        f"protocol     {genesis.consensus.protocol}",
        f"sites        {len(genesis.sites)}",
        f"stake        {committee.total}, of which Q is {committee.quorum}, V {committee.validity}",
        f"tasks        {', '.join(task.name for task in genesis.tasks)}",
        f"contributors {len(genesis.contributors)}, keys in {made.directory.path}/contributors",
        f"next         seawall up --dir {made.directory.path}",
    ]
