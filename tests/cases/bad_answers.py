"""Messages that get past the door and say what the replica cannot use: nothing comes of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

import msgspec

from seawall.codec.block import INTEGER_MAX
from seawall.consensus.dag.engine import DagEngine
from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    FetchBlocks,
    FetchCommits,
    Instant,
    LatestReply,
    Message,
    Received,
    Subscribe,
    Woken,
)
from seawall.consensus.replica import Replica
from seawall.domain.block import Ref, VerifiedBlock
from tests.cases.bad_blocks import COMMITTEE, PARAMETERS
from tests.cases.bad_content import next_block
from tests.cases.bad_messages import SOME
from tests.unit.consensus.cluster import (
    WALL_MS,
    Cluster,
    MemoryJournal,
    Site,
    make_identity,
)

QUICK: Final = replace(PARAMETERS, gc_depth=10, round_delay_ms_idle=100)
RUN_US: Final = 4_000_000
LIAR: Final = 4
PEER: Final = 1


class Scene:
    """Five sites after a while, and a newcomer that has just asked site 1 for commits."""

    def __init__(self) -> None:
        self.cluster = Cluster((2, 1, 1, 1, 1), QUICK)
        self.cluster.run(RUN_US)
        self.now = Instant(self.cluster.now_us, WALL_MS + self.cluster.now_us // 1000)
        answer = self._ask_for_commits()
        assert answer.votes
        self.good = answer
        self.running = self.cluster.sites[0]
        twins = [next_block(self.cluster, LIAR, timestamp_ms=WALL_MS + at) for at in range(3)]
        self.third_twin = twins[2]
        self.running.replica.handle([Received(LIAR, Blocks(tuple(twins[:2])))], self.now)

    def _ask_for_commits(self) -> Commits:
        """Return what site 1 answers to a newcomer."""
        site = self.cluster.sites[PEER]
        output = site.replica.handle([Received(0, FetchCommits(1))], self.now)
        (answer,) = [send.message for send in output.send if isinstance(send.message, Commits)]
        return answer

    def newcomer(self) -> Site:
        """Return a site without a journal that has asked site 1 for commits."""
        journal = MemoryJournal()
        engine = DagEngine(identity=make_identity(0), committee=COMMITTEE, parameters=QUICK)
        site = Site(Replica(engine, journal), journal)
        far = self.cluster.sites[PEER].blocks[-1]
        output = site.replica.handle([Woken(), Received(PEER, Blocks((far,)))], self.now)
        assert any(isinstance(send.message, FetchCommits) for send in output.send)
        return site


class BadAnswer(msgspec.Struct, frozen=True):
    """A row: who hears it, what is said, what is observed and what is sent because of it."""

    area: str
    name: str
    make: Callable[[Scene], Message]
    observed: str = ""
    sent: str = ""
    newcomer: bool = False
    peer: int = PEER


NEXT: Final = "the next site is asked"
EMPTY: Final = "an answer without commits"


def unused_messages() -> Iterator[BadAnswer]:
    """Yield every row."""
    yield from _blocks()
    yield from _questions()
    yield from _replies()
    yield from _commits()


def _old(scene: Scene) -> VerifiedBlock:
    return scene.cluster.sites[2].blocks[0]


def _newest(scene: Scene) -> VerifiedBlock:
    return scene.cluster.sites[2].blocks[-1]


Make: TypeAlias = Callable[[Scene], Message]


def _blocks() -> Iterator[BadAnswer]:
    rows: tuple[tuple[str, str, Make], ...] = (
        ("Blocks", "none", lambda _: Blocks(())),
        ("Blocks", "one that is held", lambda scene: Blocks((_newest(scene),))),
        ("Blocks", "one below the gc round", lambda scene: Blocks((_old(scene),))),
        ("Blocks", "a third one of a slot", lambda scene: Blocks((scene.third_twin,))),
        (
            "BelowGc",
            "that nobody asked for",
            lambda scene: BelowGc(INTEGER_MAX, (SOME,), (_newest(scene),)),
        ),
        ("BelowGc", "about nothing", lambda _: BelowGc(INTEGER_MAX, (), ())),
    )
    for area, name, make in rows:
        yield BadAnswer(area, name, make)


def _questions() -> Iterator[BadAnswer]:
    unknown = Ref(INTEGER_MAX, 3, bytes(32))
    yield BadAnswer("FetchBlocks", "of blocks that nobody has", lambda _: FetchBlocks((unknown,)))
    yield BadAnswer("FetchBlocks", "without a reference", lambda _: FetchBlocks(()))
    yield BadAnswer("Subscribe", "from the last round there is", lambda _: Subscribe(INTEGER_MAX))
    area = "FetchCommits"
    yield BadAnswer(area, "from 0", lambda _: FetchCommits(0), sent=EMPTY)
    last = "from the last one there is"
    yield BadAnswer(area, last, lambda _: FetchCommits(INTEGER_MAX), sent=EMPTY)


def _replies() -> Iterator[BadAnswer]:
    def held(scene: Scene, author: int) -> VerifiedBlock:
        return scene.cluster.sites[author].blocks[-1]

    area, refused = "LatestReply", "latest_refused"
    for name, make in (
        ("own block by another", lambda scene: LatestReply(held(scene, 2), None)),
        ("asker's block by another", lambda scene: LatestReply(None, held(scene, PEER))),
        ("both exchanged", lambda scene: LatestReply(held(scene, 0), held(scene, PEER))),
    ):
        yield BadAnswer(area, name, make, observed=refused)
    yield BadAnswer(
        area, "nobody asked", lambda scene: LatestReply(held(scene, PEER), held(scene, 0))
    )


def _changed(place: int, **change: object) -> Callable[[Scene], Message]:
    """Return a maker of the good answer with one commit changed."""

    def make(scene: Scene) -> Message:
        chain = list(scene.good.commits)
        chain[place] = msgspec.structs.replace(chain[place], **change)
        return Commits(tuple(chain), None, scene.good.votes)

    return make


def _shorter(scene: Scene) -> Message:
    chain = list(scene.good.commits)
    chain[3] = msgspec.structs.replace(chain[3], blocks=chain[3].blocks[1:])
    return Commits(tuple(chain), None, scene.good.votes)


def _commits() -> Iterator[BadAnswer]:
    area, chain, certificate = "Commits", "commits_refused: chain", "commits_refused: certificate"
    for name, observed, make in (
        (
            "the first one left out",
            chain,
            lambda s: Commits(s.good.commits[1:], None, s.good.votes),
        ),
        ("a number that is too high", chain, _changed(2, index=9)),
        ("another digest", chain, _changed(2, digest=bytes(32))),
        ("another previous digest", chain, _changed(2, previous_digest=bytes(32))),
        ("another clock", chain, _changed(2, clock_ms=7)),
        ("another gc round", chain, _changed(2, gc_round=3)),
        ("another leader", chain, _changed(2, leader=SOME)),
        ("a block left out", chain, _shorter),
        ("no votes", certificate, lambda s: Commits(s.good.commits, None)),
        (
            "votes of less than stake Q",
            certificate,
            lambda s: Commits(s.good.commits, None, s.good.votes[:2]),
        ),
        (
            "votes for another commit",
            certificate,
            lambda s: Commits(s.good.commits[:3], None, s.good.votes),
        ),
        (
            "a certificate instead of votes",
            certificate,
            lambda s: Commits(s.good.commits, s.cluster.sites[PEER].checkpoints[-1]),
        ),
    ):
        yield BadAnswer(area, name, make, observed, NEXT, newcomer=True)
    yield BadAnswer(area, "none", lambda _: Commits((), None), sent=NEXT, newcomer=True)
    yield BadAnswer(
        area, "from a site that was not asked", lambda s: s.good, newcomer=True, peer=PEER + 1
    )
    yield BadAnswer(area, "that nobody asked for", lambda s: s.good)
