"""Every file of the corpus, through its target: what the fuzzer found once stays repaired."""

from contextlib import suppress
from pathlib import Path

import pytest

from seawall.errors import SeawallError
from tests.fuzz import peer_targets, properties
from tests.fuzz.seeds import CORPUS, all_seeds
from tests.fuzz.targets import TARGETS

CORPUS_BYTES_MAX = 1 << 20
FILE_BYTES_MAX = 32 << 10


def files(target: str) -> list[Path]:
    return sorted((CORPUS / target).iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_of_each_target(target: str) -> None:
    found = files(target)
    assert found
    for path in found:
        TARGETS[target](path.read_bytes())


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    assert sorted(folder.name for folder in CORPUS.iterdir()) == sorted(TARGETS)
    sizes = [path.stat().st_size for target in TARGETS for path in files(target)]
    assert sum(sizes) < CORPUS_BYTES_MAX
    assert max(sizes) <= FILE_BYTES_MAX


def test_each_target_takes_some_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that refuses everything would find nothing."""
    for module in (properties, peer_targets):
        monkeypatch.setattr(module, "REFUSALS", ())
    taken = dict.fromkeys(TARGETS, 0)
    for target, _, data in all_seeds():
        with suppress(SeawallError):
            TARGETS[target](data)
            taken[target] += 1
    assert [target for target, count in taken.items() if not count] == []
