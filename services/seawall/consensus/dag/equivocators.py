"""Authors of whom this site has seen two blocks of one slot, delivered or not.

They are shunned from then on. What all sites say alike of equivocators is another matter: see
`seawall.consensus.dag.twins`.

Source: docs/protocol.md, section 5.
"""

from collections.abc import Callable

from seawall.consensus.dag.effects import Effects
from seawall.domain.block import Ref, VerifiedBlock


class Equivocators:
    """Who equivocates, as far as this site knows, with the first pair of each as evidence."""

    def __init__(self, effects: Effects, find: Callable[[Ref], VerifiedBlock | None]) -> None:
        """Suspect nobody; `find` returns a block that is held."""
        self._effects = effects
        self._find = find
        self._first_seen: dict[int, dict[int, Ref]] = {}
        self.mask = 0
        """Bits of the equivocators."""
        self.evidence: dict[int, tuple[VerifiedBlock, VerifiedBlock]] = {}

    def check(self, block: VerifiedBlock) -> None:
        """Notice when an author signs a second block for a slot."""
        ref = block.ref
        first = self._first_seen.setdefault(ref.round, {}).setdefault(ref.author, ref)
        if first == ref or self.mask >> ref.author & 1:
            return
        self.mask |= 1 << ref.author
        other = self._find(first)
        assert other is not None, "the first block of a slot is kept as long as the slot"
        self.evidence[ref.author] = (other, block)
        self._effects.observe(
            "equivocation",
            round=ref.round,
            author=ref.author,
            first=first.digest.hex(),
            second=ref.digest.hex(),
        )

    def prune(self, round_: int) -> None:
        """Forget the slots at or below this round, not the equivocators."""
        for old in [known for known in self._first_seen if known <= round_]:
            del self._first_seen[old]
