"""What a demo is made of: sites, contributors, pace, and how far it goes."""

import msgspec

from seawall.domain.parameters import ASYNC, SYNC, ConsensusParameters

ROOT_COUNT = 25
CONCENTRATION = 0.3

TWIN = "twin"
"""Signs two payloads under one number."""

MALLORY = "mallory"
"""Sends what no site may accept."""

CARRIER = "carrier"
"""Sends a large payload over a link that changes bytes."""

STRANGER = "stranger"
"""Has a key that nobody has enrolled."""

OTHERS = ((TWIN, ("contributor",)), (MALLORY, ("contributor",)), (CARRIER, ("contributor",)))


class DemoSettings(msgspec.Struct, frozen=True):
    """Everything that a demo depends on.

    Attributes:
        seed: of data split, first model, who cheats, who is slow, and the attacks' schedule.
        versions: model versions to reach.
        accuracy_min: least median of the last five versions' test accuracies, 0..1.
        sites: number of sites, one process each.
        contributors: number of contributors, all in one process.
        cheats: how many of them send the negative of what they have learnt.
        interval_ms: least time between two versions, by the ledger's clock.
        pace_ms: median time that a contributor takes to train.
        slow_share: share of contributors that take `slow_factor` times as long.
        slow_factor: see above.
        seconds_max: bound of the training, in seconds.
        protocol: `sync`, or `async` with the longest wave.

    """

    seed: int = 1
    versions: int = 60
    accuracy_min: float = 0.8
    sites: int = 4
    contributors: int = 20
    cheats: int = 6
    interval_ms: int = 700
    pace_ms: int = 500
    slow_share: float = 0.2
    slow_factor: int = 8
    seconds_max: float = 150.0
    protocol: str = SYNC

    @property
    def consensus(self) -> ConsensusParameters:
        """Protocol parameters for several sites that share two processors."""
        paced = ConsensusParameters(round_delay_ms_min=40, round_delay_ms_idle=200)
        return paced.asynchronous(5) if self.protocol == ASYNC else paced


def full(seed: int) -> DemoSettings:
    """Return the demo as it runs by default."""
    return DemoSettings(seed=seed)


def short(seed: int) -> DemoSettings:
    """Return the short form, with every kind of attack in fewer versions."""
    return DemoSettings(seed=seed, versions=15, accuracy_min=0.45, seconds_max=100.0)
