"""The `seawall` command: finds the module of a subcommand, runs it, and turns errors into codes.

A subcommand is one module with `declare(parser)` and `run(arguments) -> int`; one of two words,
`sim bench`, is the module `sim_bench`. Only the module of the command that runs is imported, so
`seawall verify` works in the plain install.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, cast

from seawall.cli import console
from seawall.cli.console import Exit
from seawall.errors import LocalError, PeerError, SeawallError

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "genesis": "make keys, certificates and the genesis of a local network",
        "keys": "make, enrol and show keys of contributors",
        "pki": "make the keys and the genesis of a Kubernetes cluster",
        "doctor": "say what a Kubernetes cluster lacks, and what repairs it",
        "serve": "serve roles of one site in this process",
        "up": "run all sites of a local network, and start them again when they end",
        "down": "end the sites that up has started",
        "status": "show where each site stands",
        "logs": "show what sites have logged",
        "submit": "train or read one update, sign it, push it, wait for its receipt",
        "receipt": "fetch the receipt of an update",
        "verify": "check a receipt offline",
        "selftest": "try a running network: every service, one update, its receipt",
        "ledger": "write a site's ledger to a file",
        "dashboards": "write Grafana dashboards and Prometheus rules",
        "demo": "four sites, 20 contributors, real data, under attack",
        "sim": "run an experiment in virtual time, and judge it",
        "sim bench": "what consensus costs when all is well, in virtual time",
        "sim stress": "what faults cost at saturation, in virtual time",
        "chaos list": "list experiments, and where each can run",
        "chaos validate": "check experiment files",
        "chaos plan": "show whom an experiment hits, and when",
        "chaos run": "run an experiment in the simulator or on real sites, and judge it",
        "chaos cluster": "run experiments on a release, inside the runner's Job",
        "chaos stop": "tell runs to take their faults back and end",
        "chaos clean": "take back what a killed run has left in force",
        "chaos compare": "put runs side by side",
        "version": "print the version",
    }
)

EXTRAS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "grafana_foundation_sdk": "dashboards",
        "matplotlib": "demo",
        "rich": "demo",
        "sklearn": "demo",
    }
)
"""Extras that bring packages which a site does not need."""

EXIT_CODES: Final = """exit codes:
  0  done, and everything expected was observed
  1  an expectation did not hold
  2  wrong usage, or a wrong file of your own
  3  bad input was refused; the code says why
  4  somebody else failed: a site does not answer, a file or directory cannot be used
  5  a fault of Seawall itself
  130  interrupted"""


class Command(Protocol):
    """What the module of a command has."""

    __doc__: str | None

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Carry it out, and return the exit code."""
        ...


def main(
    argv: Sequence[str] | None = None, find: Callable[[str], object] = importlib.import_module
) -> int:
    """Run one command line and return its exit code; `find` imports a module by its name."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return Exit.OK if words else Exit.USAGE
    name, rest = _command(words)
    if name == "--version":
        name = "version"
    if name not in COMMANDS:
        hint = "choose one of the commands that seawall --help lists"
        return _fail(LocalError("CLI_COMMAND", hint, field="command"), json=False)
    # gRPC reads it when it is imported; what it would say of closed ports is said by our errors.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        module = cast("Command", find(f"seawall.cli.{name.replace(' ', '_')}"))
    except ModuleNotFoundError as fault:
        return _fail(_missing(fault), json="--json" in rest)
    return _run(name, module, rest)


def _command(words: list[str]) -> tuple[str, list[str]]:
    """Return the longest command that the words begin with, or the first word, and the rest."""
    two = " ".join(words[:2])
    return (two, words[2:]) if two in COMMANDS else (words[0], words[1:])


def overview() -> str:
    """Return the help text: commands and exit codes."""
    lines = [f"  {name:<14} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: seawall COMMAND [options]",
            "",
            "Lets edge sites that do not trust each other train one model together.",
            "",
            "commands:",
            *lines,
            "",
            "Each command takes --help and --json.",
            "",
            EXIT_CODES,
        ]
    )


def parser_of(name: str, module: Command) -> argparse.ArgumentParser:
    """Return the parser of one command; its module may have exit codes of its own to explain."""
    parser = argparse.ArgumentParser(
        prog=f"seawall {name}",
        description=module.__doc__,
        epilog=getattr(module, "EXIT_CODES", EXIT_CODES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")
    module.declare(parser)
    return parser


def _run(name: str, module: Command, words: list[str]) -> int:
    arguments = parser_of(name, module).parse_args(words)
    try:
        return module.run(arguments)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except ModuleNotFoundError as fault:
        return _fail(_missing(fault), json=arguments.json)
    except SeawallError as fault:
        return _fail(fault, json=arguments.json)
    except BaseExceptionGroup as faults:
        first = _first(faults)
        if isinstance(first, KeyboardInterrupt):
            return Exit.INTERRUPTED
        if isinstance(first, SeawallError):
            return _fail(first, json=arguments.json)
        return _internal(first)
    except BrokenPipeError:
        # The reader of our output has gone; nobody is left to tell.
        sys.stderr.close()
        return Exit.OK
    except Exception as fault:  # noqa: BLE001 - the last place that can give it an exit code
        return _internal(fault)


def _fail(fault: SeawallError, *, json: bool) -> int:
    console.print_error(fault, json=json)
    if isinstance(fault, LocalError):
        return Exit.USAGE
    return Exit.REFUSED if isinstance(fault, PeerError) else Exit.UNREACHABLE


def _internal(fault: BaseException) -> int:
    traceback.print_exception(fault)
    print("error: CLI_INTERNAL: a fault of Seawall itself: please report it", file=sys.stderr)
    return Exit.INTERNAL


def _missing(fault: ModuleNotFoundError) -> SeawallError:
    """Say which extra brings a module that is not installed; raise what is a fault of ours."""
    name = (fault.name or "").partition(".")[0]
    if name in ("", "seawall"):
        raise fault
    extra = EXTRAS.get(name, "server")
    hint = f"this command needs {name}: install seawall[{extra}]"
    return LocalError("CLI_EXTRA", hint)


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure to report of a group: one of ours before any other."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [faults]
    while pending:
        fault = pending.pop(0)
        if isinstance(fault, BaseExceptionGroup):
            pending.extend(fault.exceptions)
        else:
            leaves.append(fault)
    ours = [leaf for leaf in leaves if isinstance(leaf, SeawallError)]
    return (ours or leaves)[0]


if __name__ == "__main__":
    sys.exit(main())
