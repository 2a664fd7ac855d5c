"""The ledger role as its neighbours see it: every RPC but receipts, in process."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import grpc
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from seawall.api.v1 import ledger_pb2 as pb
from seawall.api.v1 import types_pb2
from seawall.codec import encode_records
from seawall.crypto.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from seawall.domain.block import UpdateRecord
from seawall.domain.commit import Judgement
from seawall.errors import OperationalError, PeerError
from seawall.ledger import appending
from seawall.ledger.config import LedgerSettings
from seawall.ledger.lmdb_store import LmdbStore
from seawall.ledger.log import Log
from seawall.ledger.service import build
from tests.unit.ledger.chain import (
    block,
    certificate,
    delivery,
    digest,
    record,
    twins_by,
    verdict,
)
from tests.unit.ledger.site import (
    append_all,
    at_work,
    certificate_message,
    commit_message,
    context_of,
    running,
    stream,
)
from tests.unit.ledger.wire import (
    GENESIS,
    ORIGIN,
    RECORDS,
    UPDATES,
    Chain,
    Stub,
    code_of,
    drain,
    three_commits,
)


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    async with running(GENESIS, tmp_path) as made:
        yield made


async def test_commits_are_answered_with_their_trees_however_often(stub: Stub) -> None:
    chain = three_commits()
    answers = [chain.answer(index) for index in range(4)]
    assert await append_all(stub, chain.requests) == answers
    assert await append_all(stub, chain.requests[1:]) == [answers[3], *answers[2:]]
    status = await stub.LedgerStatus(pb.LedgerStatusRequest())
    assert (status.height, status.certified_height, status.updates) == (3, 3, 3)
    assert (status.tree_size, status.root) == answers[3][1:]
    assert list(status.versions) == [1, 0]


async def test_a_restart_goes_on_after_the_last_commit(tmp_path: Path) -> None:
    chain = three_commits()
    async with running(GENESIS, tmp_path) as stub:
        await append_all(stub, chain.requests[:2])
    async with running(GENESIS, tmp_path) as stub:
        answers = await append_all(stub, chain.requests[2:])
        assert answers == [chain.answer(2), chain.answer(3)]


async def test_the_count_of_updates_goes_on_after_a_restart(tmp_path: Path) -> None:
    chain, first, second = three_commits(), CollectorRegistry(), CollectorRegistry()
    total, forks = "seawall_ledger_updates_total", "seawall_ledger_alarms_total"
    async with running(GENESIS, tmp_path, registry=first) as stub:
        await append_all(stub, chain.requests)
        assert first.get_sample_value(total) == 3.0
        assert first.get_sample_value(forks, {"code": "LOG_FORK"}) == 0.0
        other = commit_message(msgspec.structs.replace(delivery(1), digest=digest("x")), ORIGIN)
        await code_of(drain(stub.Append(stream(other))))
        assert first.get_sample_value(forks, {"code": "LOG_FORK"}) == 1.0
    async with running(GENESIS, tmp_path, registry=second):
        assert second.get_sample_value(total) == 3.0


async def test_gaps_forks_and_garbage_end_the_stream(stub: Stub) -> None:
    chain = three_commits()
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    precondition = grpc.StatusCode.FAILED_PRECONDITION
    assert await code_of(drain(stub.Append(stream(chain.requests[1])))) == ("LOG_GAP", precondition)
    await append_all(stub, chain.requests[:1])
    other = commit_message(msgspec.structs.replace(delivery(1), digest=digest("x")), ORIGIN)
    assert await code_of(drain(stub.Append(stream(other)))) == ("LOG_FORK", precondition)
    garbage = commit_message(delivery(2), ORIGIN)
    garbage.commit.blocks.append(b"garbage")
    code, status = await code_of(drain(stub.Append(stream(garbage))))
    assert (code.partition("_")[0], status) == ("BLOCK", invalid)
    early = certificate_message(certificate(2, chain.log.row(2) or chain.log.head.row, ORIGIN))
    assert await code_of(drain(stub.Append(stream(early)))) == ("LOG_GAP", precondition)
    assert (await append_all(stub, chain.requests))[-1] == chain.answer(3)


async def test_a_quorum_with_another_tree_stops_the_role(tmp_path: Path) -> None:
    chain = three_commits()
    row = msgspec.structs.replace(chain.log.head.row, root=b"x" * 32)
    forked = certificate_message(certificate(3, row, ORIGIN))
    with pytest.raises(BaseExceptionGroup) as stopped:
        async with running(GENESIS, tmp_path) as stub:
            await append_all(stub, [*chain.requests[:3], forked])
    assert stopped.group_contains(PeerError, match="LOG_FORK")


async def test_only_what_a_checkpoint_covers_is_shown(stub: Stub) -> None:
    chain = three_commits()
    await append_all(stub, chain.requests[:3])
    assert (await stub.Checkpoint(pb.CheckpointRequest())).note == ""
    assert [page async for page in stub.Entries(pb.EntriesRequest())] == []
    not_found = grpc.StatusCode.NOT_FOUND
    assert await code_of(stub.GetEntry(pb.GetEntryRequest())) == ("LOG_INDEX", not_found)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert await code_of(stub.ProveInclusion(pb.ProveInclusionRequest())) == ("LOG_SIZE", invalid)
    await append_all(stub, chain.requests[3:])
    checkpoint = await stub.Checkpoint(pb.CheckpointRequest())
    assert checkpoint.note.splitlines()[:2] == [ORIGIN, str(chain.log.head.row.tree_size)]
    assert checkpoint.commit_index == 3


async def test_entries_and_proofs_fit_the_root(stub: Stub) -> None:
    chain = three_commits()
    await append_all(stub, chain.requests)
    _, size, root = chain.answer(3)
    (page,) = [page async for page in stub.Entries(pb.EntriesRequest())]
    assert (page.start, page.commit_index, len(page.entries)) == (0, 3, size)
    assert (await stub.GetEntry(pb.GetEntryRequest(index=5))).entry == page.entries[5]
    for index, entry in enumerate(page.entries):
        proof = await stub.ProveInclusion(pb.ProveInclusionRequest(index=index))
        verify_inclusion(leaf_hash(entry), index, proof.tree_size, proof.hashes, root)
    _, old_size, old_root = chain.answer(1)
    request = pb.ProveConsistencyRequest(old_size=old_size, new_size=size)
    consistent = await stub.ProveConsistency(request)
    verify_consistency(old_size, old_root, size, root, consistent.hashes)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    for bad, code in (
        (stub.ProveInclusion(pb.ProveInclusionRequest(index=size)), "LOG_INDEX"),
        (stub.ProveInclusion(pb.ProveInclusionRequest(tree_size=size + 1)), "LOG_SIZE"),
        (stub.ProveConsistency(pb.ProveConsistencyRequest(old_size=2, new_size=1)), "LOG_SIZE"),
    ):
        assert await code_of(bad) == (code, invalid)


async def test_a_range_of_entries_names_complete_commits_and_refusals(stub: Stub) -> None:
    chain = Chain()
    refused = record(1, 5000)
    chain.commit(block(0, RECORDS), rejected=[refused])
    chain.commit(rejected=[record(2, 6000)])
    chain.certify()
    await append_all(stub, chain.requests)
    first = chain.answer(0)[1]
    pages = [page async for page in stub.Entries(pb.EntriesRequest(start=first, limit=2))]
    assert [(page.start, len(page.entries), page.commit_index) for page in pages] == [(first, 2, 0)]
    assert list(pages[0].refused) == []
    (page,) = [page async for page in stub.Entries(pb.EntriesRequest(start=first + 2))]
    assert page.commit_index == 2
    assert [(one.update_id, one.commit_index) for one in page.refused] == [
        (refused.update_id, 1),
        (record(2, 6000).update_id, 2),
    ]
    assert {one.refusal.code for one in page.refused} == {"VERDICT_OUTVOTED"}


async def test_twins_are_evidence_that_is_counted(tmp_path: Path) -> None:
    chain, registry = Chain(), CollectorRegistry()
    chain.append(delivery(1, twins=[twins_by(2), twins_by(1)]))
    chain.append(delivery(2, twins=[twins_by(2, 8)]))
    async with running(GENESIS, tmp_path, registry=registry) as stub:
        answers = await append_all(stub, chain.requests)
    assert answers == [chain.answer(index) for index in range(3)]
    assert registry.get_sample_value("seawall_ledger_evidence_total", {"kind": "twins"}) == 2.0


async def test_a_follower_gets_entries_as_checkpoints_cover_them(stub: Stub) -> None:
    chain = three_commits()
    call = stub.Entries(pb.EntriesRequest(start=chain.answer(0)[1], follow=True))
    reading = asyncio.ensure_future(anext(aiter(call)))
    await append_all(stub, chain.requests[:3])
    assert not reading.done()
    await append_all(stub, chain.requests[3:])
    page = await reading
    assert (page.commit_index, page.start) == (3, chain.answer(0)[1])
    call.cancel()


async def test_followers_are_limited(tmp_path: Path) -> None:
    async with running(GENESIS, tmp_path, LedgerSettings(streams_max=1)) as stub:
        first = stub.Entries(pb.EntriesRequest(follow=True))
        reading = asyncio.ensure_future(anext(aiter(first)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        for _ in range(2):
            second = stub.Entries(pb.EntriesRequest(follow=True))
            assert await code_of(drain(second)) == ("QUOTA_STREAMS", exhausted)
        await append_all(stub, three_commits().requests)
        await reading
        first.cancel()


async def put(stub: Stub, payload: bytes, **changes: object) -> list[int]:
    chunk = pb.Chunk(
        payload_digest=sha256(payload).digest(),
        chunk_digest=sha256(payload).digest(),
        data=payload,
        payload_size_bytes=len(payload),
    )
    for name, value in changes.items():
        setattr(chunk, name, value)
    request = pb.PutPayloadRequest(number=7, chunks=[chunk])
    (answer,) = [answer async for answer in stub.PutPayload(stream(request))]
    assert answer.number == 7
    return list(answer.refused)


async def test_payloads_go_in_and_come_out(stub: Stub) -> None:
    payload = UPDATES[0][2]
    name = sha256(payload).digest()
    asked = pb.HasPayloadRequest(payload_digest=name, payload_size_bytes=len(payload))
    before = await stub.HasPayload(asked)
    assert (before.stored, before.complete) == (b"\0", False)
    assert await put(stub, payload, data=b"x" * len(payload)) == [0]
    assert await put(stub, payload) == []
    after = await stub.HasPayload(asked)
    assert (after.stored, after.complete) == (b"\1", True)
    assert list(after.chunk_digests) == [name]
    (answer,) = [one async for one in stub.GetPayload(pb.GetPayloadRequest(payload_digest=name))]
    assert (answer.chunk.data, answer.chunk.chunk_digest) == (payload, name)
    unknown = stub.GetPayload(pb.GetPayloadRequest(payload_digest=b"x" * 32))
    assert await code_of(drain(unknown)) == ("PAYLOAD_UNKNOWN", grpc.StatusCode.NOT_FOUND)
    short = stub.GetPayload(pb.GetPayloadRequest(payload_digest=b"x"))
    assert await code_of(drain(short)) == ("RPC_DIGEST", grpc.StatusCode.INVALID_ARGUMENT)
    huge = pb.HasPayloadRequest(payload_digest=name, payload_size_bytes=1 << 40)
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await code_of(stub.HasPayload(huge)) == ("TOO_LARGE", exhausted)


async def test_what_travels_beside_an_update_is_kept(stub: Stub) -> None:
    update, envelope, _ = UPDATES[0]
    stored = pb.StoredSubmission(update_id=update.update_id, envelope=envelope, provenance=b"p")
    await stub.PutSubmission(pb.PutSubmissionRequest(submissions=[stored]))
    answer = await stub.GetSubmission(pb.GetSubmissionRequest(update_id=update.update_id))
    assert answer.submission == stored
    unknown = stub.GetSubmission(pb.GetSubmissionRequest(update_id=b"x" * 32))
    assert await code_of(unknown) == ("SUBMISSION_UNKNOWN", grpc.StatusCode.NOT_FOUND)
    bad = pb.PutSubmissionRequest(submissions=[pb.StoredSubmission(update_id=b"x")])
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert await code_of(stub.PutSubmission(bad)) == ("RPC_DIGEST", invalid)


def item(update: UpdateRecord, base: str = "base digits") -> pb.JudgeItem:
    return pb.JudgeItem(
        record=encode_records([update]), base_digest=digest(base), checkpoint_root=EMPTY_ROOT
    )


async def test_judging(stub: Stub) -> None:
    chain = three_commits()
    await append_all(stub, chain.requests[:1])
    items = [item(record(1, 2)), item(RECORDS[0]), item(record(2, 2), "v1")]
    answer = await stub.Judge(pb.JudgeRequest(items=items))
    assert (answer.height, answer.later) == (1, False)
    assert [(one.item, one.refusal.code) for one in answer.refused] == [
        (1, "REPLAY_SEQ"),
        (2, "REPLAY_BASE"),
    ]
    later = await stub.Judge(pb.JudgeRequest(pinned_height=2, items=items))
    assert (later.height, later.later, len(later.refused)) == (1, True, 0)
    assert len((await stub.Judge(pb.JudgeRequest())).refused) == 0
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    short = pb.JudgeRequest(items=[pb.JudgeItem(record=b"x")])
    assert await code_of(stub.Judge(short)) == ("RECORD_SIZE", invalid)
    many = pb.JudgeRequest(items=[item(RECORDS[0])] * 1025)
    assert await code_of(stub.Judge(many)) == ("BATCH_SIZE", invalid)


async def test_a_claim_may_name_a_checkpoint_that_is_not_written_yet(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "LINGER_SECONDS", 3600.0)
    chain = three_commits()
    sent: asyncio.Queue[pb.AppendRequest | None] = asyncio.Queue()

    async def requests() -> AsyncIterator[pb.AppendRequest]:
        while (one := await sent.get()) is not None:
            yield one

    call = stub.Append(requests())
    await call.read()
    for request in chain.requests[:2]:
        await sent.put(request)
        await call.read()
    _, size, root = chain.answer(2)
    seen = pb.JudgeItem(
        record=encode_records([record(1, 2)]),
        base_digest=digest("base digits"),
        checkpoint_size=size,
        checkpoint_root=root,
    )
    assert (await stub.LedgerStatus(pb.LedgerStatusRequest())).height == 0
    answer = await stub.Judge(pb.JudgeRequest(items=[seen]))
    # At the commit that it waited for: an older one may be too far back to be judged at.
    assert (answer.height, len(answer.refused)) == (2, 0)
    assert (await stub.LedgerStatus(pb.LedgerStatusRequest())).height == 2
    assert (await stub.Judge(pb.JudgeRequest(pinned_height=2, items=[seen]))).height == 2
    await sent.put(None)
    await drain(call)


async def append_until_stopped(
    directory: Path,
    settings: LedgerSettings,
    chain: Chain,
    answered: list[tuple[int, int, bytes]],
) -> None:
    """Append commits, keeping the answers, until the role stops."""
    async with running(GENESIS, directory, settings) as stub:
        async for answer in stub.Append(stream(*chain.requests)):
            answered += [(answer.index, answer.tree_size, answer.root)]


async def test_a_full_disk_stops_the_role_with_a_clear_error(tmp_path: Path) -> None:
    settings = LedgerSettings(map_size_bytes=1 << 20, map_size_bytes_max=1 << 20)
    chain = Chain()
    for seq in range(1, 120):
        chain.commit(block(0, [record(at, seq) for at in range(6)]))
    answered: list[tuple[int, int, bytes]] = []
    with pytest.raises(BaseExceptionGroup) as stopped:
        await append_until_stopped(tmp_path, settings, chain, answered)
    assert stopped.group_contains(OperationalError, match="STORE_FULL")
    assert len(answered) > 1
    log = Log(LmdbStore(tmp_path / "ledger.mdb"), GENESIS, ORIGIN)
    assert 0 < log.head.index < 119
    log.store.close()
    # With more room every answer is the same again, and the rest follows.
    async with running(GENESIS, tmp_path) as stub:
        again = await append_all(stub, chain.requests)
    assert again[1:] == [chain.answer(index) for index in range(1, 120)]
    assert answered[-1] in again


async def test_before_and_after_its_work_the_role_says_so(tmp_path: Path) -> None:
    service = build(context_of(GENESIS, tmp_path), LedgerSettings())
    assert (service.name, service.ready()) == ("ledger", False)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run())
        await at_work(service)
        task.cancel()
    assert not service.ready()


def bad_verdicts() -> list[tuple[str, pb.AppendRequest]]:
    """Return commits with one thing wrong about their verdicts, and the code of each."""
    made = []
    for code in ("VERDICT_DIGEST", "VERDICT_BATCH", "VERDICT_JUDGEMENT", "RECORD_SIZE"):
        request = commit_message(delivery(1, block(0, RECORDS)), ORIGIN)
        made.append((code, request))
    made[0][1].commit.finality_digest = b"short"
    made[1][1].commit.verdicts[0].batch = 1
    made[2][1].commit.verdicts[0].judgement = types_pb2.JUDGEMENT_UNSPECIFIED
    made[3][1].commit.judged_batches[0].records = b"x"
    for positions in ((), (1, 1), (2, 1), (0, 3)):
        request = commit_message(delivery(1, block(0, RECORDS)), ORIGIN)
        request.commit.verdicts[0].positions[:] = positions
        made.append(("VERDICT_POSITIONS", request))
    refused = verdict(Judgement.REJECT, *RECORDS, rule=1)
    request = commit_message(delivery(1, verdicts=[refused]), ORIGIN)
    return [*made, ("VERDICT_JUDGEMENT", request)]


def bad_twins() -> list[tuple[str, pb.AppendRequest]]:
    """Return commits with one thing wrong about their twins, and the code of each."""
    made = [commit_message(delivery(1, twins=[twins_by(2)]), ORIGIN) for _ in range(4)]
    pairs = [request.commit.twins[0] for request in made]
    pairs[0].first_signature = b"short"
    pairs[1].second.digest = b"short"
    pairs[2].second.round += 1
    pairs[3].first.digest = pairs[3].second.digest
    codes = ("TWINS_SIGNATURE", "RPC_DIGEST", "TWINS_SLOT", "TWINS_SLOT")
    return list(zip(codes, made, strict=True))


@pytest.mark.parametrize(("code", "request_"), [*bad_verdicts(), *bad_twins()])
async def test_verdicts_and_twins_that_no_commit_brings_are_refused(
    stub: Stub, code: str, request_: pb.AppendRequest
) -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert await code_of(drain(stub.Append(stream(request_)))) == (code, invalid)
    good = commit_message(delivery(1, block(0, RECORDS)), ORIGIN)
    assert len(await append_all(stub, [good])) > 0
