"""The list of all checkers, in the order in which they look."""

from seawall.sim.checkers import (
    CertifiedOnce,
    CommonPrefix,
    DirectVerdicts,
    OneBlockPerRound,
    OneVerdict,
    OwnChain,
)
from seawall.sim.checking import Checker
from seawall.sim.fair_coin import FairCoin
from seawall.sim.recovery import NothingSuspended, Recovery


def all_checkers() -> tuple[Checker, ...]:
    """Return a fresh one of every checker."""
    return (
        OneBlockPerRound(),
        OwnChain(),
        CertifiedOnce(),
        OneVerdict(),
        FairCoin(),
        CommonPrefix(),
        DirectVerdicts(),
        Recovery(),
        NothingSuspended(),
    )
