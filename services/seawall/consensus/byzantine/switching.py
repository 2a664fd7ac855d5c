"""Behaviours that are switched on and off while a replica runs."""

from collections.abc import Callable, Sequence
from typing import Protocol

from seawall.consensus.byzantine.engine import byzantine
from seawall.consensus.byzantine.site import Behaviour, Site
from seawall.consensus.byzantine.table import Script
from seawall.consensus.engine import Send
from seawall.consensus.engines import EngineFactory
from seawall.domain.block import Block


class Order(Protocol):
    """An order to lie; orders are told apart by identity."""

    @property
    def behaviour(self) -> str:
        """Return its name in the table of behaviours."""
        ...

    @property
    def peers(self) -> tuple[int, ...]:
        """Return whom it is about."""
        ...

    @property
    def rounds(self) -> int:
        """Return for how many rounds, where that means something."""
        ...

    def struck(self) -> None:
        """Take note of a lie."""
        ...


class Switched(Behaviour):
    """Does what the orders of the moment say, in their order; honest while there is none.

    A behaviour keeps its state from its order's first step to its last. What one holds back when
    it ends is never sent: others ask for what they lack.
    """

    def __init__(self, orders: Callable[[], tuple[Order, ...]]) -> None:
        """Look the orders up at each step; the tuple is a new one when they change."""
        self._orders = orders
        self._seen: tuple[Order, ...] = ()
        self._active: tuple[tuple[Order, Behaviour], ...] = ()

    def content(self, block: Block, site: Site) -> Block:
        """Change what is signed."""
        for order, behaviour in self._behaviours():
            changed = behaviour.content(block, site)
            if changed != block:
                order.struck()
            block = changed
        return block

    def sends(self, sends: Sequence[Send], site: Site) -> Sequence[Send]:
        """Change what leaves; the same object while nobody lies."""
        for order, behaviour in self._behaviours():
            changed = behaviour.sends(sends, site)
            if tuple(changed) != tuple(sends):
                order.struck()
            sends = changed
        return sends

    def _behaviours(self) -> tuple[tuple[Order, Behaviour], ...]:
        orders = self._orders()
        if orders is not self._seen:
            kept = list(self._active)
            self._seen = orders
            self._active = tuple((order, _found(order, kept)) for order in orders)
        return self._active


def _found(order: Order, active: Sequence[tuple[Order, Behaviour]]) -> Behaviour:
    """Return the behaviour of an order: the one at work, or a new one."""
    for one, behaviour in active:
        if one is order:
            return behaviour
    script = Script(behaviour=order.behaviour, peers=order.peers, rounds=order.rounds)
    return script.build()


def switched(
    honest: EngineFactory, orders: Callable[[], tuple[Order, ...]], scripts: Sequence[Script] = ()
) -> EngineFactory:
    """Return a factory of engines that follow the scripts, and then the orders of the moment."""
    return byzantine(honest, lambda: (*(one.build() for one in scripts), Switched(orders)))
