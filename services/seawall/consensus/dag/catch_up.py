"""Synchronising by commits: for a replica that was away longer than the DAG is kept.

The asker takes over a chain of commits whose last one carries votes of stake Q; the digests chain
back to its own last commit, so one certificate vouches for all. The answer carries the signed
blocks in which those votes stand. Older commits may come from the host's disk.

Source: docs/protocol.md, section 5.
"""

from typing import Final, TypeAlias

from seawall.consensus.dag.core import Core
from seawall.consensus.engine import CommitHistory, Commits, FetchCommits
from seawall.domain.block import VerifiedBlock
from seawall.domain.commit import Commit

ANSWER_COMMITS_MAX: Final = 128
ANSWER_BYTES_MAX: Final = 768 << 10
LOOK_AHEAD_COMMITS_MAX: Final = 64
"""Votes for a commit mostly stand in blocks that the next dozen commits deliver."""

RETRY_US: Final = 1_000_000
REPEAT_PAUSE_US: Final = 200_000
"""The same question by the same peer is answered at most once in this time."""

_Votes: TypeAlias = dict[int, dict[int, VerifiedBlock]]


class CatchUp:
    """Asks for commits while this replica is behind, and answers others."""

    def __init__(self, core: Core, size: int, history: CommitHistory | None) -> None:
        self._core = core
        self._others = [peer for peer in range(size) if peer != core.own]
        self._history = history
        self._peer: int | None = None
        self._refusals = 0
        self._retry_us = 0
        self._rest_until_us = 0
        self._answered: dict[int, tuple[int, int]] = {}

    @property
    def is_active(self) -> bool:
        """Return whether this replica is asking for commits."""
        return self._peer is not None

    # --- asking ---------------------------------------------------------------------------------

    def hint(self, peer: int, now_us: int) -> None:
        """Start asking: this peer seems to be far ahead of us.

        After all had nothing to offer, hints are not believed for a while.
        """
        if self._peer is None and now_us >= self._rest_until_us:
            self._peer, self._refusals = peer, 0
            self._ask(now_us)

    def poll(self, now_us: int) -> int | None:
        """Ask the next peer if there was no answer; return when to call again."""
        if self._peer is None:
            return None
        if now_us >= self._retry_us:
            self._next_peer(now_us)
        return None if self._peer is None else self._retry_us

    def on_commits(self, peer: int, message: Commits, now_us: int) -> None:
        """Take over what the answer certifies, and ask on while there is more."""
        core = self._core
        if peer != self._peer:
            return
        before = core.linearizer.index
        refusal = core.adopt(message.commits, message.votes)
        if core.linearizer.index > before:
            self._refusals = 0
            core.effects.observe("caught_up", peer=peer, index=core.linearizer.index)
            self._ask(now_us)
            return
        if message.commits:
            core.effects.observe("commits_refused", peer=peer, reason=refusal)
        self._next_peer(now_us)

    def _ask(self, now_us: int) -> None:
        """Ask the current peer for what follows our last commit."""
        assert self._peer is not None, "asking needs a peer"
        self._retry_us = now_us + RETRY_US
        self._core.effects.send(self._peer, FetchCommits(self._core.linearizer.index + 1))

    def _next_peer(self, now_us: int) -> None:
        """Go on with the next peer; give up for now when all had nothing to offer."""
        self._refusals += 1
        if self._refusals >= len(self._others):
            self._peer = None
            self._rest_until_us = now_us + RETRY_US
            return
        place = self._others.index(self._peer) if self._peer in self._others else -1
        self._peer = self._others[(place + 1) % len(self._others)]
        self._ask(now_us)

    # --- answering ------------------------------------------------------------------------------

    def on_fetch(self, peer: int, first_index: int, now_us: int) -> None:
        """Answer with commits from this index up to one that is certified."""
        known, at_us = self._answered.get(peer, (0, -REPEAT_PAUSE_US))
        if first_index == known and now_us < at_us + REPEAT_PAUSE_US:
            return
        self._answered[peer] = (first_index, now_us)
        self._core.effects.send(peer, self._answer(first_index))

    def _commit(self, index: int) -> Commit | None:
        """Return one of our commits, from memory or from disk."""
        found = self._core.recent.get(index)
        if found is None and self._history is not None and index > 0:
            found = self._history.read(index)
        return found

    def _answer(self, first_index: int) -> Commits:
        """Return commits from this index on that end with a certified one; none if that fails.

        As many as fit are sent; if none of those is certified, as many as it takes.
        """
        chain, fitting = self._read(first_index)
        votes: _Votes = {}
        for commit in chain:
            _collect_votes(commit, votes)
        shorter = range(fitting, 0, -1)
        longer = range(fitting + 1, len(chain) + 1)
        for length in (*shorter, *longer):
            voters = self._voters(chain[length - 1], votes)
            if voters:
                return Commits(tuple(chain[:length]), None, voters)
        return Commits((), None)

    def _read(self, first_index: int) -> tuple[list[Commit], int]:
        """Return commits from this index on, and how many of them fit into an answer.

        Those beyond are read for the votes in their blocks.
        """
        chain: list[Commit] = []
        fitting = size = 0
        while len(chain) < fitting + LOOK_AHEAD_COMMITS_MAX:
            commit = self._commit(first_index + len(chain))
            if commit is None:
                break
            chain.append(commit)
            size += sum([len(block.raw) for block in commit.blocks])
            if size <= ANSWER_BYTES_MAX and len(chain) <= ANSWER_COMMITS_MAX:
                fitting = len(chain)
        return chain, fitting

    def _voters(self, commit: Commit, votes: _Votes) -> tuple[VerifiedBlock, ...]:
        """Return blocks whose votes certify this commit, or nothing."""
        certificate = self._core.votes.certificate(commit.index)
        if certificate is not None:
            return certificate.blocks
        voters = votes.get(commit.index, {})
        if self._core.stakes.is_quorum(sum([1 << author for author in voters])):
            return tuple(voters.values())
        return ()


def _collect_votes(commit: Commit, votes: _Votes) -> None:
    """Note the blocks of a commit that vote on earlier commits."""
    for block in commit.blocks:
        for vote in block.valid_votes:
            votes.setdefault(vote.index, {}).setdefault(block.ref.author, block)
