"""What workers do while their Redis fails, and after it has lost everything."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from seawall.client.links import is_passing
from seawall.crypto.hashing import sha256
from seawall.errors import OperationalError, SeawallError
from seawall.formats.oms import CHUNK_SIZE
from seawall.ingestion.claims import Claim
from seawall.ingestion.redis_shared import RedisShared
from seawall.runtime.status import status_of
from tests.cases.authors import WIDE
from tests.cases.redis_server import RedisServer, needs_redis, redis_server
from tests.contract.sharing import LEASE_SECONDS, SECONDS_MAX, code, redis_worker
from tests.unit.ingestion.known import admitted, author

pytestmark = needs_redis

OWNER = sha256(b"owner")
WIDE_UPDATE = admitted(author().update(WIDE))
STREAM = "ipv4:192.0.2.1:7"
LOOKS_MAX = 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as running:
        yield running


def claim_of(seq: int, update: bytes = b"first") -> Claim:
    return Claim(sha256(update + b"%d" % seq), OWNER, seq, sha256(update + b"payload %d" % seq))


async def answer(worker: RedisShared, claim: Claim) -> SeawallError | None:
    return (await worker.claim([claim]))[0]


async def hold(worker: RedisShared, claim: Claim) -> None:
    """Have a worker hold a claim as an update in flight does."""
    assert await answer(worker, claim) is None
    worker.claims.confirm(claim)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until something holds."""
    for _ in range(LOOKS_MAX):
        if await holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


def run_out_of_memory(server: RedisServer) -> Callable[[], object]:
    server.ask("CONFIG", "SET", "maxmemory", 1)
    return lambda: server.ask("CONFIG", "SET", "maxmemory", 0)


def take_no_writes(server: RedisServer) -> Callable[[], object]:
    server.ask("REPLICAOF", "127.0.0.1", 1)
    return lambda: server.ask("REPLICAOF", "NO", "ONE")


def lose_the_disk(server: RedisServer) -> Callable[[], object]:
    place = server.directory / "gone"
    place.mkdir()
    server.ask("CONFIG", "SET", "save", "3600 1")
    server.ask("CONFIG", "SET", "dir", str(place))
    shutil.rmtree(place)
    server.ask("BGSAVE")

    def repair() -> None:
        server.ask("CONFIG", "SET", "dir", str(server.directory))
        server.ask("CONFIG", "SET", "save", "")

    return repair


def freeze(server: RedisServer) -> Callable[[], object]:
    server.freeze()
    return server.thaw


def kill(server: RedisServer) -> Callable[[], object]:
    server.kill()
    return server.start


def change_the_password(server: RedisServer) -> Callable[[], object]:
    server.ask("ACL", "SETUSER", "default", "-@scripting")
    return lambda: server.ask("ACL", "SETUSER", "default", "+@all")


FAULTS = [
    (kill, "SHARED_AWAY"),
    (freeze, "SHARED_SLOW"),
    (run_out_of_memory, "SHARED_FULL"),
    (take_no_writes, "SHARED_READONLY"),
    (lose_the_disk, "SHARED_DISK"),
    (change_the_password, "SHARED_LOGIN"),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[one for _, one in FAULTS])
async def test_each_failure_has_a_code_and_passes(
    server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]], expected: str
) -> None:
    # Only one that hangs is told by time.
    patience = 0.5 if fault is freeze else SECONDS_MAX
    shared = {"url": server.url, "seconds_max": patience, "lease_seconds": LEASE_SECONDS}
    worker = redis_worker(server.url, redis=shared)
    held = claim_of(1)

    async def taken() -> bool:
        return await answer(worker, held) is None

    await until(taken)
    worker.claims.confirm(held)
    repair = fault(server)

    async def failed() -> bool:
        refusal = await answer(worker, claim_of(2))
        if refusal is None:  # a disk that is lost shows once saving has failed
            worker.claims.withdraw(claim_of(2))
        if code(refusal) != expected:
            return False
        assert isinstance(refusal, OperationalError)
        assert status_of(refusal).name == "UNAVAILABLE"
        assert refusal.hint
        assert is_passing(refusal)
        return True

    await until(failed)
    assert not worker.ready()
    # Nothing of the refused update is left here, and what was held is held.
    assert list(worker.claims) == [held]
    with pytest.raises(OperationalError):
        await worker.sessions.open(WIDE_UPDATE, (0, 1, 2))
    # A stream is still let in, under the limits of this worker alone.
    async with worker.stream(STREAM):
        pass
    repair()

    async def passed() -> bool:
        return await answer(worker, claim_of(2)) is None

    await until(passed)
    assert worker.ready()
    await worker.close()


async def test_what_was_taken_survives_a_kill(server: RedisServer) -> None:
    first, second = redis_worker(server.url), redis_worker(server.url)
    held = claim_of(1)
    await hold(first, held)
    upload = await first.sessions.open(WIDE_UPDATE, (1, 2))
    server.kill()
    server.start()

    async def refused() -> bool:
        return code(await answer(second, claim_of(1, b"rival"))) == "REPLAY_SEQ"

    await until(refused)
    found = await second.sessions.find(upload.upload_id)
    assert found is not None
    assert list(found.missing) == [1, 2]
    for one in (first, second):
        await one.close()


async def test_what_was_lost_is_told_again_before_anything_else(server: RedisServer) -> None:
    first, second = redis_worker(server.url), redis_worker(server.url)
    held = claim_of(1)
    await hold(first, held)
    upload = await first.sessions.open(WIDE_UPDATE, (0,))
    before = server.names()
    server.ask("FLUSHALL")
    # The first worker notices with its next question, whatever that is.
    assert await answer(first, claim_of(2)) is None
    assert code(await answer(second, claim_of(1, b"rival"))) == "REPLAY_SEQ"
    # An upload is gone, and told to be: its chunks are in the ledger, and opening it resumes.
    assert await second.sessions.find(upload.upload_id) is None
    lost = [key for key in before if key not in server.names()]
    assert all("session" in key for key in lost)
    for one in (first, second):
        await one.close()


async def test_a_number_that_two_have_taken_meanwhile_stops_nobody(server: RedisServer) -> None:
    first, second = redis_worker(server.url), redis_worker(server.url)
    held, rival = claim_of(1), claim_of(1, b"rival")
    await hold(first, held)
    server.ask("FLUSHALL")
    assert await answer(second, rival) is None
    await first.enter()
    assert list(first.claims) == [held]
    assert list(second.claims) == [rival]
    # The one that came later keeps what it has; what Redis says is of the one that was told first.
    first.claims.drop(held, used=False)
    await first.give_back()
    third = redis_worker(server.url)
    assert code(await answer(third, held)) == "REPLAY_SEQ"
    for one in (first, second, third):
        await one.close()


async def test_a_killed_worker_holds_nothing_for_longer_than_a_lease(server: RedisServer) -> None:
    lease = {"url": server.url, "lease_seconds": 3.0}
    dead, heir = redis_worker(server.url, redis=lease), redis_worker(server.url, redis=lease)
    assert await answer(dead, claim_of(1)) is None
    await dead.close()
    rival = claim_of(1, b"rival")

    async def free() -> bool:
        return await answer(heir, rival) is None

    await until(free)
    await heir.close()


async def test_a_worker_that_lives_keeps_what_it_has(server: RedisServer) -> None:
    lease = {"url": server.url, "lease_seconds": 3.0}
    keeper, other = redis_worker(server.url, redis=lease), redis_worker(server.url)
    held = claim_of(1)
    await hold(keeper, held)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(keeper.run())
        marker = claim_of(2, b"marker")
        dying = redis_worker(server.url, redis=lease)
        assert await answer(dying, marker) is None
        rival = claim_of(2, b"rival of the marker")

        async def a_lease_has_passed() -> bool:
            return await answer(other, rival) is None

        await until(a_lease_has_passed)
        assert code(await answer(other, claim_of(1, b"rival"))) == "REPLAY_SEQ"
        # Its end is told without anybody asking for it.
        keeper.claims.drop(held, used=False)

        async def told() -> bool:
            return await answer(other, claim_of(1, b"rival")) is None

        await until(told)
        work.cancel()
    for one in (other, dying):
        await one.close()


async def test_every_key_has_an_end_and_names_chain_and_site(server: RedisServer) -> None:
    worker = redis_worker(server.url)
    assert await answer(worker, claim_of(1)) is None
    await worker.sessions.open(WIDE_UPDATE, (0, 1))
    upload = await worker.sessions.open(WIDE_UPDATE, (0, 1))
    assert await worker.sessions.begin(upload, 0, CHUNK_SIZE) is None
    worker.claims.drop(claim_of(1), used=True)
    await worker.give_back()
    async with worker.stream(STREAM):
        assert await answer(worker, claim_of(2)) is None
        keys = server.names()
    kinds = ("worker", "seq", "payload", "flight", "hold", "stream", "session")
    for kind in kinds:
        assert any(f"}}:{kind}" in key for key in keys), kind
    for key in keys:
        assert key.startswith("{seawall/0123456789abcdef/0}:")
        left = server.ask("PTTL", key)
        assert isinstance(left, int)
        assert left > 0, key
    await worker.close()


async def test_a_session_that_somebody_forged_is_none(server: RedisServer) -> None:
    first, second = redis_worker(server.url), redis_worker(server.url)
    upload = await first.sessions.open(WIDE_UPDATE, (0,))
    (name,) = [key for key in server.names() if key.endswith(upload.upload_id.hex())]
    server.ask("HSET", name, "envelope", "{}")
    assert await second.sessions.find(upload.upload_id) is None
    server.ask("HDEL", name, "envelope")
    assert await second.sessions.find(upload.upload_id) is None
    assert await second.sessions.find(b"x" * 1000) is None
    for one in (first, second):
        await one.close()


async def test_a_sender_that_leaves_takes_its_claims_along(server: RedisServer) -> None:
    worker = redis_worker(server.url)
    await worker.enter()
    server.freeze()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(worker.claim([claim_of(1)]))
        await asyncio.sleep(0)
        assert len(worker.claims) == 1
        asking.cancel()
    assert len(worker.claims) == 0
    server.thaw()
    await worker.close()


async def test_a_wrong_password_is_told_as_such(server: RedisServer) -> None:
    worker = redis_worker(server.url, password="wrong")  # noqa: S106 - it is
    assert code(await answer(worker, claim_of(1))) == "SHARED_LOGIN"
    await worker.close()
