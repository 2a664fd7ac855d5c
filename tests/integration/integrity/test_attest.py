"""Attestations over the wire: what a site signs for whom, and what it never signs."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from seawall.api.v1 import integrity_pb2, integrity_pb2_grpc, ledger_pb2
from seawall.codec import attestation_message, batch_root
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import verify
from seawall.formats.admission import Admission
from seawall.runtime.channels import peer_channel
from seawall.runtime.keys import TLS_CERTIFICATE, TLS_KEY
from tests.cases.authors import WIDE, Signed
from tests.cases.bad_input import all_cases
from tests.integration.ingestion.world import World, once, open_world, refusal_of, stages, whole

ASKER, SITE = 0, 2
CASES = tuple(all_cases())


@asynccontextmanager
async def integrity_of(
    world: World, *, asker: int = ASKER, site: int = SITE
) -> AsyncIterator["integrity_pb2_grpc.IntegrityServiceAsyncStub"]:
    """Yield one site's integrity service as another site reaches it."""
    keys = world.sites.directory / f"site-{asker}" / "keys"
    tls = (keys / TLS_KEY).read_bytes(), (keys / TLS_CERTIFICATE).read_bytes()
    channel = peer_channel(world.sites.genesis.sites[site], *tls)
    try:
        yield integrity_pb2_grpc.IntegrityServiceStub(channel)
    finally:
        await channel.close()


def item(update: Signed, *, inline: bool = True) -> integrity_pb2.AttestItem:
    """Return an update as a batch carries it."""
    return integrity_pb2.AttestItem(
        envelope=update.envelope,
        manifest=update.manifest,
        provenance=update.provenance,
        payload=update.payload if inline else b"",
    )


async def ask(
    world: World,
    items: Iterable[integrity_pb2.AttestItem],
    *,
    asker: int = ASKER,
    site: int | None = None,
    height: int = 0,
) -> integrity_pb2.AttestResponse:
    """Ask for one attestation."""
    request = integrity_pb2.AttestRequest(
        site=asker if site is None else site, batch_number=77, pinned_height=height, items=items
    )
    async with integrity_of(world, asker=asker) as stub:
        answers = [answer async for answer in stub.Attest(once(request))]
    (answer,) = answers
    return answer


def is_signed(
    world: World, answer: integrity_pb2.AttestResponse, updates: Sequence[Signed]
) -> bool:
    """Say whether an answer signs exactly these updates at height 0."""
    origin = world.sites.origin
    admission = Admission(world.sites.genesis, origin)
    records = b"".join(
        admission.check_envelope(one.envelope, one.manifest, one.provenance).record_bytes
        for one in updates
    )
    message = attestation_message(origin, 0, ASKER, 77, 0, batch_root(records))
    key = world.sites.genesis.sites[SITE].consensus_key
    return verify(key, message, answer.signature)


async def holds(world: World, update: Signed) -> bool:
    """Say whether the attesting site holds a payload."""
    request = ledger_pb2.HasPayloadRequest(
        payload_digest=sha256(update.payload), payload_size_bytes=len(update.payload)
    )
    return (await world.ledger(SITE).HasPayload(request)).complete


async def test_a_good_batch_is_stored_and_signed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        updates = [author.update() for author in world.authors[:3]]
        answer = await ask(world, map(item, updates))
        assert (answer.batch_number, answer.author, answer.later) == (77, SITE, False)
        assert is_signed(world, answer, updates)
        assert all([await holds(world, update) for update in updates])
        # Signing again costs no second look, and is the same word.
        assert (await ask(world, map(item, updates))).signature == answer.signature


async def test_every_bad_update_is_named_with_its_code_and_nothing_is_signed(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, integrity_of(world) as stub:
        author = world.authors[0]
        updates = [case.make(author) for case in CASES]
        requests = [
            integrity_pb2.AttestRequest(
                site=ASKER,
                batch_number=number,
                items=[item(update, inline=len(update.payload) < 1 << 18)],
            )
            for number, update in enumerate(updates)
        ]
        wrong = {}
        async for answer in stub.Attest(once(*requests)):
            case = CASES[answer.batch_number]
            found = [(one.item, one.refusal.code) for one in answer.refused]
            if found != [(0, case.code)] or answer.signature:
                wrong[case.name] = found
        assert not wrong


async def test_only_the_bad_ones_of_a_batch_are_named(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        good, other = world.authors[0].update(), world.authors[1].update()
        broken = Signed(envelope=other.envelope, payload=other.payload[:-1] + b"\x7f")
        twice = world.authors[0].update(seq=1)
        answer = await ask(world, map(item, (good, broken)))
        assert [(one.item, one.refusal.code) for one in answer.refused] == [(1, "CHUNK_HASH")]
        assert not answer.signature
        assert not await holds(world, broken)
        answer = await ask(world, map(item, (good, twice)))
        assert [(one.item, one.refusal.code) for one in answer.refused] == [(1, "REPLAY_SEQ")]


async def test_a_site_that_is_behind_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path, integrity={"later_wait_seconds": 0.05}) as world:
        answer = await ask(world, [item(world.authors[0].update())], height=1 << 40)
        assert answer.later
        assert not answer.signature
        assert not answer.refused


async def test_payloads_are_pulled_from_the_asking_site(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update(WIDE)
        await world.upload(update)
        answer = await ask(world, [item(update, inline=False)])
        assert is_signed(world, answer, [update])
        assert await holds(world, update)
        # What the asking site does not hold cannot be attested.
        absent = world.authors[1].update(WIDE)
        answer = await ask(world, [item(absent, inline=False)])
        assert [one.refusal.code for one in answer.refused] == ["PAYLOAD_UNKNOWN"]


async def test_a_payload_that_does_not_come_is_no_refusal(tmp_path: Path) -> None:
    limits = {"pull_seconds_max": 0.3, "pull_chunk_seconds_max": 0.2}
    async with open_world(tmp_path, running=(0, 1, 2), integrity=limits) as world:
        # Site 3 asks, and its ledger cannot be reached.
        update = world.authors[0].update(WIDE)
        answer = await ask(world, [item(update, inline=False)], asker=3)
        assert answer.later
        assert not answer.refused


async def test_a_restarted_site_attests_what_it_holds(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update(WIDE)
        await world.upload(update)
        first = await ask(world, [item(update, inline=False)])
        await world.stop(SITE)
        await world.start(SITE)
        assert (await ask(world, [item(update, inline=False)])).signature == first.signature


async def test_a_committed_update_is_not_attested_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update()
        assert stages(await world.submit([whole(update)]), 1)[-1] == "COMMITTED"
        await world.watch([update.update_id], SITE)
        answer = await ask(world, [item(update)])
        assert [one.refusal.code for one in answer.refused] == ["REPLAY_SEQ"]


async def test_only_sites_are_served_and_only_for_themselves(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        items = [item(world.authors[0].update())]

        async def anonymous() -> None:
            stub = integrity_pb2_grpc.IntegrityServiceStub(world.channel(SITE))
            async for _ in stub.Attest(once(integrity_pb2.AttestRequest(items=items))):
                pass

        assert (await refusal_of(anonymous())).code == "CALLER_NOT_ALLOWED"
        assert (await refusal_of(ask(world, items, site=1))).code == "CALLER_SITE"
        for count in (0, world.sites.genesis.admission.batch_updates_max + 1):
            empty = [integrity_pb2.AttestItem()] * count
            refused = await refusal_of(ask(world, empty))
            assert (refused.code, refused.field) == ("BATCH_SIZE", "items")


async def test_streams_of_attestations_are_limited(tmp_path: Path) -> None:
    limits = {"streams_max": 1}
    async with open_world(tmp_path, integrity=limits) as world, integrity_of(world) as stub:
        items = [item(world.authors[0].update())]
        call = stub.Attest()
        await call.write(integrity_pb2.AttestRequest(site=ASKER, batch_number=1, items=items))
        await call.read()
        assert (await refusal_of(ask(world, items))).code == "QUOTA_STREAMS"
        call.cancel()


async def test_receipts_are_checked_and_checks_are_described(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        update = world.authors[0].update()
        await world.submit([whole(update)])
        request = ledger_pb2.ReceiptRequest(update_id=update.update_id, wait_ms=10_000)
        receipt = (await world.ledger().Receipt(request)).document
        stub = integrity_pb2_grpc.IntegrityServiceStub(world.channel(SITE))

        async def verdict(document: bytes) -> integrity_pb2.VerifyReceiptResponse:
            request = integrity_pb2.VerifyReceiptRequest(document=document)
            return await stub.VerifyReceipt(request)

        assert (await verdict(receipt)).valid
        spoilt = receipt.replace(b'"entries"', b'"entrieS"', 1)
        answer = await verdict(spoilt)
        assert (answer.valid, answer.refusal.code) == (False, "RECEIPT_FORM")
        assert (await refusal_of(verdict(bytes((1 << 20) + 1)))).code == "TOO_LARGE"
        described = await stub.Describe(integrity_pb2.DescribeRequest())
        assert [check.name for check in described.checks][:4] == [
            "size",
            "envelope",
            "key",
            "signature",
        ]
        assert {check.stage for check in described.checks} == {"ingestion", "state", "integrity"}
        known = [code for check in described.checks for code in check.codes]
        for case in CASES:
            assert case.code in known or f"{case.code.partition('_')[0]}_*" in known
