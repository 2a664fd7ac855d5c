"""What a client knows of a chain before it talks to anybody: genesis, and what follows from it."""

from functools import cached_property
from pathlib import Path

from seawall.domain.genesis import Genesis, Task
from seawall.errors import LocalError, OperationalError
from seawall.formats import genesis as genesis_format
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import Cosigner, verify_quorum
from seawall.formats.task_payload import Layout


class Chain:
    """Genesis, its name, and the trust policy that it implies. Immutable."""

    def __init__(self, data: bytes) -> None:
        """Read the bytes of a genesis file.

        Raises:
            PeerError: as `seawall.formats.genesis.decode`.

        """
        self.data = data
        self.genesis: Genesis = genesis_format.decode(data)
        self.origin = origin = genesis_format.origin(data)
        genesis = self.genesis
        self.committee = genesis.committee(origin)
        self.cosigners: tuple[Cosigner, ...] = tuple(
            (member.cosigner_name, member.cosigner_key, member.stake)
            for member in self.committee.members
        )

    @classmethod
    def read(cls, source: "str | Path | bytes | Chain") -> "Chain":
        """Return the chain of a genesis file, or of its bytes.

        Raises:
            OperationalError: GENESIS_READ.
            PeerError: as `seawall.formats.genesis.decode`.

        """
        if isinstance(source, Chain):
            return source
        return cls(source if isinstance(source, bytes) else _read(Path(source)))

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """Return how the payloads of each task look."""
        return {task.name: Layout.of(task) for task in self.genesis.tasks}

    def task(self, name: str) -> Task:
        """Return a task.

        Raises:
            LocalError: TASK_UNKNOWN.

        """
        for task in self.genesis.tasks:
            if task.name == name:
                return task
        names = ", ".join(task.name for task in self.genesis.tasks) or "none"
        raise LocalError("TASK_UNKNOWN", f"tasks of this chain: {names}", field="task")

    def site(self, name: str) -> int:
        """Return the index of a site by its name or by a client address of it in genesis.

        Raises:
            LocalError: CLIENT_SITE.

        """
        for index, site in enumerate(self.genesis.sites):
            own = [one.client_address for one in site.role_addresses]
            if name in (site.name, site.client_address, *own):
                return index
        hint = "name a site of genesis, its client address, or NAME=HOST:PORT"
        raise LocalError("CLIENT_SITE", hint, field="sites")

    def verify_note(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that quorum stake of this chain has signed.

        Raises:
            PeerError: LOG_* as `seawall.formats.cosignature.verify_quorum`.

        """
        key, quorum = self.genesis.log_key, self.committee.quorum
        return verify_quorum(note.encode(), self.origin, key, self.cosigners, quorum)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(genesis_format.GENESIS_SIZE_BYTES_MAX + 1)
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("GENESIS_READ", hint) from fault
