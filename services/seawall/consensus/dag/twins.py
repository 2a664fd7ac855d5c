"""Which authors have filled a slot twice, from what commits deliver alone.

Both twins are of one round, so while one of them can still be delivered the other, if it was, is
above the gc round as well: it is held, and known as delivered, at every site. What a site holds
besides says nothing here, so all sites find the same pairs at the same commits.

Source: docs/protocol.md, section 5.
"""

from collections.abc import Sequence

from seawall.codec import signature_of
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.domain.commit import Twins


def twins_in(store: BlockStore, delivered: Sequence[Vertex]) -> tuple[Twins, ...]:
    """Return a pair for each block of the newest commit that is not the first of its slot.

    `delivered` are the commit's blocks in their order; they are settled already, like all that
    earlier commits have delivered.
    """
    shared = [one for one in delivered if len(store.at_slot(one.round, one.author)) > 1]
    to_come = {one.number: None for one in shared}
    found: list[Twins] = []
    for second in shared:
        before = [
            one
            for one in store.at_slot(second.round, second.author)
            if store.is_settled(one) and one.number not in to_come
        ]
        del to_come[second.number]
        if before:
            first = min(before, key=lambda one: one.ref)
            signatures = [signature_of(one.block.raw) for one in (first, second)]
            found.append(Twins(first.ref, signatures[0], second.ref, signatures[1]))
    return tuple(found)
