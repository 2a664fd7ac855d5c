"""A journal in a ConfigMap: it outlives the runner's pod, and tells what may be in force."""

import asyncio
from typing import Final

from seawall.chaos.runner.records import Record, decode, encode
from seawall.errors import OperationalError
from seawall.testbed.cluster import CONFIG_MAP, Manifest
from seawall.testbed.cluster_api import KubernetesObjects

JOURNAL: Final = "journal.jsonl"
VERDICT: Final = "verdict.json"
REPORT: Final = "report.md"
BYTES_MAX: Final = 900_000
"""A ConfigMap holds one MiB with everything around it."""

JOURNAL_LABEL: Final = "seawall.dev/chaos-run"


class ConfigMapJournal:
    """Implements `chaos.runner.protocols.Journal`."""

    def __init__(self, objects: KubernetesObjects, name: str, labels: dict[str, str]) -> None:
        """Keep the records in the ConfigMap of this name, made by the first of them."""
        self._objects = objects
        self.name = name
        self._labels = labels
        self._turn = asyncio.Lock()
        self._data: dict[str, str] = {}
        self._known = False

    async def write(self, record: Record) -> None:
        """Add a record; the API server has it durably when this returns.

        Raises:
            OperationalError: PKI_API; CHAOS_JOURNAL_FULL.

        """
        async with self._turn:
            line = encode(record).decode("ascii") + "\n"
            await self._put(JOURNAL, self._data.get(JOURNAL, "") + line)

    async def attach(self, name: str, text: str) -> None:
        """Put a document beside the records, for whoever looks later.

        Raises:
            OperationalError: as `write`.

        """
        async with self._turn:
            await self._put(name, text)

    async def read(self) -> tuple[Record, ...]:
        """Return all records.

        Raises:
            OperationalError: PKI_API.
            LocalError: CHAOS_JOURNAL.

        """
        found = await asyncio.to_thread(self._objects.read, CONFIG_MAP, self.name)
        return decode(((found or {}).get("data") or {}).get(JOURNAL, "").encode())

    async def _put(self, member: str, text: str) -> None:
        data = {**self._data, member: text}
        if sum(map(len, data.values())) > BYTES_MAX:
            hint = f"ConfigMap {self.name} takes no more: split the experiment"
            raise OperationalError("CHAOS_JOURNAL_FULL", hint)
        manifest: Manifest = {
            "apiVersion": "v1",
            "kind": CONFIG_MAP,
            "metadata": {"name": self.name, "labels": {**self._labels, JOURNAL_LABEL: "true"}},
            "data": data,
        }
        write = self._objects.replace if self._known else self._objects.create
        await asyncio.to_thread(write, manifest)
        self._data, self._known = data, True
