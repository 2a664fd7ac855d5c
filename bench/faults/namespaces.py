"""A network of one's own for each site: namespaces of Linux, joined by a router in between.

Each site's namespace has one link to the router's. The router drops what goes from one site to
another without a word, as a broken path does: its rules name source and destination, so a cut has a
direction, and connections that stand are cut like new ones. The sites stay in reach of this
process, whose own link to the router is never cut.

Needs root and `ip`; everything is gone once the namespaces are deleted.

Source: ip-netns(8), ip-rule(8) (type blackhole), veth(4).
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

HERE = 250
"""Third byte of this process's own network; sites have their index there."""

TAG = "sw"
"""Names begin with it and the process that made them; a link's name has at most 15 characters."""

PROBE_SECONDS = 1.0
NET_FIRST, NETS = 100, 100
"""Second bytes of addresses: one for each process that makes namespaces at one time."""


def obstacle() -> str | None:
    """Return why namespaces cannot be had here, None when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the command ip (apt-get install iproute2)"
    return None


class Namespaces:
    """The namespaces of a network's sites; see `namespaces`."""

    def __init__(self, sites: int) -> None:
        """Name them; nothing is made yet."""
        own = os.getpid()
        self._net = f"10.{NET_FIRST + own % NETS}"
        self._tag = f"{TAG}{own}"
        self._cut: list[tuple[int, int]] = []
        self.sites = sites

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the address of each site."""
        return tuple(self._host(site) for site in range(self.sites))

    def prefix(self, site: int) -> tuple[str, ...]:
        """Return the command that becomes a process of this site."""
        return ("ip", "netns", "exec", self._name(site))

    async def cut(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Drop everything on the way from the first site of each pair to the second."""
        for source, target in pairs:
            await self._rule("add", source, target)
            self._cut.append((source, target))

    async def mend(self) -> None:
        """End every cut."""
        while self._cut:
            await self._rule("del", *self._cut.pop())

    async def reaches(self, source: int, target: int, port: int) -> bool:
        """Return whether a connection from one site to another one's port comes up."""
        probe = f"import socket; socket.create_connection(({self._host(target)!r}, {port}), "
        words = ("python3", "-c", f"{probe}{PROBE_SECONDS})")
        process = await asyncio.create_subprocess_exec(
            *self.prefix(source), *words, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait() == 0

    async def make(self) -> None:
        """Make all namespaces and links.

        Raises:
            RuntimeError: the system refuses.

        """
        for name in await _left_behind():
            await _delete(name)
        router = self._name("router")
        await _ip("netns", "add", router)
        await _run("ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for site in range(self.sites):
            name, link = self._name(site), f"{self._tag}v{site}"
            await _ip("netns", "add", name)
            await _ip("link", "add", link, "netns", router, "type", "veth", "peer", "eth0",
                      "netns", name)  # fmt: skip
            await self._address(("-n", router), link, f"{self._net}.{site}.1/24")
            await self._address(("-n", name), "eth0", f"{self._host(site)}/24")
            await _ip("-n", name, "link", "set", "lo", "up")
            await _ip("-n", name, "route", "add", "default", "via", f"{self._net}.{site}.1")
        link = f"{self._tag}h"
        await _ip("link", "add", link, "type", "veth", "peer", "host0", "netns", router)
        await self._address((), link, f"{self._net}.{HERE}.2/24")
        await self._address(("-n", router), "host0", f"{self._net}.{HERE}.1/24")
        await _ip("route", "add", f"{self._net}.0.0/16", "via", f"{self._net}.{HERE}.1")

    async def remove(self) -> None:
        """Delete all namespaces; links and routes go with them."""
        for name in ("router", *range(self.sites)):
            await _delete(self._name(name))

    def _name(self, part: str | int) -> str:
        return f"{self._tag}-{part}"

    def _host(self, site: int) -> str:
        return f"{self._net}.{site}.2"

    async def _address(self, place: tuple[str, ...], link: str, address: str) -> None:
        await _ip(*place, "addr", "add", address, "dev", link)
        await _ip(*place, "link", "set", link, "up")

    async def _rule(self, action: str, source: int, target: int) -> None:
        words = ("from", self._host(source), "to", self._host(target), "blackhole")
        await _ip("-n", self._name("router"), "rule", action, *words)


@asynccontextmanager
async def namespaces(sites: int) -> AsyncIterator[Namespaces]:
    """Have namespaces for so many sites until the end of the block.

    Raises:
        RuntimeError: they cannot be had; see `obstacle`.

    """
    if (reason := obstacle()) is not None:
        raise RuntimeError(reason)
    made = Namespaces(sites)
    try:
        await made.make()
        yield made
    finally:
        await made.remove()


async def _left_behind() -> list[str]:
    """Return the namespaces of processes that ended without removing them."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "list", stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    return abandoned(printed.decode(), Path("/proc"))


def abandoned(listing: str, proc: Path) -> list[str]:
    """Return the names in the output of `ip netns list` whose maker does not run any more."""
    names = [line.split(maxsplit=1)[0] for line in listing.splitlines() if line.strip()]
    makers = [re.match(rf"{TAG}(\d+)-", name) for name in names]
    return [
        name
        for name, maker in zip(names, makers, strict=True)
        if maker is not None and not (proc / maker[1]).exists()
    ]


async def _delete(name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "del", name, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()


async def _ip(*words: str) -> None:
    await _run("ip", *words)


async def _run(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {complaint.decode().strip()}")
