from typing import Any

import numpy as np
import pytest

from seawall.errors import LocalError
from seawall.testbed.learning.digits import Samples, federate
from seawall.testbed.learning.model import (
    PARAMETER_COUNT,
    SHAPES,
    Training,
    Vector,
    accuracy,
    flatten,
    initial_head,
    train,
    unflatten,
)

TRAINING = Training()


def loss(vector: Vector, samples: Samples) -> float:
    """Return the mean cross-entropy, computed apart from the module under test."""
    t = unflatten(vector)
    hidden = np.maximum(samples.images @ t["hidden.weight"].T + t["hidden.bias"], 0.0)
    scores = hidden @ t["output.weight"].T + t["output.bias"]
    likelihood = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return float(-np.log(likelihood[np.arange(len(samples)), samples.labels]).mean())


def test_the_vector_holds_the_tensors_in_byte_order_of_their_names() -> None:
    assert PARAMETER_COUNT == 2410
    assert list(SHAPES) == sorted(SHAPES, key=str.encode)
    vector = np.arange(PARAMETER_COUNT, dtype=np.int32)
    tensors = unflatten(vector)
    assert {name: tensor.shape for name, tensor in tensors.items()} == dict(SHAPES)
    assert tensors["hidden.bias"][0] == 0
    assert tensors["hidden.weight"][0, 0] == 32
    backwards = dict(reversed(tensors.items()))
    assert flatten(backwards).tolist() == vector.tolist()
    assert flatten(backwards).dtype == np.int32


def test_other_tensors_are_refused() -> None:
    tensors = unflatten(np.zeros(PARAMETER_COUNT))
    lacking = {name: tensors[name] for name in list(SHAPES)[1:]}
    transposed = {**tensors, "hidden.weight": tensors["hidden.weight"].T}
    for bad in (lacking, transposed):
        with pytest.raises(LocalError) as caught:
            flatten(bad)
        assert caught.value.code == "MODEL_TENSORS"
    mixed: dict[str, Any] = {**tensors, "hidden.bias": np.zeros(32, dtype=np.float32)}
    with pytest.raises(LocalError):
        flatten(mixed)
    with pytest.raises(LocalError):
        unflatten(np.zeros(PARAMETER_COUNT - 1))


def test_one_step_follows_the_numerical_gradient() -> None:
    samples = federate(3).root
    start = initial_head(3, 20) / 2.0**20 + 0.01
    training = Training(steps=1, batch_size=len(samples), learning_rate=1.0)
    step = train(start, samples, training, np.random.default_rng(0)) - start
    for place in (0, 31, 40, 1000, 2079, 2080, 2089, 2100, 2409):
        nudge = np.zeros(PARAMETER_COUNT)
        nudge[place] = 1e-6
        slope = (loss(start + nudge, samples) - loss(start - nudge, samples)) / 2e-6
        assert step[place] == pytest.approx(-slope, abs=1e-7)


def test_training_fits_its_samples_and_leaves_the_start_alone() -> None:
    samples = federate(3).root
    head = initial_head(3, 20)
    start = head / 2.0**20
    before = start.copy()
    learnt = train(start, samples, Training(steps=400), np.random.default_rng(0))
    assert start.tolist() == before.tolist()
    assert accuracy(head, samples, 20) < 0.5
    assert accuracy(np.rint(learnt * 2**20).astype(np.int32), samples, 20) == 1.0


def test_first_models_differ_by_seed_alone() -> None:
    assert initial_head(1, 20).tolist() == initial_head(1, 20).tolist()
    assert initial_head(1, 20).tolist() != initial_head(2, 20).tolist()
