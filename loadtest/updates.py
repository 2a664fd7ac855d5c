"""The bytes of what is sent: honest updates, and those that have to be refused."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from loadtest.network import Network
from loadtest.plan import FLOOD_OPENS, Item, Kind
from seawall.client import Base, Prepared
from seawall.formats import dsse
from seawall.formats.admission import ENVELOPE_SIZE_BYTES_MAX

STEP_MAX = 1000
EXAMPLES = 32


@dataclass(slots=True)
class Maker:
    """Signs updates; `first` are the first numbers that the contributors have not used."""

    network: Network
    seed: int
    first: list[int]
    bases: dict[str, Base] = field(default_factory=dict)

    def make(self, item: Item) -> Prepared:
        """Return what an item sends, spoilt as its kind says; a replay has an honest twin."""
        good = self.sign(item, 0)
        match item.kind:
            case Kind.TAMPERED:
                return msgspec.structs.replace(good, payload=_flipped(good.payload))
            case Kind.FORGED:
                return msgspec.structs.replace(good, envelope=_forged(good.envelope))
            case Kind.OVERSIZED:
                padding = b" " * ENVELOPE_SIZE_BYTES_MAX
                return msgspec.structs.replace(good, envelope=good.envelope + padding)
            case Kind.HONEST | Kind.REPLAYED | Kind.FLOOD:
                return good

    def flood(self, item: Item) -> list[Prepared]:
        """Return the updates whose uploads a flood opens."""
        return [self.sign(item, at) for at in range(FLOOD_OPENS)]

    def sign(self, item: Item, offset: int, *, seq: int | None = None) -> Prepared:
        """Return an honest update of an item's contributor.

        Args:
            item: names contributor, task and number.
            offset: which of several updates of the item.
            seq: the number instead of the next free one.

        """
        sealer = self.network.sealers[item.task][item.contributor]
        number = self.first[item.contributor] + item.number + offset
        source = np.random.default_rng([self.seed, item.serial, offset, number])
        size = sealer.layout.size
        delta = source.integers(-STEP_MAX, STEP_MAX + 1, size, dtype=np.int32)
        return sealer.seal(
            delta,
            base=self.bases[item.task],
            seq=number if seq is None else seq,
            num_examples=EXAMPLES,
        )


def _flipped(payload: bytes) -> bytes:
    """Return a payload with the least bit of its last value flipped: still on the grid."""
    at = len(payload) - 4
    return payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]


def _forged(envelope: bytes) -> bytes:
    """Return an envelope whose signature has one bit flipped."""
    read = dsse.decode(envelope, size_max=ENVELOPE_SIZE_BYTES_MAX)
    first, *others = read.signatures
    wrong = msgspec.structs.replace(first, sig=bytes([first.sig[0] ^ 1]) + first.sig[1:])
    return dsse.encode(msgspec.structs.replace(read, signatures=(wrong, *others)))
