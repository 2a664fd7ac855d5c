"""Tasks that a local network starts with, each with its base model."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from seawall.domain.cut import CutPolicy
from seawall.domain.genesis import RuleSpec, Task, TensorSpec
from seawall.formats.task_payload import Layout, header_size_for, payload_digest
from seawall.testbed.learning.model import SHAPES, Training, initial_head

DIGITS: Final = "digits"
WIDE: Final = "wide"

F_DEFAULT: Final = 4
"""Bad updates in a cut that clip + NNM + median withstands in the digits task."""

STALENESS_MAX: Final = 20
WIDE_COLUMNS: Final = 700_000
"""Parameters of the wide task: 2.8 MB, so a payload has three chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task of genesis, and the payload of its version 0."""

    task: Task
    base_payload: bytes


def digits_task(seed: int, *, contributors: int = 20, interval_ms: int = 1000) -> PlannedTask:
    """Return the digits task: an MLP 64-32-10 under the root gate, first model drawn by seed.

    A cut takes half of the contributors, at least k_min of them after two intervals; k_min is
    more than 2f for what runs in place of the root gate when no root update is there.
    """
    k = max(1, contributors // 2)
    k_min = min(k, 2 * F_DEFAULT + 1)
    training = Training()
    tensors = tuple(TensorSpec(name=name, shape=shape) for name, shape in SHAPES.items())
    header_size_bytes = header_size_for(tensors)
    layout = Layout(tensors, header_size_bytes)
    base = layout.encode(initial_head(seed, training.grid_bits))
    task = Task(
        name=DIGITS,
        rule=RuleSpec(
            name="root-gate", version=1, parameters=(("f", min(F_DEFAULT, (k - 1) // 2)),)
        ),
        grid_bits=training.grid_bits,
        tensors=tensors,
        header_size_bytes=header_size_bytes,
        payload_size_bytes=layout.payload_size_bytes,
        base_payload_digest=payload_digest(base),
        cut=CutPolicy(
            interval_ms=interval_ms,
            k=k,
            k_min=k_min,
            staleness_max=STALENESS_MAX,
            root_required=True,
        ),
    )
    return PlannedTask(task=task, base_payload=base)


def wide_task(
    *,
    columns: int = WIDE_COLUMNS,
    interval_ms: int = 1000,
    staleness_max: int = STALENESS_MAX,
) -> PlannedTask:
    """Return a task whose payloads have several chunks: one tensor under the weighted mean."""
    tensors = (TensorSpec(name="weight", shape=(columns,)),)
    header_size_bytes = header_size_for(tensors)
    layout = Layout(tensors, header_size_bytes)
    base = layout.encode(np.zeros(columns, dtype=np.int32))
    task = Task(
        name=WIDE,
        rule=RuleSpec(name="fedavg", version=1, parameters=()),
        grid_bits=Training().grid_bits,
        tensors=tensors,
        header_size_bytes=header_size_bytes,
        payload_size_bytes=layout.payload_size_bytes,
        base_payload_digest=payload_digest(base),
        cut=CutPolicy(interval_ms=interval_ms, k=1, k_min=1, staleness_max=staleness_max),
    )
    return PlannedTask(task=task, base_payload=base)
