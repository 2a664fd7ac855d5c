"""Tasks, contributors and signed updates of chosen sizes, from a seed.

A payload of the size `1 KB` is a whole safetensors file of 1,024 bytes: a header of 256 bytes and
192 parameters of int32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy as np

from seawall.crypto.signing import SigningKey, key_id
from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import Contributor, Genesis, RuleSpec, Task, TensorSpec
from seawall.formats import dsse, submission
from seawall.formats.submission import Submission
from seawall.formats.task_payload import Layout
from seawall.runtime.keys import read_key
from seawall.testbed.directory import NetworkDirectory

HEADER_BYTES = 248
SHORT_HEADER_BYTES = 72
SHORT_PAYLOAD_BYTES_MAX = 511
"""Payloads up to this size have the short header."""

LENGTH_BYTES = 8
"""In front of a safetensors header stands its length."""

VALUE_BYTES = 4
SERIAL_VALUES = 3
"""Leading parameters that make a payload unique."""

SERIAL_BASE = 1 << 20

CUTS = CutPolicy(interval_ms=10_000, k=16, k_min=4, staleness_max=64)
"""Cuts go on during a measurement, as they would in service: one in ten seconds, of 16 updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What a contributor knows of the chain when it signs.

    `checkpoint_size` and `checkpoint_root` name a checkpoint; 0 and 32 zero bytes stand for none.
    """

    origin: str
    checkpoint_size: int = 0
    checkpoint_root: bytes = bytes(32)
    height: int = 0


class Payloads:
    """Payloads of one task, no two of them equal; each is made when it is asked for."""

    def __init__(self, task: Task, seed: str) -> None:
        """Draw the parameters that all of them share."""
        layout = Layout.of(task)
        noise = np.random.default_rng(int.from_bytes(sha256(seed.encode()).digest()[:8], "big"))
        vector = noise.integers(-(2**16), 2**16, layout.size, dtype=np.int32)
        data = layout.encode(vector)
        start = len(layout.header)
        self.size_bytes = len(data)
        self._front = data[:start]
        self._rest = data[start + SERIAL_VALUES * VALUE_BYTES :]

    def at(self, serial: int) -> bytes:
        """Return the payload of a serial number, from 0 to 2^40."""
        digits = (serial % SERIAL_BASE, serial // SERIAL_BASE, 1)
        middle = b"".join(digit.to_bytes(VALUE_BYTES, "little") for digit in digits)
        return self._front + middle + self._rest


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUpdate:
    """A signed update; `owner` is its contributor's place among the keys."""

    update_id: bytes
    envelope: bytes
    owner: int
    serial: int
    source: Payloads

    def payload(self) -> bytes:
        """Return the safetensors file."""
        return self.source.at(self.serial)


def make_task(name: str, payload_bytes: int) -> Task:
    """Return a task whose payloads have exactly this size, at least 128 bytes, a multiple of 4."""
    header_bytes = SHORT_HEADER_BYTES if payload_bytes <= SHORT_PAYLOAD_BYTES_MAX else HEADER_BYTES
    size = (payload_bytes - LENGTH_BYTES - header_bytes) // VALUE_BYTES
    tensors = (TensorSpec("weights", (size,)),)
    layout = Layout(tensors, header_bytes)
    assert layout.payload_size_bytes == payload_bytes, "header and values make up the payload"
    base = layout.encode(np.zeros(size, dtype=np.int32))
    return Task(
        name=name,
        rule=RuleSpec("fedavg", 1, ()),
        grid_bits=20,
        tensors=tensors,
        header_size_bytes=header_bytes,
        payload_size_bytes=payload_bytes,
        base_payload_digest=sha256(base).digest(),
        cut=CUTS,
    )


def base_payload(task: Task) -> bytes:
    """Return version 0 of a task: all parameters are zero."""
    layout = Layout.of(task)
    return layout.encode(np.zeros(layout.size, dtype=np.int32))


def make_keys(count: int, seed: str = "bench") -> tuple[SigningKey, ...]:
    """Return keys of contributors that this seed always gives."""
    seeds = (sha256(f"{seed}-contributor-{index}".encode()).digest() for index in range(count))
    return tuple(SigningKey.from_seed(one) for one in seeds)


def enrol(keys: tuple[SigningKey, ...]) -> tuple[Contributor, ...]:
    """Return the contributors that own these keys."""
    return tuple(
        Contributor(f"contributor-{index}", key.public, ("contributor",))
        for index, key in enumerate(keys)
    )


def enrolled_keys(directory: Path, genesis: Genesis) -> tuple[SigningKey, ...]:
    """Return the keys of a local network's contributors, without owners of root sets."""
    files = NetworkDirectory(directory)
    return tuple(
        read_key(files.contributor_key(one.name))
        for one in genesis.contributors
        if "contributor" in one.roles
    )


def sign_updates(
    task: Task, keys: tuple[SigningKey, ...], anchor: Anchor, *, first_seq: int = 1
) -> Iterator[SignedUpdate]:
    """Yield updates from the contributors in turn, each with its own numbers, for ever.

    Args:
        task: what they are for; all start from version 0.
        keys: the contributors.
        anchor: what they know of the chain.
        first_seq: the first number that each contributor uses.

    """
    owners = [key_id(key.public) for key in keys]
    source = Payloads(task, f"{task.name}-{first_seq}")
    for serial in count():
        payload, at = source.at(serial), serial % len(keys)
        claim = Submission(
            origin=anchor.origin,
            task=task.name,
            kind="delta",
            base_version=0,
            base_digest=task.base_payload_digest,
            contributor=owners[at],
            seq=first_seq + serial // len(keys),
            expires_height=anchor.height + 50_000,
            checkpoint_size=anchor.checkpoint_size,
            checkpoint_root=anchor.checkpoint_root,
            payload_digest=sha256(payload).digest(),
            payload_size=len(payload),
            manifest_digest=None,
            provenance_digest=None,
            num_examples=32,
            metrics=(),
        )
        sealed = submission.seal(claim, keys[at])
        yield SignedUpdate(
            update_id=submission.update_id(sealed.payload),
            envelope=dsse.encode(sealed),
            owner=at,
            serial=serial,
            source=source,
        )
