"""Contributors who sign updates for two small tasks, honest ones and others."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from seawall.crypto.hashing import sha256
from seawall.crypto.merkle import EMPTY_ROOT
from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import Contributor, RuleSpec, Task, TensorSpec
from seawall.formats import dsse, oms, submission
from seawall.formats.dsse import Envelope
from seawall.formats.submission import Submission
from seawall.formats.task_payload import Layout, header_size_for

OWNERS: Final = 8
ROOT_OWNER: Final = OWNERS - 1
STALENESS_MAX: Final = 4


NO_CUTS: Final = CutPolicy(interval_ms=3_600_000, k=100, k_min=100, staleness_max=STALENESS_MAX)


def make_task(name: str, *tensors: TensorSpec, cut: CutPolicy = NO_CUTS) -> Task:
    """Return a task whose base model is all zero; by itself it makes no cut."""
    header_size = header_size_for(tensors)
    layout = Layout(tensors, header_size)
    return Task(
        name=name,
        rule=RuleSpec(name="fedavg", version=1, parameters=()),
        grid_bits=16,
        tensors=tensors,
        header_size_bytes=header_size,
        payload_size_bytes=layout.payload_size_bytes,
        base_payload_digest=sha256(layout.encode(np.zeros(layout.size, dtype=np.int32))),
        cut=cut,
    )


SMALL: Final = make_task(
    "small", TensorSpec(name="bias", shape=(16,)), TensorSpec(name="weight", shape=(16, 14))
)
WIDE: Final = make_task("wide", TensorSpec(name="weight", shape=(700_000,)))
"""Payloads of three chunks."""

TASKS: Final = (SMALL, WIDE)


def owner_key(index: int) -> SigningKey:
    """Return a contributor's key."""
    return SigningKey.from_seed(sha256(f"owner-{index}".encode()))


CONTRIBUTORS: Final = tuple(
    Contributor(
        name=f"owner-{index}",
        public_key=owner_key(index).public,
        roles=("root",) if index == ROOT_OWNER else ("contributor",),
    )
    for index in range(OWNERS)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An update ready to send, in all its parts."""

    envelope: bytes
    manifest: bytes = b""
    provenance: bytes = b""
    payload: bytes = b""

    @property
    def update_id(self) -> bytes:
        """Return the id of the update in a well-formed envelope."""
        return submission.update_id(dsse.decode(self.envelope, size_max=1 << 20).payload)

    @property
    def chunks(self) -> list[bytes]:
        """Return the payload in chunks."""
        size = oms.CHUNK_SIZE
        return [self.payload[at : at + size] for at in range(0, len(self.payload), size)]


class Author:
    """A contributor with a key and a counter."""

    def __init__(self, origin: str, index: int) -> None:
        self.key = owner_key(index)
        self.origin = origin
        self.seq = 0
        self._random = np.random.default_rng(index)

    def payload(self, task: Task = SMALL) -> bytes:
        """Return a fresh payload."""
        layout = Layout.of(task)
        return layout.encode(self._random.integers(-9, 9, layout.size, dtype=np.int32))

    def claim(self, payload: bytes, task: Task = SMALL, **changes: Any) -> Submission:  # noqa: ANN401 - members of any type
        """Return the next submission for a payload, with some members replaced."""
        self.seq += 1
        manifest = manifest_of(payload)
        claim = Submission(
            origin=self.origin,
            task=task.name,
            kind="delta",
            base_version=0,
            base_digest=task.base_payload_digest,
            contributor=key_id(self.key.public),
            seq=self.seq,
            expires_height=90_000,
            checkpoint_size=0,
            checkpoint_root=EMPTY_ROOT,
            payload_digest=sha256(payload),
            payload_size=len(payload),
            manifest_digest=sha256(manifest) if manifest else None,
            provenance_digest=None,
            num_examples=10,
            metrics=(),
        )
        return msgspec.structs.replace(claim, **changes)

    def seal(self, claim: Submission, *, key: SigningKey | None = None) -> bytes:
        """Return a claim in its signed envelope."""
        return dsse.encode(submission.seal(claim, key or self.key))

    def seal_bytes(self, payload: bytes, payload_type: str = submission.PAYLOAD_TYPE) -> bytes:
        """Return any bytes in a signed envelope."""
        return dsse.encode(dsse.sign(payload_type, payload, self.key))

    def update(self, task: Task = SMALL, **changes: Any) -> Signed:  # noqa: ANN401 - as above
        """Return the next update, with some members of its submission replaced."""
        return self.signed(self.payload(task), task, **changes)

    def signed(self, payload: bytes, task: Task = SMALL, **changes: Any) -> Signed:  # noqa: ANN401 - as above
        """Return the next update with this payload."""
        return Signed(
            envelope=self.seal(self.claim(payload, task, **changes)),
            manifest=manifest_of(payload),
            payload=payload,
        )

    def envelope(self) -> Envelope:
        """Return the envelope of a good update, to be spoilt."""
        return submission.seal(self.claim(self.payload()), self.key)


def manifest_of(payload: bytes) -> bytes:
    """Return the chunk list of a payload of more than one chunk."""
    if len(payload) <= oms.CHUNK_SIZE:
        return b""
    return oms.manifest("update.safetensors", oms.chunk_digests(payload), len(payload))
