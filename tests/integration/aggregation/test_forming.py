"""Versions are formed from cuts, alike at every site, whatever is missing, late or killed."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from seawall.api.v1 import aggregation_pb2
from seawall.runtime.status import error_from
from tests.integration.aggregation.sequencer import LAYOUT, Site, Town, digest, town


def vector(*steps: int) -> bytes:
    return LAYOUT.encode(np.full(5, sum(steps), dtype=np.int32))


def voted(transaction: bytes) -> tuple[int, bytes]:
    vote = json.loads(transaction)
    assert (vote["kind"], vote["task"], vote["payloadSize"]) == ("version", "line", len(vector()))
    return vote["version"], bytes.fromhex(vote["payload"])


async def head_of(site: Site, version: int) -> aggregation_pb2.GetHeadResponse:
    """Return a site's head as soon as it is this version."""
    while True:
        head = await site.heads.GetHead(aggregation_pb2.GetHeadRequest(task="line"))
        if head.version == version:
            return head
        await asyncio.sleep(0.005)


async def fetch(site: Site, version: int) -> bytes:
    request = aggregation_pb2.GetVersionRequest(task="line", version=version)
    return b"".join([part.data async for part in site.heads.GetVersion(request)])


async def decide(sites: Town, voters: tuple[int, ...]) -> list[tuple[int, bytes]]:
    """Commit the next votes of these sites; return what they say."""
    votes = {at: await sites.sites[at].voting.vote() for at in voters}
    await sites.commit(votes=votes)
    return [voted(vote) for vote in votes.values()]


async def test_every_site_forms_the_same_versions(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        roles = [site.start_aggregation() for site in sites.sites]
        total = 0
        for version, value in enumerate((3, -1, 10), 1):
            total += value
            await sites.commit(records=[await sites.update(value)])
            votes = await decide(sites, (0, 1, 2, 3))
            assert votes == [(version, digest(vector(total)))] * 4
            heads = [await head_of(site, version) for site in sites.sites]
            assert [head.payload_digest for head in heads] == [digest(vector(total))] * 4
            assert all(head.final for head in heads)
        assert await fetch(sites.sites[2], 2) == vector(2)
        assert await fetch(sites.sites[2], 0) == vector()
        assert all(role.ready() for role in roles)
        count = sites.sites[0].metrics.get_sample_value(
            "seawall_aggregation_versions_total", {"task": "line"}
        )
        assert count == 3


async def test_a_payload_that_only_others_hold_is_fetched_and_kept(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        sites.sites[3].start_aggregation()
        await sites.commit(records=[await sites.update(7, holders=(1,))])
        assert voted(await sites.sites[3].voting.vote()) == (1, digest(vector(7)))
        assert await sites.sites[3].has(digest(vector(7)))


@pytest.mark.parametrize(
    "pieces", [[vector(8)], [vector(7)[:-4]], [vector(7), b"more"], [b""], [vector(7)[:9], b"x"]]
)
async def test_a_payload_that_is_another_is_taken_from_nobody(
    tmp_path: Path, pieces: list[bytes]
) -> None:
    async with town(tmp_path) as sites:
        liars = [await sites.lie(at, pieces) for at in (1, 2)]
        sites.sites[0].start_aggregation()
        await sites.commit(records=[await sites.update(7, holders=(3,))])
        assert voted(await sites.sites[0].voting.vote()) == (1, digest(vector(7)))
        assert [liar.asked for liar in liars] in ([1, 1], [1, 0], [0, 1], [0, 0])


async def test_a_site_that_never_answers_is_asked_once_and_then_last(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        frozen = [await sites.lie(at, None) for at in (1, 2)]
        site = sites.sites[0]
        site.start_aggregation()
        total = 0
        for version in range(1, 6):
            total += version
            await sites.commit(records=[await sites.update(version, holders=(3,))])
            vote = await site.voting.vote()
            assert voted(vote) == (version, digest(vector(total)))
            await sites.commit(votes={0: vote, 1: vote})
        assert all(one.asked <= 1 for one in frozen)
        assert any(one.asked for one in frozen)


async def test_a_log_that_breaks_off_is_followed_again(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        site = sites.sites[0]
        role = site.start_aggregation()
        await sites.commit(records=[await sites.update(1)])
        await decide(sites, (0,))
        sites.sites[1].start_aggregation()
        await site.server.stop(None)
        assert role.ready()
        await site.server.start()
        await decide(sites, (1,))
        assert (await head_of(site, 1)).payload_digest == digest(vector(1))


async def test_a_cut_waits_while_nobody_has_a_payload(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        sites.sites[0].start_aggregation()
        await sites.commit(records=[await sites.update(7, holders=())])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sites.sites[0].voting.vote()
        await sites.sites[2].put(vector(7))
        assert voted(await sites.sites[0].voting.vote()) == (1, digest(vector(7)))


async def test_what_stake_voted_for_is_adopted_when_inputs_are_gone(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        late = sites.sites[0]
        late.start_aggregation()
        await sites.commit(records=[await sites.update(7, holders=())])
        vote = b'{"kind":"version","payload":"%s","payloadSize":%d,"task":"line","version":1}' % (
            digest(vector(5)).hex().encode(),
            len(vector()),
        )
        await sites.commit(votes={1: vote, 2: vote})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await head_of(late, 1)
        await sites.sites[3].put(vector(5))
        await head_of(late, 1)
        assert await fetch(late, 1) == vector(5)
        assert late.voting.votes == [], "what was not computed is not voted for"
        with pytest.raises(Exception, match="VERSION_PENDING"):
            await late.heads.Explain(aggregation_pb2.ExplainRequest(task="line", version=1))
        await sites.commit(records=[await sites.update(2)])
        assert voted(await late.voting.vote()) == (2, digest(vector(7)))


async def test_a_site_that_computed_other_bytes_raises_an_alarm_and_adopts(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as sites:
        honest = sites.sites[0]
        honest.start_aggregation()
        await sites.commit(records=[await sites.update(7)])
        own = voted(await honest.voting.vote())
        await sites.sites[2].put(vector(5))
        wrong = b'{"kind":"version","payload":"%s","payloadSize":%d,"task":"line","version":1}' % (
            digest(vector(5)).hex().encode(),
            len(vector()),
        )
        await sites.commit(votes={1: wrong, 2: wrong})
        head = await head_of(honest, 1)
        assert own == (1, digest(vector(7)))
        assert head.payload_digest == digest(vector(5))
        count = honest.metrics.get_sample_value(
            "seawall_aggregation_mismatches_total", {"task": "line"}
        )
        assert count == 1
        place = tmp_path / "site-0" / "data" / "aggregation" / "evidence" / "line-1.json"
        evidence = json.loads(place.read_bytes())
        assert evidence["computed"] == digest(vector(7)).hex()
        assert evidence["voted"] == digest(vector(5)).hex()


@pytest.mark.parametrize(
    "point",
    ["aggregation.before_version", "aggregation.after_version", "aggregation.after_vote"],
)
async def test_a_site_killed_at_any_point_comes_back_to_the_same_vote(
    tmp_path: Path, point: str
) -> None:
    async with town(tmp_path) as sites:
        site = sites.sites[0]
        site.start_aggregation()
        await sites.commit(records=[await sites.update(1)])
        sites.sites[1].start_aggregation()
        await decide(sites, (0, 1))
        await head_of(site, 1)
        site.points.armed = point
        await sites.commit(records=[await sites.update(2)])
        await site.points.killed.wait()
        await site.stop("aggregation")
        site.voting.votes.clear()
        site.start_aggregation()
        assert voted(await site.voting.vote()) == (2, digest(vector(3)))
        assert voted(await sites.sites[1].voting.vote()) == (2, digest(vector(3)))


async def test_a_restart_goes_on_where_it_stopped_and_catches_up(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        steady, restarted = sites.sites[0], sites.sites[1]
        steady.start_aggregation()
        sites.sites[2].start_aggregation()
        restarted.start_aggregation()
        total = 0
        for version in range(1, 4):
            total += version
            await sites.commit(records=[await sites.update(version)])
            await decide(sites, (0, 2))
        await head_of(restarted, 3)
        await restarted.stop("aggregation")
        for version in range(4, 9):
            total += version
            await sites.commit(records=[await sites.update(version, holders=(0, 2))])
            await decide(sites, (0, 2))
        restarted.voting.votes.clear()
        role = restarted.start_aggregation()
        first, second = await head_of(restarted, 8), await head_of(steady, 8)
        assert first.payload_digest == second.payload_digest == digest(vector(total))
        assert role.ready()
        for version in range(1, 9):
            assert await fetch(restarted, version) == await fetch(steady, version)
        with pytest.raises(Exception, match="VERSION_UNKNOWN"):
            await fetch(restarted, 9)
        explained = await restarted.heads.Explain(
            aggregation_pb2.ExplainRequest(task="line", version=6)
        )
        assert explained.rule == "fedavg"
        assert [update.weight_q16 for update in explained.updates] == [1 << 16]


async def test_a_vote_that_is_not_counted_is_handed_in_again(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        site = sites.sites[0]
        site.start_aggregation()
        await sites.commit(records=[await sites.update(1)])
        votes = [await site.voting.vote() for _ in range(3)]
        assert len(dict.fromkeys(votes)) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await site.voting.vote()


async def test_a_version_on_its_way_is_pending(tmp_path: Path) -> None:
    async with town(tmp_path) as sites:
        site = sites.sites[0]
        site.start_aggregation()
        await sites.commit(records=[await sites.update(1)])
        await site.voting.vote()
        with pytest.raises(Exception, match="VERSION_PENDING") as caught:
            await fetch(site, 1)
        found = error_from(caught.value)  # type: ignore[arg-type]  # of gRPC
        assert found.code == "VERSION_PENDING"
