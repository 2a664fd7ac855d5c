"""Commits are asked for peer by peer, and answered only with a certificate."""

from seawall.consensus.dag import catch_up as module
from seawall.consensus.dag.catch_up import RETRY_US, CatchUp
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.engine import CommitHistory, Commits, FetchCommits, Message
from seawall.domain.block import CommitVote, VerifiedBlock
from seawall.domain.commit import Commit
from seawall.domain.parameters import ConsensusParameters
from tests.unit.consensus.cluster import make_committee, make_identity
from tests.unit.consensus.dag.drawing import draw_block, genesis, own_first

COMMITTEE = make_committee()
NOTHING = Commits((), None)


class Setting:
    """Catching up of one member over a core."""

    def __init__(self, own: int = 0, history: CommitHistory | None = None) -> None:
        self.core = Core(
            make_identity(own),
            COMMITTEE,
            ConsensusParameters(gc_depth=20),
            PermutationLeaders(COMMITTEE, 1),
        )
        self.catch_up = CatchUp(self.core, COMMITTEE.size, history)

    def sent(self) -> list[tuple[int, Message]]:
        """Return what was sent since the last call."""
        sends = [(send.peer, send.message) for send in self.core.effects.sends]
        self.core.effects.sends.clear()
        return sends

    def names(self) -> list[tuple[str, int | str]]:
        """Return what was observed of catching up."""
        return [
            (seen.name, seen.fields.get("reason", ""))
            for seen in self.core.effects.observations
            if seen.name in {"caught_up", "commits_refused"}
        ]


def voting_rounds(core: Core, rounds: int, *, size: int = 1, silent: int = 0) -> None:
    """Let a core accept full rounds in which all vote on each commit two rounds later.

    Each block carries a transaction of `size` bytes; the last `silent` rounds have no votes.
    """
    newest = genesis(COMMITTEE)
    for round_ in range(1, rounds + 1):
        voted = [c for c in core.effects.deliver if c.leader.round == round_ - 4]
        votes = tuple(CommitVote(c.index, c.digest, c.index, bytes(32), bytes(72)) for c in voted)
        made = [
            draw_block(
                round_,
                author,
                own_first(newest, author),
                time_ms=round_,
                transactions=(b"x" * size,),
                votes=votes if round_ <= rounds - silent else (),
            )
            for author in range(4)
        ]
        for block in made:
            core.admit(block)
            core.decide()
        newest = [block.ref for block in made]


def answer(setting: Setting, first_index: int, peer: int = 1, now_us: int = 0) -> Commits:
    """Return the answer to a question for commits."""
    setting.catch_up.on_fetch(peer, first_index, now_us)
    ((_, message),) = setting.sent()
    assert isinstance(message, Commits)
    return message


def test_an_answer_ends_with_the_last_certified_commit() -> None:
    setting = Setting()
    voting_rounds(setting.core, 20)
    certified = setting.core.votes.certified_index
    assert 0 < certified < setting.core.linearizer.index
    message = answer(setting, 3)
    assert [commit.index for commit in message.commits] == list(range(3, certified + 1))
    target = Setting(own=1)
    assert target.core.adopt(answer(setting, 1).commits, message.votes) == ""


def test_a_repeated_question_waits_and_others_do_not() -> None:
    setting = Setting()
    voting_rounds(setting.core, 12)
    answer(setting, 1, now_us=10)
    setting.catch_up.on_fetch(1, 1, 11)
    assert setting.sent() == []
    answer(setting, 2, now_us=12)
    answer(setting, 2, peer=2, now_us=12)
    answer(setting, 2, now_us=12 + module.REPEAT_PAUSE_US)


def test_nothing_certified_means_nothing_to_offer() -> None:
    setting = Setting()
    assert answer(setting, 1) == NOTHING
    voting_rounds(setting.core, 12, silent=12)
    assert answer(setting, 1, peer=2) == NOTHING
    assert answer(setting, 0, peer=3) == NOTHING


class Disk:
    """Commits by index."""

    def __init__(self, commits: list[Commit]) -> None:
        self._commits = {commit.index: commit for commit in commits}

    def read(self, index: int) -> Commit | None:
        """Return a commit."""
        return self._commits.get(index)


def test_older_commits_come_from_disk_and_their_votes_from_later_ones() -> None:
    source = Setting()
    voting_rounds(source.core, 205)
    commits = list(source.core.effects.deliver)
    helper = Setting(own=2, history=Disk(commits))
    assert answer(helper, 500) == NOTHING
    message = answer(helper, 1)
    assert len(message.commits) == module.ANSWER_COMMITS_MAX
    assert message.commits[-1].index == module.ANSWER_COMMITS_MAX
    target = Setting(own=1)
    assert target.core.adopt(message.commits, message.votes) == ""
    # At the end of what the disk has, only what its own blocks certify is offered.
    rest = answer(helper, 190)
    assert commits[-6].index <= rest.commits[-1].index < commits[-1].index


def test_large_commits_are_sent_until_one_is_certified() -> None:
    source = Setting()
    voting_rounds(source.core, 20, size=300_000)
    commits = list(source.core.effects.deliver)
    # Only one commit in four was voted on, as far as this disk knows.
    thin = [
        Commit(
            index=c.index,
            previous_digest=c.previous_digest,
            digest=c.digest,
            leader=c.leader,
            clock_ms=c.clock_ms,
            gc_round=c.gc_round,
            blocks=tuple(
                VerifiedBlock(
                    b.block, b.ref, b.raw, tuple(v for v in b.valid_votes if v.index % 4 == 0)
                )
                for b in c.blocks
            ),
        )
        for c in commits
    ]
    helper = Setting(own=2, history=Disk(thin))
    message = answer(helper, 1)
    assert [commit.index for commit in message.commits] == [1, 2, 3, 4]
    target = Setting(own=1)
    assert target.core.adopt(message.commits, message.votes) == ""


def test_it_asks_on_while_there_is_more_and_stops_when_all_have_nothing() -> None:
    source, target = Setting(), Setting(own=3)
    voting_rounds(source.core, 20)
    catch_up = target.catch_up
    assert catch_up.poll(0) is None
    catch_up.hint(1, 0)
    catch_up.hint(2, 0)
    assert catch_up.is_active
    assert target.sent() == [(1, FetchCommits(1))]
    catch_up.on_commits(2, answer(source, 1), 1)
    assert target.core.linearizer.index == 0  # nobody asked this one
    catch_up.on_commits(1, answer(source, 1, peer=3), 1)
    index = target.core.linearizer.index
    assert index == source.core.votes.certified_index
    assert target.sent() == [(1, FetchCommits(index + 1))]
    assert target.names() == [("caught_up", "")]
    for peer, following in ((1, 2), (2, 0)):
        catch_up.on_commits(peer, NOTHING, 2)
        assert target.sent() == [(following, FetchCommits(index + 1))]
    catch_up.on_commits(0, NOTHING, 2)
    catch_up.hint(1, 3)
    assert target.sent() == []
    catch_up.hint(1, 3 + RETRY_US)
    assert target.sent() == [(1, FetchCommits(index + 1))]


def test_silence_and_forgeries_turn_it_to_the_next_peer() -> None:
    source, target = Setting(), Setting(own=3)
    voting_rounds(source.core, 20)
    honest = answer(source, 1)
    catch_up = target.catch_up
    catch_up.hint(0, 0)
    assert catch_up.poll(RETRY_US - 1) == RETRY_US
    assert target.sent() == [(0, FetchCommits(1))]
    assert catch_up.poll(RETRY_US) == 2 * RETRY_US
    assert target.sent() == [(1, FetchCommits(1))]
    catch_up.on_commits(1, Commits(honest.commits, None, honest.votes[:1]), RETRY_US)
    assert target.names() == [("commits_refused", "certificate")]
    assert target.sent() == [(2, FetchCommits(1))]
    assert catch_up.poll(2 * RETRY_US) is None
    assert not catch_up.is_active
