"""The digits data, its split, and how it is spread over clients.

Source of the data: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, as
shipped with scikit-learn: 1,797 images of 8 x 8 pixels, ten classes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from seawall.errors import LocalError

PIXELS = 64
CLASSES = 10
TEST_COUNT = 360
"""A fifth of the images is kept for testing."""

CLIENT_EXAMPLES_MIN = 5
"""A client with fewer images than this could not form a minibatch worth the name."""

DRAWS_MAX = 100
"""Draws of a split before giving up; with the default settings one to three are usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Images, float64 of shape (n, 64) in 0..1, and labels, int64 of shape (n,) in 0..9."""

    images: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64]) -> "Samples":
        """Return the images with these indices, in their order."""
        return Samples(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """Who holds which images; the parts are disjoint.

    Attributes:
        clients: one part per client.
        root: the trusted samples.
        test: images that nobody trains on.

    """

    clients: tuple[Samples, ...]
    root: Samples
    test: Samples


@cache
def load_digits() -> Samples:
    """Return all 1,797 images, in the order of the data set.

    scikit-learn takes seconds and a hundred MiB to import, so that happens here, once, and only
    when data is needed.
    """
    from sklearn.datasets import load_digits as load  # noqa: PLC0415 - takes seconds, see above

    pixels, labels = load(return_X_y=True)
    return Samples(images=pixels.astype(np.float64) / 16.0, labels=labels.astype(np.int64))


def federate(
    seed: int, *, clients: int = 20, concentration: float = 0.3, root_count: int = 25
) -> Federation:
    """Return the data of one run: test part, root samples, and a Dirichlet split of the rest.

    For each class, the shares of the clients are one draw of a symmetric Dirichlet distribution
    with the given concentration; the smaller it is, the fewer classes a client sees. Draws that
    leave a client with fewer than `CLIENT_EXAMPLES_MIN` images are repeated. Root samples are
    drawn uniformly, so a class may be missing among them.

    Raises:
        LocalError: `SPLIT_TOO_FINE` when no draw of `DRAWS_MAX` was fine.

    Source of the split: Hsu, Qi and Brown, arXiv 1909.06335.

    """
    generator = np.random.default_rng([seed, 0])
    digits = load_digits()
    order = generator.permutation(len(digits))
    test, root, rest = np.split(order, [TEST_COUNT, TEST_COUNT + root_count])
    for _ in range(DRAWS_MAX):
        parts = _dirichlet_parts(generator, digits.labels, rest, clients, concentration)
        if min(len(part) for part in parts) >= CLIENT_EXAMPLES_MIN:
            return Federation(
                clients=tuple(digits.take(part) for part in parts),
                root=digits.take(root),
                test=digits.take(test),
            )
    hint = "lower the number of clients or raise the concentration"
    raise LocalError("SPLIT_TOO_FINE", hint, field="clients")


def _dirichlet_parts(
    generator: np.random.Generator,
    labels: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int64],
    clients: int,
    concentration: float,
) -> list[npt.NDArray[np.int64]]:
    """Return one array of indices per client, in ascending order."""
    parts: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(clients)]
    for label in range(CLASSES):
        members = indices[labels[indices] == label]
        shares = generator.dirichlet(np.full(clients, concentration))
        bounds = np.floor(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for part, piece in zip(parts, np.split(members, bounds), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]
