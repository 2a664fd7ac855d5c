import numpy as np
import pytest

from seawall.errors import LocalError
from seawall.testbed.learning.digits import (
    CLASSES,
    CLIENT_EXAMPLES_MIN,
    TEST_COUNT,
    Samples,
    federate,
    load_digits,
)


def rows(samples: Samples) -> list[bytes]:
    return [
        image.tobytes() + bytes([label])
        for image, label in zip(samples.images, samples.labels.tolist(), strict=True)
    ]


def test_the_data_set_is_the_known_one() -> None:
    digits = load_digits()
    assert digits.images.shape == (1797, 64)
    assert (digits.images.min(), digits.images.max()) == (0.0, 1.0)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_parts_are_disjoint_and_cover_the_data() -> None:
    federation = federate(7)
    parts = [*federation.clients, federation.root, federation.test]
    assert (len(federation.clients), len(federation.root)) == (20, 25)
    assert len(federation.test) == TEST_COUNT
    assert sorted(row for part in parts for row in rows(part)) == sorted(rows(load_digits()))
    assert min(len(part) for part in federation.clients) >= CLIENT_EXAMPLES_MIN


def test_the_split_is_a_function_of_the_seed() -> None:
    first, again, other = federate(7), federate(7), federate(8)
    assert [rows(part) for part in first.clients] == [rows(part) for part in again.clients]
    assert [rows(part) for part in first.clients] != [rows(part) for part in other.clients]


def test_small_concentrations_leave_clients_with_few_classes() -> None:
    def share_of_top_class(concentration: float) -> float:
        parts = federate(7, concentration=concentration).clients
        return float(
            np.mean([np.bincount(p.labels, minlength=CLASSES).max() / len(p) for p in parts])
        )

    assert share_of_top_class(100.0) < 0.25
    assert share_of_top_class(0.3) > 0.4


def test_a_split_that_cannot_be_is_refused() -> None:
    with pytest.raises(LocalError) as caught:
        federate(7, clients=250)
    assert caught.value.code == "SPLIT_TOO_FINE"
