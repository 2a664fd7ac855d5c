"""Behaviours about what own blocks say; each stays valid, everybody gets the same one."""

from collections.abc import Sequence

from msgspec.structs import replace

from seawall.consensus.byzantine.site import Behaviour, Site
from seawall.consensus.dag.store import Vertex
from seawall.consensus.verification import updates_in
from seawall.domain.block import Block, CoinShares, Ref, RejectSet
from seawall.domain.committee import Committee


class Censor(Behaviour):
    """Leaves blocks of some authors out of its parents as long as the rest is enough."""

    def __init__(self, authors: Sequence[int]) -> None:
        """Take no block of these authors as a parent unless the rules demand it."""
        self._authors = tuple(authors)

    def content(self, block: Block, site: Site) -> Block:
        """Drop parents, but for as many censored ones as stake Q of the last round takes."""
        parents = list(block.parents)
        for ref in block.parents[1:]:
            if ref.author in self._authors:
                rest = [parent for parent in parents if parent != ref]
                if _has_quorum(rest, block.round - 1, site.committee):
                    parents = rest
        return replace(block, parents=tuple(parents))


class StaleParents(Behaviour):
    """Names as few blocks of the last round as is legal, and of other authors very old ones."""

    def __init__(self, rounds: int) -> None:
        """Go back so many rounds, or as far as the blocks of an author are held."""
        self._rounds = rounds

    def content(self, block: Block, site: Site) -> Block:
        """Make the newest parents old, one after the other, while the rest has stake Q."""
        parents = list(block.parents)
        for place in range(len(parents) - 1, 0, -1):
            old = self._older(parents[place], site)
            changed = [*parents[:place], old, *parents[place + 1 :]]
            if _has_quorum(changed, block.round - 1, site.committee):
                parents = changed
        return replace(block, parents=tuple(parents))

    def _older(self, ref: Ref, site: Site) -> Ref:
        """Return the author's oldest block within reach, or the given one when there is none."""
        store = site.core.store
        for round_ in range(max(1, ref.round - self._rounds), ref.round):
            found = store.at_slot(round_, ref.author)
            if found:
                return found[0].ref
        return ref


class RejectAll(Behaviour):
    """Rejects every update that a fast-path vote of its block would be about."""

    def content(self, block: Block, site: Site) -> Block:
        """List all instances of all blocks that newly enter the history of the own chain."""
        cutoff = min(block.vote_cutoff, max(0, site.core.gc_round))
        rejects = [
            RejectSet(target=vertex.ref, indices=tuple(range(updates)))
            for vertex in _newly_seen(block, site)
            if vertex.round > cutoff and (updates := updates_in(vertex.block.block))
        ]
        rejects.sort(key=lambda reject: reject.target)
        return replace(block, rejects=tuple(rejects), vote_cutoff=cutoff)


class GarbageShares(Behaviour):
    """Pays its shares of the common coin in bytes that are none, so that combining fails."""

    def content(self, block: Block, site: Site) -> Block:
        """Turn every share's bytes around."""
        del site
        carried = block.coin_shares
        shares = tuple([share[::-1] for share in carried.shares])
        return replace(block, coin_shares=CoinShares(carried.first_round, shares))


def _has_quorum(parents: Sequence[Ref], round_: int, committee: Committee) -> bool:
    """Return whether the parents of this round have stake Q, as validity demands."""
    return committee.stake_of([p.author for p in parents if p.round == round_]) >= committee.quorum


def _newly_seen(block: Block, site: Site) -> list[Vertex]:
    """Return the blocks that enter the own chain's history with this block, its parent included."""
    store = site.core.store
    own_last = store.get(block.parents[0])
    known = 0 if own_last is None else own_last.history
    reached = 0
    for ref in block.parents:
        parent = store.get(ref)
        if parent is not None:
            reached |= parent.history | parent.bit
    return [vertex for vertex in store if vertex.bit & reached & ~known]
