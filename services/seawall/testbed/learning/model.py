"""A network of one hidden layer, 64-32-10, in plain NumPy, and its vector form."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from seawall.errors import LocalError
from seawall.formats.fxp24 import Integers, dequantise, quantise
from seawall.testbed.learning.digits import CLASSES, PIXELS, Samples

Vector: TypeAlias = npt.NDArray[np.float64]
Tensors: TypeAlias = Mapping[str, npt.NDArray[np.float64]]
Scalar = TypeVar("Scalar", bound=np.generic)

HIDDEN = 32

SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "hidden.bias": (HIDDEN,),
        "hidden.weight": (HIDDEN, PIXELS),
        "output.bias": (CLASSES,),
        "output.weight": (CLASSES, HIDDEN),
    }
)
"""Tensor names and shapes, in byte order of the UTF-8 names: the order of the flat vector."""

PARAMETER_COUNT = sum(int(np.prod(shape)) for shape in SHAPES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a client trains: minibatch SGD on cross-entropy.

    Attributes:
        steps: minibatches per update.
        batch_size: images per minibatch, drawn without replacement.
        learning_rate: of plain SGD.
        grid_bits: S of the integer grid of heads and deltas.

    """

    steps: int = 20
    batch_size: int = 16
    learning_rate: float = 0.1
    grid_bits: int = 20


def flatten(tensors: Mapping[str, npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
    """Return the tensors of one dtype as one vector, in byte order of their names.

    Raises:
        LocalError: `MODEL_TENSORS` when names, shapes or dtypes are not the model's.

    """
    shapes = {name: tensors[name].shape for name in sorted(tensors)}
    if shapes != dict(SHAPES) or len({tensor.dtype for tensor in tensors.values()}) != 1:
        raise LocalError("MODEL_TENSORS", "give the model's four tensors in one dtype")
    return np.concatenate([tensors[name].ravel() for name in SHAPES])


def unflatten(vector: npt.NDArray[Scalar]) -> dict[str, npt.NDArray[Scalar]]:
    """Return the tensors in a vector of `PARAMETER_COUNT` values, as views of it.

    Raises:
        LocalError: `MODEL_TENSORS` for a vector of another length.

    """
    if vector.shape != (PARAMETER_COUNT,):
        raise LocalError("MODEL_TENSORS", f"give one vector of {PARAMETER_COUNT} values")
    tensors = {}
    start = 0
    for name, shape in SHAPES.items():
        end = start + int(np.prod(shape))
        tensors[name] = vector[start:end].reshape(shape)
        start = end
    return tensors


def initial_head(seed: int, grid_bits: int) -> Integers:
    """Return a random model on the grid: He-scaled weights, zero biases.

    Source: He et al., ICCV 2015.
    """
    generator = np.random.default_rng([seed, 1])
    vector = np.zeros(PARAMETER_COUNT)
    for name, tensor in unflatten(vector).items():
        if name.endswith("weight"):
            tensor[:] = generator.normal(0.0, np.sqrt(2.0 / tensor.shape[1]), tensor.shape)
    return quantise(vector, grid_bits)[0]


def train(
    start: Vector, samples: Samples, training: Training, generator: np.random.Generator
) -> Vector:
    """Return the parameters after `training.steps` minibatches of SGD from `start`."""
    vector = start.copy()
    gradient = np.empty_like(vector)
    weights, slopes = unflatten(vector), unflatten(gradient)
    size = min(training.batch_size, len(samples))
    for _ in range(training.steps):
        chosen = generator.choice(len(samples), size, replace=False)
        _backward(weights, slopes, samples.images[chosen], samples.labels[chosen])
        vector -= training.learning_rate * gradient
    return vector


def accuracy(head: Integers, samples: Samples, grid_bits: int) -> float:
    """Return the share of images that the model on the grid labels correctly, 0..1."""
    weights = unflatten(dequantise(head, grid_bits).astype(np.float64))
    _, scores = _forward(weights, samples.images)
    return float(np.mean(scores.argmax(axis=1) == samples.labels))


def _forward(weights: Tensors, images: Vector) -> tuple[Vector, Vector]:
    """Return hidden activations (n, 32) and class scores (n, 10)."""
    hidden = np.maximum(images @ weights["hidden.weight"].T + weights["hidden.bias"], 0.0)
    return hidden, hidden @ weights["output.weight"].T + weights["output.bias"]


def _backward(
    weights: Tensors, slopes: Tensors, images: Vector, labels: npt.NDArray[np.int64]
) -> None:
    """Write the gradient of the mean cross-entropy into `slopes`."""
    hidden, scores = _forward(weights, images)
    # Shifting by the maximum keeps exp() in range and does not change the softmax.
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    errors = exponentials / exponentials.sum(axis=1, keepdims=True)
    errors[np.arange(len(labels)), labels] -= 1.0
    errors /= len(labels)
    back = (errors @ weights["output.weight"]) * (hidden > 0.0)
    slopes["output.weight"][:] = errors.T @ hidden
    slopes["output.bias"][:] = errors.sum(axis=0)
    slopes["hidden.weight"][:] = back.T @ images
    slopes["hidden.bias"][:] = back.sum(axis=0)
