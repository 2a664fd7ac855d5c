"""Named scenarios: an older or wrong rule, what it breaks, and the search that shows it.

Each has a stored script: under the old rule it violates the invariant, under the protocol it
violates none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from seawall.sim.fastpath.checks import ViolationError
from seawall.sim.fastpath.collection import family
from seawall.sim.fastpath.drawing import SHAPES, Draw
from seawall.sim.fastpath.rules import Rules, Scope
from seawall.sim.fastpath.script import Arrive, Forge, Propose, Script, replay, shrink

_PROTOCOL: Final = Rules()

_ODD_REJECT: Final = Script(
    Scope(gc_depth=7),
    (3,),
    (
        Propose(0, "a1"),
        Propose(1, "b1"),
        Propose(2, "c1"),
        Forge(3, "e1", 1, ("g3", "g0", "g1", "g2")),
        Forge(3, "e2", 2, ("e1", "b1", "c1"), rejects=(("a1", 5),)),
        Arrive(1, "e2"),
        Arrive(0, "e2"),
    ),
)
"""Site 0 holds the target of an odd reject and site 1 does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One rule in an older form and the invariant that it breaks.

    `shape` is (w, W, D) where the numbers themselves are wrong; the protocol then has
    D = max(w, W + 2) in place of it. `runs` are runs made for the rule, where random ones hardly
    ever show it.
    """

    summary: str
    breaks: str
    rules: Rules = _PROTOCOL
    shape: tuple[int, int, int] | None = None
    runs: Callable[[], Iterator[Script]] | None = None

    def old(self, script: Script) -> ViolationError | None:
        """Return what a script breaks under the old rule."""
        return replay(script, self.rules, (self.breaks,))

    def new(self, script: Script) -> ViolationError | None:
        """Return what a script breaks under the protocol."""
        scope = script.scope
        right = replace(scope, deadline=max(scope.wave, scope.window + 2))
        return replay(Script(right, script.faulty, script.actions), Rules())


SCENARIOS: Final[dict[str, Scenario]] = {
    "short_deadline": Scenario(
        summary="D = 3 under W = 2: the deadline comes before the certificates",
        breaks="I9",
        shape=(3, 2, 3),
    ),
    "short_deadline_long_wave": Scenario(
        summary="D = 4 = w under W = 3: D >= w is not enough",
        breaks="I9",
        shape=(4, 3, 4),
    ),
    "burnt_at_the_deadline": Scenario(
        summary="the deadline of one instance rejects every rival",
        breaks="I9",
        rules=Rules(burn_rivals=True),
    ),
    "closing_wins_over_votes": Scenario(
        summary="nothing is accepted under a closed key",
        breaks="I9",
        rules=Rules(closing_wins=True),
    ),
    "collected_predecessor": Scenario(
        summary="a vote counts although the vote before it was collected",
        breaks="I8",
        rules=Rules(count_collected=True),
        runs=lambda: (member.script() for member in family(whole=False)),
    ),
    "local_finaliser": Scenario(
        summary="the finaliser counts votes that no commit has delivered",
        breaks="I10",
        rules=Rules(local_votes=True),
    ),
    "one_vote_an_author": Scenario(
        summary="accepts and rejects are not counted apart",
        breaks="I9",
        rules=Rules(one_vote_each=True),
    ),
    "every_block_votes": Scenario(
        summary="later blocks of a chain vote again",
        breaks="I9",
        rules=Rules(every_block_votes=True),
    ),
    "certificates_without_window": Scenario(
        summary="W is unbounded",
        breaks="I9",
        rules=Rules(no_window=True),
    ),
    "lock_dropped_at_reject": Scenario(
        summary="the lock goes when one instance is rejected",
        breaks="I8",
        rules=Rules(unlock_on_reject=True),
    ),
    "lock_lost_at_restart": Scenario(
        summary="locks are not in the journal",
        breaks="I8",
        rules=Rules(unlock_on_restart=True),
    ),
    "locks_taken_after_the_checks": Scenario(
        summary="one proposal accepts two digests of a key",
        breaks="I8",
        rules=Rules(lock_late=True),
    ),
    "walk_stops_at_highest_round": Scenario(
        summary="a commit's walk ends at the highest committed round of an author",
        breaks="I9",
        rules=Rules(walk_stops=True),
    ),
    "validity_reads_the_target": Scenario(
        summary="a block is refused for what its reject's target holds",
        breaks="VALID",
        rules=Rules(reads_targets=True),
        runs=lambda: iter((_ODD_REJECT,)),
    ),
}


def scope_of(seed: int, shape: tuple[int, int, int] | None = None) -> Scope:
    """Return the numbers of the epoch that a seed stands for; gc_depth is the least allowed."""
    wave, window, deadline = SHAPES[seed % len(SHAPES)] if shape is None else shape
    depth = max(deadline, window + 2) + window + 3
    return Scope(
        wave=wave,
        window=window,
        deadline=deadline,
        gc_depth=depth,
        slots=1 + seed // len(SHAPES) % 2,
        leader_seed=seed,
    )


def draw_of(seed: int, scenario: Scenario | None = None) -> Draw:
    """Return the run that a seed stands for, under the protocol or an old rule."""
    if scenario is None:
        return Draw(Random(seed), scope_of(seed), Rules())
    scope = scope_of(seed, scenario.shape)
    return Draw(Random(seed), scope, scenario.rules, (scenario.breaks,))


def hunt(scenario: Scenario, seeds: Iterator[int]) -> tuple[int, Script] | None:
    """Return the first seed that breaks the scenario's invariant, with its shortest script.

    The script must be fair: the protocol breaks nothing on it.
    """
    for seed in seeds:
        draw = draw_of(seed, scenario)
        try:
            draw.run()
        except ViolationError:
            script = shrink(draw.script(), scenario.rules, scenario.breaks)
            if scenario.new(script) is None:
                return seed, script
    return None
