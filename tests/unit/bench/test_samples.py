from itertools import islice

import pytest

from bench.micro import make_genesis
from bench.samples import Anchor, make_keys, make_task, sign_updates
from seawall.formats.admission import Admission

ORIGIN = "seawall/" + "0" * 16


@pytest.mark.parametrize("size", [128, 252, 1 << 10, 1 << 16, 1 << 20])
def test_updates_have_the_size_and_pass_admission(size: int) -> None:
    task = make_task("any", size)
    admission = Admission(make_genesis((task,)), ORIGIN)
    updates = list(islice(sign_updates(task, make_keys(3), Anchor(origin=ORIGIN)), 7))
    seen = []
    for update in updates:
        assert len(update.payload()) == size
        admitted = admission.check_envelope(update.envelope)
        admission.check_payload(admitted, update.payload())
        assert admitted.update_id == update.update_id
        seen.append((admitted.submission.contributor, admitted.submission.seq))
    assert len(set(seen)) == len({update.payload() for update in updates}) == 7


def test_a_later_range_of_numbers_repeats_nothing() -> None:
    task = make_task("any", 1024)
    anchor = Anchor(origin=ORIGIN)
    first = list(islice(sign_updates(task, make_keys(2), anchor), 20))
    later = list(islice(sign_updates(task, make_keys(2), anchor, first_seq=11), 20))
    assert len({update.payload() for update in first + later}) == 40
