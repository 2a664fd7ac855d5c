"""A client believes no site that the log does not bear out, and asks the next one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seawall.api.v1.aggregation_pb2 import GetHeadResponse
from seawall.client import AsyncClient, Limits
from seawall.client import pulling as pulling_module
from seawall.errors import LocalError, OperationalError, PeerError
from tests.unit.client.town import Town
from tests.unit.client.town_log import CHAIN, GENESIS_BYTES, LARGE, SMALL

FAST = Limits(rpc_seconds=0.3, backoff_seconds_max=0.3)


def client(town: Town, task: str = SMALL, **members: object) -> AsyncClient:
    arguments = {"genesis": CHAIN, "open_channel": town.dial, "limits": FAST, **members}
    return AsyncClient(task=task, **arguments)  # type: ignore[arg-type]  # varied by tests


async def test_before_the_first_checkpoint_the_base_is_that_of_genesis() -> None:
    async with Town() as town, client(town, genesis=GENESIS_BYTES) as ours:
        base = await ours.pull()
    assert (base.version, base.checkpoint.size, base.checkpoint.note) == (0, 0, "")
    assert base.head.final
    assert not base.ints.any()


@pytest.mark.parametrize("task", [SMALL, LARGE])
async def test_a_version_is_pulled_exactly(task: str) -> None:
    async with Town() as town, client(town, task) as ours:
        town.log.publish(task, 1, (1, -2, 3))
        town.log.publish(SMALL, 2, (5,))
        town.log.publish(task, 3, (4, 5, -6))
        base = await ours.pull()
        head = await ours.head()
    assert head == base.head
    assert (base.version, base.checkpoint.size) == (3, 3)
    assert base.ints[:4].tolist() == [4, 5, -6, 4]
    assert base.arrays["w"].dtype == np.float32
    flat = np.concatenate([base.arrays[name].ravel() for name in sorted(base.arrays)])
    np.testing.assert_array_equal(flat * 2**10, base.ints)


def older_head(answer: GetHeadResponse) -> None:
    answer.version -= 1


def other_entry(answer: GetHeadResponse) -> None:
    answer.entry = answer.entry.replace(b'"version":2', b'"version":3')


def no_note(answer: GetHeadResponse) -> None:
    answer.checkpoint_note = ""


def bad_signature(answer: GetHeadResponse) -> None:
    at = answer.checkpoint_note.rindex(" ") + 20
    letter = "A" if answer.checkpoint_note[at] != "A" else "B"
    answer.checkpoint_note = answer.checkpoint_note[:at] + letter + answer.checkpoint_note[at + 1 :]


LIES: dict[str, tuple[Callable[[GetHeadResponse], None], str]] = {
    "another version": (older_head, "CLIENT_HEAD"),
    "another entry": (other_entry, "LOG_PROOF_ROOT"),
    "no checkpoint": (no_note, "LOG_NOTE_UNSIGNED"),
    "a bad cosignature": (bad_signature, "LOG_COSIGNATURE_BAD"),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_about_the_head_is_found_and_the_next_site_asked(name: str) -> None:
    lie, code = LIES[name]
    async with Town() as town, client(town) as ours:
        town.log.publish(SMALL, 1, (1,))
        town.log.publish(SMALL, 2, (2,))
        town.sites[0].manner.alter_head = lie
        assert (await ours.head()).version == 2
        assert [site.calls for site in town.sites] == [["GetHead"], ["GetHead"], [], []]
        for site in town.sites:
            site.manner.alter_head = lie
        with pytest.raises(PeerError, match=code):
            await ours.head()


async def test_too_few_cosigners_are_refused() -> None:
    async with Town() as town, client(town) as ours:
        town.log.publish(SMALL, 1, (1,))
        town.log.cosigners = (0, 1)
        with pytest.raises(PeerError, match="LOG_QUORUM"):
            await ours.pull()


@pytest.mark.parametrize(
    ("alter", "code"),
    [
        (lambda data: data[:-1], "LENGTH"),
        (lambda data: data + bytes(1 << 20), "LENGTH"),
        (lambda data: data[:-1] + b"\x01", "CHUNK_HASH"),
    ],
)
async def test_a_wrong_payload_is_found(alter: Callable[[bytes], bytes], code: str) -> None:
    async with Town() as town, client(town, sites="site-1", others=False) as ours:
        town.log.publish(SMALL, 1, (1,))
        town.sites[1].manner.alter_payload = alter
        with pytest.raises(PeerError, match=code):
            await ours.pull()


async def test_a_log_that_shrank_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling_module, "PAUSE_SECONDS", 0.001)
    async with Town() as town:
        async with client(town, state=tmp_path / "state") as ours:
            town.log.publish(SMALL, 1, (1,))
            town.log.publish(SMALL, 2, (2,))
            await ours.pull()
        town.log.leaves.pop()
        town.log.heads[SMALL] = (1, 0)
        async with client(town, state=tmp_path / "state") as ours:
            with pytest.raises(PeerError, match="CLIENT_ROLLBACK"):
                await ours.head()


async def test_silent_and_failing_sites_are_passed_by() -> None:
    async with Town() as town, client(town, sites=["site-3", "site-1"]) as ours:
        town.log.publish(SMALL, 1, (1,))
        town.sites[3].manner.silent = True
        town.sites[1].manner.fault = OperationalError("STORE_READ", "no")
        assert (await ours.head()).version == 1
        assert [len(site.calls) for site in town.sites] == [1, 1, 0, 1]
        assert (await ours.head()).version == 1
        assert [len(site.calls) for site in town.sites] == [2, 1, 0, 1], "asked last for a while"


async def test_a_version_that_is_known_to_be_there_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulling_module, "PAUSE_SECONDS", 0.001)
    async with Town() as town, client(town) as ours:
        town.log.publish(SMALL, 1, (1,))
        assert (await ours.pull(1)).version == 1
        with pytest.raises(PeerError, match="CLIENT_BEHIND"):
            await ours.pull(2)
        with pytest.raises(PeerError, match="CLIENT_BEHIND"):
            await ours.head(at_least=2)


async def test_when_nobody_answers_the_last_fault_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulling_module, "PAUSE_SECONDS", 0.001)
    async with Town() as town, client(town, sites=["site-0"], others=False) as ours:
        town.sites[0].manner.fault = OperationalError("STORE_READ", "no")
        with pytest.raises(OperationalError, match="STORE_READ"):
            await ours.pull()
        assert len(town.sites[0].calls) == pulling_module.ROUNDS_MAX


def test_unknown_tasks_and_sites_are_refused() -> None:
    with pytest.raises(LocalError, match="TASK_UNKNOWN"):
        AsyncClient(task="none", genesis=CHAIN)
    with pytest.raises(LocalError, match="CLIENT_SITE"):
        CHAIN.site("nowhere")
    assert CHAIN.site("127.0.0.1:3002") == CHAIN.site("site-2") == 2


def test_a_genesis_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="GENESIS_READ"):
        AsyncClient(task=SMALL, genesis=tmp_path / "genesis.json")
    (tmp_path / "genesis.json").write_bytes(GENESIS_BYTES)
    assert AsyncClient(task=SMALL, genesis=tmp_path / "genesis.json").chain.origin == CHAIN.origin
