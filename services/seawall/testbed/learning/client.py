"""One client of the federation: it trains on its own data and answers with an integer delta."""

from dataclasses import dataclass

import numpy as np

from seawall.formats.fxp24 import Integers, dequantise, quantise
from seawall.testbed.learning.digits import Federation, Samples
from seawall.testbed.learning.model import Training, train

ROOT_INDEX = 2**16
"""Index of the root owner, beyond every client's: it only separates random streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUpdate:
    """What one training run gives: a delta, int32 of shape (2410,), and examples used."""

    delta: Integers
    num_examples: int
    saturated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A contributor with data of its own.

    Attributes:
        index: number of the client; separates random streams.
        samples: its training data.
        training: how it trains.
        attacker: whether it sends the negative of what it learnt (sign-flip attack).

    """

    index: int
    samples: Samples
    training: Training
    attacker: bool = False

    def update(self, head: Integers, *, base_version: int, seed: int) -> LocalUpdate:
        """Return the update that this client trains from `head` (int32, shape (2410,)).

        Equal arguments give equal updates on one machine: the minibatches depend on seed,
        client and base version alone.
        """
        generator = np.random.default_rng([seed, 2, self.index, base_version])
        start = dequantise(head, self.training.grid_bits).astype(np.float64)
        learnt = train(start, self.samples, self.training, generator) - start
        delta, saturated = quantise(learnt, self.training.grid_bits)
        return LocalUpdate(
            # The range is symmetric, so the negative of a delta is in it too.
            delta=-delta if self.attacker else delta,
            num_examples=len(self.samples),
            saturated=saturated,
        )


def make_clients(
    federation: Federation, training: Training, *, attackers: int, seed: int
) -> tuple[Client, ...]:
    """Return one client per part of the data; `attackers` of them, drawn by seed, cheat."""
    count = len(federation.clients)
    generator = np.random.default_rng([seed, 3])
    cheats = frozenset(generator.permutation(count)[:attackers].tolist())
    return tuple(
        Client(index=i, samples=part, training=training, attacker=i in cheats)
        for i, part in enumerate(federation.clients)
    )


def make_root_owner(federation: Federation, training: Training) -> Client:
    """Return the owner of the root samples: an honest client with data that is trusted."""
    return Client(index=ROOT_INDEX, samples=federation.root, training=training)
