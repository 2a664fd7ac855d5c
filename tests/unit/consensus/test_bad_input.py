"""Bad input of peers: each row has its answer, and the replica is where it was before.

The rows are in `tests/cases`; `docs/bad-input.md` is written from them.
"""

from pathlib import Path

import msgspec
import pytest

from seawall.consensus.engine import Blocks, Commits, FetchCommits, Instant, Output, Received
from seawall.consensus.messages import BlockVerifier, Inbound, PeerMessage, encode
from seawall.errors import PeerError
from seawall.sim.onlooker import core_of, engine_of
from tests.cases.bad_answers import EMPTY, NEXT, PEER, QUICK, BadAnswer, Scene, unused_messages
from tests.cases.bad_blocks import COMMITTEE, PARAMETERS, VALID
from tests.cases.bad_content import (
    AUTHOR,
    LEFT_OUT,
    TESTED,
    Content,
    LeftOut,
    next_block,
    next_vote,
)
from tests.cases.bad_input_page import PAGE, render
from tests.cases.bad_messages import BadMessage, refused_messages
from tests.unit.consensus.cluster import WALL_MS, Cluster, Site

REFUSED = list(refused_messages())
UNUSED = list(unused_messages())


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Return sites that no row may change."""
    return Scene()


def state_of(site: Site) -> tuple[object, ...]:
    """Return what a replica shows of itself, and what it has written down or will."""
    core = core_of(engine_of(site.replica))
    assert core is not None
    records = (tuple(site.journal.durable), tuple(core.unwritten))
    return (site.replica.status(), records, len(core.payloads), dict(core.equivocators.evidence))


def inbound() -> Inbound:
    return Inbound(BlockVerifier(COMMITTEE, PARAMETERS), COMMITTEE)


def named(case: BadMessage | BadAnswer) -> str:
    return f"{case.area}: {case.name}"


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_it_is_refused_at_the_door(scene: Scene, case: BadMessage) -> None:
    receiver, before = inbound(), state_of(scene.running)
    *good, bad = case.make(scene.good)
    for message in good:
        assert receiver.decode(message) is None
    with pytest.raises(PeerError) as raised:
        receiver.decode(PeerMessage.FromString(bad.SerializeToString()))
    fault = raised.value
    assert fault.code == case.code
    offset = "" if fault.offset is None else f"at {fault.offset}"
    assert " ".join(filter(None, (fault.field, offset))) == case.place
    assert state_of(scene.running) == before


@pytest.mark.parametrize("case", UNUSED, ids=named)
def test_it_changes_nothing(scene: Scene, case: BadAnswer) -> None:
    site = scene.newcomer() if case.newcomer else scene.running
    receiver = Inbound(BlockVerifier(COMMITTEE, QUICK), COMMITTEE)
    (message,) = [receiver.decode(piece) for piece in encode(case.make(scene))]
    assert message is not None
    before = state_of(site)
    output = site.replica.handle([Received(case.peer, message)], scene.now)
    assert state_of(site) == before
    assert (output.persist, output.final, output.deliver, output.certify) == ((), (), (), ())
    assert observed(output) == case.observed
    assert sent(output) == case.sent


def observed(output: Output) -> str:
    """Return what was observed, with its reason."""
    seen = [[one.name, *filter(None, [one.fields.get("reason")])] for one in output.observe]
    return ", ".join([": ".join(map(str, words)) for words in seen])


def sent(output: Output) -> str:
    """Return what was sent, in the words of the table."""
    if not output.send:
        return ""
    (send,) = output.send
    if isinstance(send.message, FetchCommits):
        assert send.peer != PEER
        return NEXT
    assert send.message == Commits((), None)
    return EMPTY


def after(content: Content) -> tuple[object, ...]:
    """Return where a replica stands after a block of member 1 with this content."""
    cluster = Cluster()
    cluster.run(1_000_000)
    block = next_block(cluster, AUTHOR, **content(cluster))
    receiver = Inbound(BlockVerifier(cluster.committee, cluster.parameters), cluster.committee)
    message = receiver.decode(encode(Blocks((block,)))[0])
    assert message is not None
    site = cluster.sites[0]
    now = Instant(cluster.now_us, WALL_MS + cluster.now_us // 1000)
    output = site.replica.handle([Received(AUTHOR, message)], now)
    core = core_of(engine_of(site.replica))
    assert core is not None
    assert block.ref in core.store
    counted = dict(core.votes._counted)  # noqa: SLF001 - an onlooker
    kinds = [type(send.message) for send in output.send]
    return (site.replica.status(), counted, kinds, output.observe, output.deliver, output.certify)


def nothing(cluster: Cluster) -> dict[str, object]:
    del cluster
    return {}


@pytest.mark.parametrize("case", LEFT_OUT, ids=lambda case: f"{case.part}: {case.name}")
def test_it_counts_for_nothing(case: LeftOut) -> None:
    assert after(case.content) == after(nothing)


def test_a_vote_with_its_cosignature_counts() -> None:
    assert after(lambda cluster: {"commit_votes": (next_vote(cluster, AUTHOR),)}) != after(
        lambda _: {}
    )


def test_what_is_tested_elsewhere_is_there() -> None:
    folder = Path(__file__).parent / "dag"
    for *_, seen, file, name in TESTED:
        text = (folder / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text
        assert seen.strip("`") in text or seen == "`bad_share`"


def test_the_rows_spoil_what_would_be_taken(scene: Scene) -> None:
    """A table of things that are refused anyway would say nothing."""
    receiver = inbound()
    assert receiver.decode(encode(scene.good)[0]) == msgspec.structs.replace(
        scene.good, certificate=None
    )
    site = scene.newcomer()
    output = site.replica.handle([Received(PEER, scene.good)], scene.now)
    assert [one.name for one in output.observe if one.name == "caught_up"]
    assert site.replica.status().commit_index == len(scene.good.commits)
    assert VALID.author == 1


def test_the_page_is_that_of_the_rows() -> None:
    assert Path(PAGE).read_text(encoding="utf-8") == render(), (
        "run python -m tests.cases.bad_input_page"
    )
