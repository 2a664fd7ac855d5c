"""Fuzz targets: sequences of events for one honest replica, in both protocols.

Bytes are a program: one byte says what happens next, those behind it say how. Blocks of the
attacker are signed with its true key, so that they get past the door; everything that they say is
the program's choice.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from seawall.consensus.engine import (
    BelowGc,
    Blocks,
    Commits,
    FetchBlocks,
    FetchCommits,
    LatestQuery,
    LatestReply,
    Message,
    PeerDown,
    PeerUp,
    Rooted,
    Submitted,
    Subscribe,
)
from seawall.consensus.messages import INTEGER_MAX
from seawall.crypto.hashing import sha256
from seawall.domain.block import Ref, VerifiedBlock
from seawall.domain.commit import Commit
from tests.fuzz.attacker import Attacker, rival_batch
from tests.fuzz.program import Program
from tests.fuzz.siege import LIAR, SIZE, TARGET, Siege
from tests.unit.consensus.cluster import make_batch

EVENTS_MAX: Final = 48
"""Longer programs are cut short: a step costs milliseconds."""

TICK_US: Final = 20_000
BURST_MAX: Final = 100
PATTERN_BYTES: Final = 24


class Attack:
    """One program at work on one siege."""

    def __init__(self, data: bytes, wave_length: int) -> None:
        self.program = Program(data)
        self.siege = Siege(wave_length)
        self.attacker = Attacker(self.siege, self.program)

    def run(self) -> None:
        """Run the program, and see what is left of the replica."""
        siege, program = self.siege, self.program
        siege.run(50 * TICK_US)
        for _ in range(EVENTS_MAX):
            if not program.left:
                break
            ACTIONS[program.byte() % len(ACTIONS)](self)
        siege.check_progress()
        siege.check_restart()

    # --- blocks ----------------------------------------------------------------------------------

    def lie(self) -> None:
        """Send a block or two of the attacker."""
        blocks = [self.attacker.block() for _ in range(1 + self.program.byte() % 2)]
        self._tell(Blocks(tuple(blocks)))

    def burst(self) -> None:
        """Send a row of blocks that are made alike, mostly of one round after the other."""
        count = self.program.byte() % BURST_MAX
        pattern = self.program.take(PATTERN_BYTES)
        for _ in range(count):
            attacker = self.attacker.alike(Program(pattern))
            self._tell(Blocks((attacker.block(),)))

    def repeat(self) -> None:
        """Send old blocks of anybody again."""
        self._tell(Blocks(self._some_blocks()))

    def below_gc(self) -> None:
        """Answer as if the replica had asked for blocks that are collected."""
        program = self.program
        index = program.choose((0, 1, self._index() + 1, INTEGER_MAX))
        self._tell(BelowGc(index, self._some_refs(), self._some_blocks()))

    def latest(self) -> None:
        """Answer a question of the start."""
        blocks = (None, *self._some_blocks(), *self.siege.seen(TARGET)[-2:])
        self._tell(LatestReply(self.program.choose(blocks), self.program.choose(blocks)))

    def commits(self) -> None:
        """Answer with commits that somebody made, whole or spoilt, or that nobody made."""
        program, site = self.program, self.siege.sites[1 + self.program.byte() % 2]
        start = program.choose((self._index(), 0, max(0, self._index() - 3)))
        chain = site.commits[start : start + 1 + program.byte() % 8]
        if program.flag() and chain:
            place = program.byte() % len(chain)
            chain[place] = self._spoilt(chain[place])
        checkpoint = program.choose((None, *site.checkpoints[-1:]))
        votes = self._some_blocks()
        self._tell(Commits(tuple(chain), checkpoint, votes))

    def _spoilt(self, commit: Commit) -> Commit:
        """Return a commit with one of its members changed."""
        change: dict[str, object] = self.program.choose(
            (
                {"index": commit.index + 1},
                {"digest": bytes(32)},
                {"previous_digest": bytes(32)},
                {"clock_ms": INTEGER_MAX},
                {"gc_round": commit.gc_round + 1},
                {"leader": self._ref()},
                {"blocks": commit.blocks[1:]},
                {"blocks": (*commit.blocks, *self._some_blocks())},
            )
        )
        return msgspec.structs.replace(commit, **change)

    # --- questions -------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for blocks, commits, a stream, or the latest block."""
        program = self.program
        number = program.choose((0, 1, self._index(), self._index() + 1, INTEGER_MAX))
        questions: tuple[Message, ...] = (
            FetchBlocks(self._some_refs()),
            FetchCommits(number),
            Subscribe(number),
            LatestQuery(),
        )
        for _ in range(1 + program.byte() % 4):
            self._tell(program.choose(questions))

    # --- the own site ----------------------------------------------------------------------------

    def submit(self) -> None:
        """Hand in batches and transactions, some of them of no use."""
        program, committee = self.program, self.siege.committee
        site = program.choose((TARGET, TARGET, TARGET, LIAR))
        batches = [
            make_batch(committee, site, program.byte(), updates=1 + program.byte() % 10)
            if program.flag()
            else rival_batch(committee, site, program.byte())
            for _ in range(program.byte() % 4)
        ]
        texts = [bytes(program.byte() * 2) for _ in range(program.byte() % 4)]
        for _ in range(1 + program.byte() % 40):
            self.siege.act(Submitted(tuple(batches), tuple(texts)))

    def contest(self) -> None:
        """Hand in rivals at several sites at once."""
        program, siege = self.program, self.siege
        key = program.byte() % 16 * 16
        for site in range(SIZE):
            batch = rival_batch(siege.committee, site, key + program.byte() % 3)
            siege.post(site, Submitted((batch,)))

    def rooted(self) -> None:
        """Let the ledger answer out of order, or for commits that nobody delivered."""
        made, program = self.siege.sites[TARGET].commits, self.program
        index = program.choose((len(made), 1, 0, len(made) + 7, INTEGER_MAX, len(made) // 2))
        digest = made[index - 1].digest if 0 < index <= len(made) else b""
        self.siege.act(Rooted(index, index * 2, sha256(b"root%d" % index + digest)))

    def links(self) -> None:
        """Take a link down or up, or cut the replica off from some peers."""
        program, siege = self.program, self.siege
        peer = 1 + program.byte() % (SIZE - 1)
        what = program.byte() % 4
        if what == 0:
            siege.act(PeerDown(peer))
        elif what == 1:
            siege.act(PeerUp(peer))
        elif what == 2:
            siege.cut = program.byte()
        else:
            siege.links_heal()

    def wait(self) -> None:
        """Let time pass."""
        self.siege.run(self.program.byte() * TICK_US)

    def oversleep(self) -> None:
        """Let up to a day pass in which nobody runs."""
        self.siege.sleep(TICK_US << self.program.byte() % 23)

    def restart(self) -> None:
        """Crash the replica under test and start it again."""
        self.siege.restart_target()

    # --- choices ---------------------------------------------------------------------------------

    def _tell(self, message: Message) -> None:
        """Say a message as the attacker or another peer, now and then with a byte changed."""
        program = self.program
        flip = (program.number(), program.byte()) if program.byte() >= 0xF0 else (0, 0)
        self.siege.say(program.choose((LIAR, LIAR, LIAR, 1)), message, flip=flip)

    def _index(self) -> int:
        return self.siege.target.status().commit_index

    def _some_blocks(self) -> tuple[VerifiedBlock, ...]:
        """Return up to eight blocks: the attacker's, or older ones of anybody."""
        known = self.attacker.blocks if self.program.flag() else self.siege.seen(self._member())
        start = self.program.byte()
        return tuple(known[-1 - start :][: self.program.byte() % 8])

    def _some_refs(self) -> tuple[Ref, ...]:
        """Return references: of blocks that are there or wanted, or of nothing."""
        program = self.program
        count = program.choose((1, 2, 64, 256, 257))
        refs = [block.ref for block in self._some_blocks()] + self.siege.wanted[-4:]
        refs += [self._ref() for _ in range(min(count, 3))]
        return tuple((refs * count)[:count])

    def _ref(self) -> Ref:
        number = self.program.byte()
        return Ref(number, self._member(), sha256(b"nothing%d" % number))

    def _member(self) -> int:
        return self.program.byte() % SIZE


ACTIONS: Final[tuple[Callable[[Attack], None], ...]] = (
    Attack.wait,
    Attack.lie,
    Attack.burst,
    Attack.repeat,
    Attack.below_gc,
    Attack.latest,
    Attack.commits,
    Attack.ask,
    Attack.submit,
    Attack.rooted,
    Attack.links,
    Attack.oversleep,
    Attack.restart,
    Attack.contest,
)
"""What a program's byte means: its place here is a part of the corpus, so add at the end."""


def step_sync(data: bytes) -> None:
    """Attack a replica that knows its leaders in advance."""
    Attack(data, 3).run()


def step_async(data: bytes) -> None:
    """Attack a replica whose leaders come from a coin; the first byte chooses the wave length."""
    Attack(data[1:], 4 + (data[:1] > b"\x7f")).run()
