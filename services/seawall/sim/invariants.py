"""The list of all checkers, in the order in which they look."""

from seawall.sim.ancestry import Certain, CommonCore
from seawall.sim.bounds import DecidedLag, MemoryBounded
from seawall.sim.checkers import (
    CertifiedOnce,
    CommonPrefix,
    DirectVerdicts,
    OneBlockPerRound,
    OneVerdict,
    OwnChain,
)
from seawall.sim.checking import Checker
from seawall.sim.convictions import TwinsNamed
from seawall.sim.fair_coin import FairCoin
from seawall.sim.finality import AllJudged, EqualVerdicts, FinalIsKept, OneDigest, OneLock
from seawall.sim.judge import Judge
from seawall.sim.recovery import NothingSuspended, Recovery
from seawall.sim.union_votes import UnionVotes


def all_checkers() -> tuple[Checker, ...]:
    """Return a fresh one of every checker; those of the fast path share what they look at."""
    votes = UnionVotes()
    judge = Judge(votes)
    return (
        OneBlockPerRound(),
        OwnChain(),
        CertifiedOnce(),
        OneVerdict(),
        FairCoin(),
        CommonPrefix(),
        DirectVerdicts(),
        TwinsNamed(),
        OneLock(judge),
        OneDigest(judge),
        FinalIsKept(judge),
        EqualVerdicts(judge),
        AllJudged(judge),
        Certain(votes),
        CommonCore(votes),
        MemoryBounded(judge),
        DecidedLag(),
        Recovery(),
        NothingSuspended(),
    )
