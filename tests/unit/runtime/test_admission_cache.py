import msgspec
import pytest

from seawall.errors import PeerError
from seawall.formats.admission import Admission, AdmittedUpdate
from seawall.runtime.admission_cache import HEIGHTS_MAX, AdmissionCache
from tests.cases.authors import Signed
from tests.unit.ingestion.known import ADMISSION, author


class Counting:
    """Admission that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def check_envelope(self, envelope: bytes, manifest: bytes, provenance: bytes) -> AdmittedUpdate:
        """Check, and count."""
        self.asked += 1
        return ADMISSION.check_envelope(envelope, manifest, provenance)


def cache_of(**limits: int) -> tuple[AdmissionCache, Counting]:
    counting = Counting()
    cache = AdmissionCache(ADMISSION, **limits)
    cache.admission = counting  # type: ignore[assignment]  # the same, counted
    return cache, counting


def check(cache: AdmissionCache, update: Signed) -> AdmittedUpdate:
    return cache.check_envelope(update.envelope, update.manifest, update.provenance)


def test_equal_bytes_are_checked_once_and_others_again() -> None:
    cache, counting = cache_of()
    update = author().update()
    assert check(cache, update) is check(cache, update)
    assert counting.asked == 1
    padded = Signed(envelope=update.envelope + b" ", payload=update.payload)
    assert check(cache, padded).update_id == update.update_id
    assert counting.asked == 2
    # Where one part ends and the next begins counts as well.
    for moved in (
        Signed(envelope=update.envelope[:-1], manifest=update.envelope[-1:]),
        Signed(envelope=update.envelope, manifest=b"{}"),
    ):
        with pytest.raises(PeerError):
            check(cache, moved)
    assert counting.asked == 4


def test_memory_is_bounded_by_count_and_by_bytes() -> None:
    owner = author()
    updates = [owner.update() for _ in range(4)]
    size = len(updates[0].envelope)
    for limits in ({"entries_max": 2}, {"beside_bytes_max": 2 * size + 100}):
        cache, counting = cache_of(**limits)
        for update in updates:
            check(cache, update)
        check(cache, updates[3])
        assert counting.asked == 4
        check(cache, updates[0])
        assert counting.asked == 5


def test_what_is_held_is_known_by_task_and_payload() -> None:
    cache, _ = cache_of(entries_max=2)
    owner, other = author(0), author(1)
    payload = owner.payload()
    first, equal = check(cache, owner.signed(payload)), check(cache, other.signed(payload))
    assert not cache.holds(first)
    cache.note_held([first])
    assert cache.holds(equal)
    assert not cache.holds(msgspec.structs.replace(equal, task_index=1))
    cache.note_held([check(cache, owner.update()) for _ in range(2)])
    assert not cache.holds(first)


def test_verdicts_are_kept_by_height() -> None:
    cache, _ = cache_of()
    owner = author()
    first, second = check(cache, owner.update()), check(cache, owner.update())
    cache.note_judged(5, [first])
    cache.note_judged(5, [second])
    assert cache.judged(5, first)
    assert cache.judged(5, second)
    assert not cache.judged(6, first)
    for height in range(6, 6 + HEIGHTS_MAX):
        cache.note_judged(height, [])
    assert not cache.judged(5, first)


def test_the_cache_asks_admission_itself() -> None:
    assert isinstance(AdmissionCache(ADMISSION).admission, Admission)
