from itertools import pairwise

from msgspec.structs import replace

from seawall.consensus.byzantine.sending import Selective, Withhold
from seawall.consensus.byzantine.site import Site
from seawall.consensus.byzantine.table import Script
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import PermutationLeaders
from seawall.consensus.engine import (
    ALL_PEERS,
    BelowGc,
    Blocks,
    FetchBlocks,
    LatestQuery,
    LatestReply,
    Message,
    Send,
)
from tests.unit.consensus.byzantine.scripts import QUICK, ScriptedCluster, Wire
from tests.unit.consensus.cluster import make_committee, make_identity

SECOND_US = 1_000_000


def blocks_in(message: Message) -> list[tuple[int, int]]:
    """Return (author, round) of the blocks that a message carries on its own account."""
    match message:
        case Blocks(blocks) | BelowGc(blocks=blocks):
            return [(block.ref.author, block.ref.round) for block in blocks]
        case LatestReply(own=own):
            return [] if own is None else [(own.ref.author, own.ref.round)]
        case _:
            return []


def test_withheld_blocks_come_from_here_to_chosen_peers_only() -> None:
    cluster, wire = ScriptedCluster({3: [Script(behaviour="withhold", peers=(1,))]}), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)
    told = {
        target
        for source, target, message in wire.passed
        if source == 3 and any(author == 3 for author, _ in blocks_in(message))
    }
    assert told == {1}
    assert not [m for source, _, m in wire.passed if source == 3 and m == Blocks(())]
    assert len(cluster.delivered(3)) > 5, "others get them from the one who has them"


def test_a_selective_site_tells_each_part_of_every_other_round_only() -> None:
    cluster, wire = ScriptedCluster({3: [Script(behaviour="selective", peers=(1,))]}), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)
    cluster.crash(0)
    cluster.run(SECOND_US)
    cluster.restart(0, [])
    cluster.run(2 * SECOND_US)
    told = {
        (target, round_ % 2)
        for source, target, message in wire.passed
        if source == 3
        for author, round_ in blocks_in(message)
        if author == 3
    }
    assert told == {(1, 0), (0, 1), (2, 1)}
    rounds = [block.ref.round for block in cluster.delivered(3, seat=2)]
    assert {round_ % 2 for round_ in rounds} == {0, 1}, "the parts find the rest with one another"
    assert len(rounds) >= 2


def test_blocks_withheld_from_everybody_are_in_no_answer_either() -> None:
    cluster, wire = ScriptedCluster({3: [Script(behaviour="withhold")]}), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)
    cluster.crash(0)
    cluster.run(SECOND_US)
    cluster.restart(0, [])
    cluster.run(2 * SECOND_US)
    sent = [message for source, _, message in wire.passed if source == 3]
    assert any(isinstance(message, LatestReply) for message in sent)
    assert all(author != 3 for message in sent for author, _ in blocks_in(message))
    assert cluster.delivered(3) == []
    assert cluster.sites[3].replica.status().last_proposed_round > QUICK.gc_depth


def test_answers_below_the_gc_round_leave_withheld_blocks_out() -> None:
    cluster = ScriptedCluster({3: [Script(behaviour="withhold")]})
    cluster.run(SECOND_US)
    committee, identity = make_committee(), make_identity(3)
    core = Core(identity, committee, QUICK, PermutationLeaders(committee, 2))
    site = Site(identity=identity, committee=committee, core=core)
    theirs = cluster.sites[1].blocks[0]
    ours = site.sign(replace(theirs.block, author=3))
    answer = Send(2, BelowGc(7, (theirs.ref,), (ours, theirs)))
    asked = Send(2, FetchBlocks((ours.ref,)))
    sent = Withhold().sends([answer, asked], site)
    assert list(sent) == [Send(2, BelowGc(7, (theirs.ref,), (theirs,))), asked]
    assert list(Withhold([2]).sends([answer], site)) == [answer]


def test_delayed_blocks_leave_when_their_author_is_further_on() -> None:
    cluster, wire = ScriptedCluster({3: [Script(behaviour="delay", rounds=3)]}), Wire()
    rounds = []

    def look(source: int, target: int, message: Message) -> bool:
        if source == 3 and target == 0 and isinstance(message, Blocks):
            clock = cluster.sites[3].replica.status().round
            rounds.extend([(block.ref.round, clock) for block in message.blocks])
        return wire.look(source, target, message)

    cluster.filter = look
    cluster.run(5 * SECOND_US)
    assert len(rounds) > 10
    assert all(clock > own + 3 for own, clock in rounds)
    assert all(low < high for (low, _), (high, _) in pairwise(rounds)), "in order, each once"


def test_an_equivocator_tells_some_of_one_block_and_others_of_another() -> None:
    cluster, wire = ScriptedCluster({3: [Script(behaviour="equivocate", peers=(1,))]}), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)
    told = {
        peer: {
            block.ref.round: block
            for source, target, message in wire.passed
            if (source, target) == (3, peer) and isinstance(message, Blocks)
            for block in message.blocks
        }
        for peer in range(3)
    }
    shared = [number for number in told[0] if number in told[1] and number in told[2]]
    differing = [number for number in shared if told[0][number].ref != told[1][number].ref]
    assert len(differing) > 5
    assert all(told[0][number].ref == told[2][number].ref for number in differing)
    assert all(cluster.sites[seat].observed["equivocation"] for seat in range(3))


def test_two_chains_each_stand_on_their_own() -> None:
    cluster, wire = ScriptedCluster({3: [Script(behaviour="two_chains", peers=(1,))]}), Wire()
    cluster.filter = wire.look
    cluster.run(SECOND_US)
    second = [
        block
        for source, target, message in wire.passed
        if (source, target) == (3, 1) and isinstance(message, Blocks)
        for block in message.blocks
    ]
    chained = [low for low, high in pairwise(second) if high.block.parents[0] == low.ref]
    assert len(chained) > 5


def test_a_selective_site_asks_everybody_as_ever() -> None:
    committee = make_committee()
    core = Core(make_identity(3), committee, QUICK, PermutationLeaders(committee, 2))
    site = Site(identity=make_identity(3), committee=committee, core=core)
    sends = [Send(ALL_PEERS, LatestQuery()), Send(1, FetchBlocks(()))]
    assert Selective((1,)).sends(sends, site) == sends
