"""A batch on its way to a certificate, and what attesters say of it."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from seawall.codec import batch_root
from seawall.domain.block import Attestation
from seawall.errors import PeerError
from seawall.formats.admission import AdmittedUpdate


class Batch(msgspec.Struct, frozen=True):
    """Updates to be attested together; a payload is empty where only the ledger holds it."""

    number: int
    pinned_height: int
    updates: tuple[AdmittedUpdate, ...]
    payloads: tuple[bytes, ...]
    records: bytes
    root: bytes

    @classmethod
    def of(
        cls, number: int, pinned_height: int, updates: Iterable[tuple[AdmittedUpdate, bytes]]
    ) -> "Batch":
        """Return a batch of at least one update with its payload."""
        admitted, payloads = zip(*updates, strict=True)
        records = b"".join([one.record_bytes for one in admitted])
        return cls(number, pinned_height, admitted, payloads, records, batch_root(records))


class Word(msgspec.Struct, frozen=True):
    """What one site says of a batch: a signature, refused positions, or ask again."""

    signature: bytes = b""
    refused: dict[int, PeerError] = {}
    later: bool = False


class Certified(msgspec.Struct, frozen=True):
    """Attestations of stake V, ascending by author."""

    attestations: tuple[Attestation, ...]


class Dropped(msgspec.Struct, frozen=True):
    """Positions without which the batch has to be formed again."""

    refused: dict[int, PeerError]


class Silent(msgspec.Struct, frozen=True):
    """Too few sites answered; nothing is wrong with the batch."""


class Offer(Protocol):
    """One batch, ready for the wire."""

    async def ask(self, site: int) -> Word:
        """Return what a site says; raise SeawallError when it does not answer in time."""
        ...


class Attesters(Protocol):
    """The sites that may attest."""

    def offer(self, batch: Batch) -> Offer:
        """Prepare a batch for the wire, once for all sites."""
        ...


class Orderer(Protocol):
    """Consensus, as far as batches go in."""

    @property
    def generation(self) -> int:
        """Return a number that changes when consensus may have forgotten what it was told."""
        ...

    async def submit(self, batch: Batch, attestations: tuple[Attestation, ...]) -> None:
        """Hand in a certified batch; it is proposed until delivered.

        Raises:
            PeerError: QUOTA_CONSENSUS under back-pressure, BATCH_*.
            OperationalError: RPC_*, DEADLINE.

        """
        ...


class History(Protocol):
    """What the own ledger knows of updates that this process has not seen."""

    async def entry_of(self, update_id: bytes) -> int | None:
        """Return the index of a committed update's entry, None when it is not committed."""
        ...

    async def decision_on(self, update_id: bytes) -> bytes | None:
        """Return the last entry that decides on a committed update, None while there is none."""
        ...
