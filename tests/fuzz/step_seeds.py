"""Programs that the fuzzer of a replica's steps starts from: one for each kind of attack."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.fuzz.step_targets import ACTIONS, Attack

LATE: Final = 255
"""About five seconds: more rounds than garbage collection leaves."""

PLAIN: Final = bytes(17)
"""A block of the clock's round on blocks that are there."""

ON_OWN: Final = b"\x04" + bytes(16)
"""A block of the round after the attacker's last one."""

ON_NOTHING: Final = b"\x04\x00\x00\x00\x04\xff\xff\xff\xff" + bytes(8)
"""The same on four parents that nobody has."""

FULL: Final = b"\x00\xff\x00\x03\x00\x00\x00\x00\x04\x00\x00\x00\x00\xff\x01\x07\xff\x09\x00\x03"
"""A block with votes, a batch, a transaction and shares."""


def all_programs() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every program."""
    wait, heal = _do(Attack.wait, 40), _do(Attack.links, 0, 3)
    lie = _do(Attack.lie, 0) + PLAIN + b"\x00\x00"
    yield "calm", wait
    yield "twins", (lie + _do(Attack.lie, 1) + PLAIN + FULL + b"\x00\x00" + wait) * 3
    yield "hidden", _do(Attack.burst, 99) + ON_NOTHING + bytes(7) + wait
    yield "chain", _do(Attack.burst, 60) + ON_OWN + bytes(7) + wait
    yield "content", (_do(Attack.lie, 0) + FULL + b"\x00\x00" + wait) * 3
    cut = _do(Attack.links, 0, 2, 0b1110)
    yield "cut_off", cut + _do(Attack.wait, LATE) * 3 + heal + wait
    yield "cut_off_and_lied_to", cut + _do(Attack.wait, LATE) * 3 + lie + _commits() * 3 + wait
    yield "old_answers", lie + wait + _do(Attack.below_gc, 2, 1, 1, 9, 7, 3, 3, 1, 8, 4, 0, 0) * 3
    yield "questions", _do(Attack.ask, 3, *range(20)) * 3
    yield "one_question_often", _do(Attack.ask, *bytes(8), 3, *bytes(20)) + wait
    yield "start", _do(Attack.restart) + _do(Attack.latest, *range(12)) * 2 + wait
    yield "restarts", (_do(Attack.submit, 0, 2, 5, 5, 5, 5, 2, 9, 9, 3) + _do(Attack.restart)) * 4
    yield "flood", _do(Attack.submit, 0, 3, 1, 0, 2, 0, 3, 0, 3, 60, 70, 80, 39) * 3 + wait
    rivals = [_do(Attack.contest, number, 0, 1, 0, 2) + wait for number in range(4)]
    yield "rivals", b"".join(rivals) + _do(Attack.wait, LATE)
    ledger = b"".join([_do(Attack.rooted, choice) for choice in (0, 3, 5, 1, 2, 4)])
    yield "ledger", (ledger + _do(Attack.wait, 9)) * 4
    yield "days", (_do(Attack.oversleep, 22) + lie + _do(Attack.oversleep, 5) + wait) * 2
    yield (
        "links",
        b"".join([_do(Attack.links, peer, what, 9) for peer in range(3) for what in (0, 1, 2, 0)]),
    )


def _commits() -> bytes:
    return _do(Attack.commits, 1, 0, 7, 0, 1, 0, 0, 8, 0, 0)


def _do(action: Callable[[Attack], None], *choices: int) -> bytes:
    return bytes([ACTIONS.index(action), *choices])
