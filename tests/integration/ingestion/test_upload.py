"""Large payloads: open, chunks, resume, repair, finish."""

from pathlib import Path

from seawall.api.v1 import types_pb2
from seawall.crypto.hashing import sha256
from seawall.formats.oms import CHUNK_SIZE
from tests.cases.authors import WIDE, Signed, manifest_of
from tests.cases.bad_input import all_cases
from tests.cases.case import flip
from tests.integration.ingestion.world import (
    missing,
    open_world,
    refusal_of,
    stages,
    whole,
)

CASES = tuple(
    case for case in all_cases() if not case.name.startswith(("payload", "values", "tensors"))
)
FINAL = types_pb2.UPDATE_STAGE_FINAL
COMMITTED = types_pb2.UPDATE_STAGE_COMMITTED
RECEIVED = types_pb2.UPDATE_STAGE_RECEIVED


async def test_a_large_update_is_committed_and_its_parts_are_checked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update(WIDE)
        upload_id, sent = await world.upload(update)
        assert sent == [0, 1, 2]
        event = await world.finish(upload_id)
        assert (event.update_id, event.stage) == (update.update_id, RECEIVED)
        *before, seen = await world.watch([update.update_id], 2)
        assert seen.stage == COMMITTED
        assert [one.stage for one in before] in ([], [FINAL])
        await world.watch([update.update_id])
        # Once more, in either way: it is there, and nothing is sent twice.
        opened = await world.open(update)
        assert missing(opened, update) == []
        again = await world.finish(opened.upload_id)
        assert (again.stage, again.entry_index) == (COMMITTED, seen.entry_index)


async def test_only_the_bad_chunk_is_sent_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update(WIDE)
        opened = await world.open(update)
        chunks = list(enumerate(update.chunks))
        bad = [chunks[0], (1, flip(update.chunks[1], 77)), chunks[2]]
        answers = await world.send(opened.upload_id, bad)
        assert answers == [(0, ""), (1, "CHUNK_HASH"), (2, "")]
        assert await world.send(opened.upload_id, [chunks[1]]) == [(1, "")]
        assert (await world.finish(opened.upload_id)).stage == RECEIVED


async def test_an_upload_resumes_where_it_ended(tmp_path: Path) -> None:
    async with open_world(tmp_path, ingestion={"upload_idle_seconds": 0.3}) as world:
        update = world.authors[0].update(WIDE)
        upload_id, sent = await world.upload(update, skip=(1,))
        assert sent == [0, 2]
        refused = await refusal_of(world.finish(upload_id))
        assert (refused.code, refused.offset) == ("INCOMPLETE", CHUNK_SIZE)
        await world.stop(0)
        await world.start(0)
        assert (await refusal_of(world.finish(upload_id))).code == "UPLOAD_UNKNOWN"
        late = await world.send(upload_id, [(1, update.chunks[1])])
        assert late == [(1, "CHUNK_ORDER")]
        again, sent = await world.upload(update)
        assert sent == [1]
        assert (await world.finish(again)).stage == RECEIVED


async def test_chunks_in_the_wrong_place_are_refused_one_by_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update(WIDE)
        opened = await world.open(update)
        for index, data, code in (
            (3, update.chunks[0], "CHUNK_ORDER"),
            (2, update.chunks[0], "CHUNK_LENGTH"),
            (0, update.chunks[0][:-1], "CHUNK_LENGTH"),
            (0, b"", "CHUNK_LENGTH"),
        ):
            assert await world.send(opened.upload_id, [(index, data)]) == [(index, code)]
        assert await world.send(bytes(16), [(0, update.chunks[0])]) == [(0, "CHUNK_ORDER")]
        assert await world.send(opened.upload_id, [(0, update.chunks[0])]) == [(0, "")]
        assert await world.send(opened.upload_id, [(0, update.chunks[0])]) == [(0, "CHUNK_ORDER")]
        assert missing(await world.open(update), update) == [1, 2]


async def test_a_stream_of_bad_chunks_ends(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update(WIDE)
        opened = await world.open(update)
        bad = flip(update.chunks[1], 5)
        refused = await refusal_of(world.send(opened.upload_id, [(1, bad)] * 3))
        assert (refused.code, refused.offset) == ("CHUNK_HASH", CHUNK_SIZE)
        other = world.authors[1].update(WIDE)
        two = await world.open(other)
        requests = [(opened.upload_id, 0, update.chunks[0]), (two.upload_id, 0, other.chunks[0])]
        refused = await refusal_of(world.send_mixed(requests))
        assert refused.code == "OWNER"


async def test_every_bad_statement_is_refused_before_a_tensor_byte(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,)) as world:
        author = world.authors[0]
        wrong = {}
        for case in CASES:
            update = case.make(author)
            refused = await refusal_of(world.open(update))
            if (
                refused.code != case.code
                or case.field not in (None, refused.field)
                or case.offset not in (None, refused.offset)
            ):
                wrong[case.name] = (refused.code, refused.field, refused.offset)
        assert not wrong


async def test_state_is_judged_when_an_upload_opens(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        author = world.authors[0]
        assert stages(await world.submit([whole(author.update())]), 1)[-1] == "COMMITTED"
        refused = await refusal_of(world.open(author.update(WIDE, seq=1)))
        assert (refused.code, refused.field) == ("REPLAY_SEQ", "seq")
        waits = author.update(WIDE, checkpoint_size=10**9, checkpoint_root=bytes(32))
        refused = await refusal_of(world.open(waits))
        assert refused.code == "REPLAY_CHECKPOINT"


async def test_the_values_of_a_large_payload_are_checked_at_its_end(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,)) as world:
        author = world.authors[0]
        good = author.payload(WIDE)
        at = 2 * CHUNK_SIZE + 4096
        bad = good[:at] + b"\x00\x00\x00\x7f" + good[at + 4 :]
        upload_id, _ = await world.upload(author.signed(bad, WIDE))
        refused = await refusal_of(world.finish(upload_id))
        assert (refused.code, refused.field, refused.offset) == ("VAL_RANGE", "payload", at)
        assert (await refusal_of(world.finish(upload_id))).code == "UPLOAD_UNKNOWN"


async def test_chunks_that_do_not_add_up_to_the_payload_are_dropped(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,)) as world:
        author = world.authors[0]
        payload, other = author.payload(WIDE), author.payload(WIDE)
        manifest = manifest_of(other)
        claim = author.claim(payload, WIDE, manifest_digest=sha256(manifest))
        lying = Signed(envelope=author.seal(claim), manifest=manifest, payload=other)
        opened = await world.open(lying)
        answers = []
        for index, chunk in enumerate(lying.chunks):
            answers += await world.send(opened.upload_id, [(index, chunk)])
        assert answers == [(0, ""), (1, ""), (2, "CHUNK_HASH")]
        assert (await refusal_of(world.finish(opened.upload_id))).code == "INCOMPLETE"


async def test_uploads_are_limited(tmp_path: Path) -> None:
    limits = {"uploads_contributor_max": 1}
    async with open_world(tmp_path, running=(0,), ingestion=limits) as world:
        author = world.authors[0]
        first = author.update(WIDE)
        opened = await world.open(first)
        assert (await world.open(first)).upload_id == opened.upload_id
        assert (await refusal_of(world.open(author.update(WIDE)))).code == "QUOTA_UPLOADS"
        assert (await world.open(world.authors[1].update(WIDE))).upload_id


async def test_a_silent_upload_stream_ends(tmp_path: Path) -> None:
    async with open_world(tmp_path, running=(0,), ingestion={"upload_idle_seconds": 0.2}) as world:
        refused = await refusal_of(world.send_silence())
        assert refused.code == "DEADLINE"
