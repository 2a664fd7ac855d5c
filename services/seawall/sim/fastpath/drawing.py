"""Draws runs at random: slow links, isolated sites, twins, withheld blocks, split owners."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final

from seawall.sim.fastpath.checks import INVARIANTS
from seawall.sim.fastpath.dag import bits
from seawall.sim.fastpath.rules import Rules, Scope
from seawall.sim.fastpath.script import (
    Action,
    Arrive,
    Forge,
    Named,
    Propose,
    Restart,
    Script,
    Stage,
)

SHAPES: Final = ((3, 1, 3), (4, 2, 4), (5, 3, 5))
"""(w, W, D) of the three modes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """What kind of run is drawn; chances are between 0 and 1, delays in ticks."""

    rounds: int
    keys: int
    era: int
    update_chance: float
    slow_chance: float
    delay_max: int
    isolation: int
    twins: float
    restart_chance: float


def temper_of(random: Random, scope: Scope) -> Temper:
    """Draw what kind of run it will be."""
    long = random.choice((True, False))
    return Temper(
        rounds=scope.gc_depth + 3 * scope.wave if long else 3 * scope.wave + 4,
        keys=random.choice((1, 1, 2)),
        era=random.choice((3, 5, 8, 100)),
        update_chance=random.choice((0.1, 0.25, 0.5)),
        slow_chance=random.choice((0.05, 0.2, 0.5)),
        delay_max=random.choice((4, 10, 30)),
        isolation=random.choice((0, 0, scope.gc_depth * 3, scope.gc_depth * 6)),
        twins=random.choice((0.0, 0.4, 0.8)),
        restart_chance=random.choice((0.0, 0.05)),
    )


@dataclass(slots=True)
class Draw:
    """One run in the making. Time is counted in ticks; a site proposes about once in four."""

    random: Random
    scope: Scope
    rules: Rules
    active: tuple[str, ...] = tuple(INVARIANTS)
    faulty: int = 3
    stage: Stage = field(init=False)
    temper: Temper = field(init=False)
    actions: list[Action] = field(default_factory=list)
    due: list[tuple[int, int, int, str]] = field(default_factory=list)
    count: int = 0
    cut_off: tuple[int, int, int] = (-1, 0, 0)

    def __post_init__(self) -> None:
        """Set the stage."""
        self.stage = Stage(self.scope, (self.faulty,), self.rules, self.active)
        self.temper = temper_of(self.random, self.scope)
        if self.temper.isolation:
            start = self.random.randrange(1, 20)
            site = self.random.choice(list(self.stage.sites))
            self.cut_off = (site, start, start + self.temper.isolation)

    def script(self) -> Script:
        """Return what has happened so far."""
        return Script(self.scope, (self.faulty,), tuple(self.actions))

    def run(self) -> None:
        """Go on until some site has seen enough rounds. Raises ViolationError."""
        for tick in range(self.temper.rounds * 8):
            while self.due and self.due[0][0] <= tick:
                _, _, site, name = heappop(self.due)
                self.do(Arrive(site, name))
            for site in self.stage.sites:
                if self.happens(0.5):
                    self.propose(tick, site)
            if self.happens(0.5):
                self.forge(tick)
            if max(site.clock for site in self.stage.sites.values()) > self.temper.rounds:
                break
        while self.due:
            _, _, site, name = heappop(self.due)
            self.do(Arrive(site, name))

    def happens(self, chance: float) -> bool:
        """Draw whether something of this chance happens."""
        return self.random.random() < chance

    def do(self, action: Action) -> bool:
        """Carry an action out and keep it."""
        self.actions.append(action)
        if self.stage.act(action):
            return True
        self.actions.pop()
        return False

    def propose(self, tick: int, site: int) -> None:
        """Let an honest site propose, and send its block."""
        if self.happens(self.temper.restart_chance):
            self.do(Restart(site))
        self.count += 1
        name = f"h{site}.{self.count}"
        doubts = tuple(p for p in self.instances() if self.happens(0.05))
        abstain = self.stage.sites[site].clock - 2 if self.happens(0.02) else 0
        if self.do(Propose(site, name, self.updates(), doubts, max(0, abstain))):
            self.send(tick, name, site)

    def send(self, tick: int, name: str, author: int) -> None:
        """Send a block to all honest sites, each after a delay of its own."""
        for site in self.stage.sites:
            delay = self.random.randrange(1, 4)
            if self.happens(self.temper.slow_chance):
                delay = self.random.randrange(1, self.temper.delay_max)
            cut, start, end = self.cut_off
            if author == cut and start <= tick < end:
                delay = end - tick + self.random.randrange(4)
            self.count += 1
            heappush(self.due, (tick + delay, self.count, site, name))

    def updates(self) -> tuple[tuple[str, str], ...]:
        """Draw what a block carries: some digest of some key, of which there are two or three."""
        if not self.happens(self.temper.update_chance):
            return ()
        count = self.random.choice((1, 1, 1, 2))
        era = max(site.clock for site in self.stage.sites.values()) // self.temper.era
        keys = [f"k{era}.{self.random.randrange(self.temper.keys)}" for _ in range(count)]
        return tuple((key, self.random.choice("xxyyz")) for key in keys)

    def instances(self) -> list[Named]:
        """Return all instances that exist."""
        dag = self.stage.dag
        return [
            (dag.blocks[number].name, index)
            for number in bits(dag.carriers)
            for index in range(len(dag.blocks[number].updates))
        ]

    def forge(self, tick: int) -> None:
        """Make a Byzantine block over any blocks at all, twins included, and maybe withhold it."""
        random, blocks = self.random, self.stage.dag.blocks
        top = max(site.clock for site in self.stage.sites.values())
        round_ = max(1, top - random.choice((0, 0, 0, 1, 2)))
        own = [b for b in blocks if b.author == self.faulty and b.round < round_]
        twin = any(b.author == self.faulty and b.round == round_ for b in blocks)
        if twin and not self.happens(self.temper.twins):
            return
        newest = sorted(own, key=lambda b: b.round)[-4:]
        parents = [random.choice(newest).name]
        for author in random.sample(sorted(self.stage.sites), len(self.stage.sites)):
            before = [b for b in blocks if b.author == author and b.round < round_][-3:]
            fits = [b for b in before if b.round == round_ - 1]
            if self.happens(0.85) and before:
                parents.append((random.choice(fits) if fits else before[-1]).name)
        self.count += 1
        name = f"z{self.count}"
        cutoff = round_ - 1 if self.happens(0.1) else 0
        rejects = tuple(p for p in self.instances() if self.happens(0.3))
        numbers = self.stage.dag.numbers
        listed = tuple(p for p in rejects if cutoff < blocks[numbers[p[0]]].round < round_)
        made = Forge(self.faulty, name, round_, tuple(parents), self.updates(), listed, cutoff)
        if not self.do(made):
            return
        for site in self.stage.sites:
            delay = random.choice((1, 2, 4, 12, 40))
            if self.happens(0.7):
                self.count += 1
                heappush(self.due, (tick + delay, self.count, site, name))
