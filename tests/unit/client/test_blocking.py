"""The blocking face: one thread in the background, gone when the last client is closed."""

import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import seawall
from seawall.client import Client, Stage
from seawall.client.background import Background
from seawall.errors import LocalError
from seawall.formats.receipt import verify_receipt
from seawall.runtime.keys import write_seed
from tests.unit.client.town import Town
from tests.unit.client.town_log import ADA, CHAIN, GENESIS_BYTES, SMALL


@pytest.fixture
def town() -> Iterator[Town]:
    background = Background.acquire()
    town = Town()
    background.run(town.__aenter__())
    yield town
    background.run(town.__aexit__())
    background.release()
    assert not [one for one in threading.enumerate() if one.name == "seawall-client"]


def test_a_program_without_an_event_loop_pulls_pushes_and_keeps_a_receipt(
    town: Town, tmp_path: Path
) -> None:
    (tmp_path / "genesis.json").write_bytes(GENESIS_BYTES)
    write_seed(tmp_path / "ada.key", sha256(b"ada").digest())
    for at in (1, 2):
        with seawall.Client(
            "site-1",
            task=SMALL,
            key=tmp_path / "ada.key",
            genesis=tmp_path / "genesis.json",
            open_channel=town.dial,
        ) as ours:
            assert ours.task.name == SMALL
            assert ours.chain.origin == CHAIN.origin
            base = ours.pull()
            assert ours.head() == base.head
            receipt = ours.push({name: a + at for name, a in base.arrays.items()}, base, 3)
            assert receipt.wait("committed", 5).stage is Stage.COMMITTED
            assert receipt.prepared.seq == at, "numbers go on where they stopped"
            place = receipt.save(tmp_path / f"receipt-{at}.json")
            assert receipt.document() == place.read_bytes()
        proven = verify_receipt(place.read_bytes(), GENESIS_BYTES, receipt.prepared.payload)
        assert proven.update.update_id == receipt.update_id.hex()
        assert receipt.event.stage is Stage.COMMITTED
        assert receipt.chunks_again == ()


def test_several_clients_share_one_thread(town: Town) -> None:
    def make() -> Client:
        return Client(task=SMALL, key=ADA, genesis=CHAIN, open_channel=town.dial)

    with make() as first, make() as second:
        names = [one.name for one in threading.enumerate()]
        assert names.count("seawall-client") == 1
        base = first.pull()
        prepared = first.prepare(np.ones(8, dtype=np.int32), base, 1)
        assert second.submit(prepared).wait("committed", 5).stage is Stage.COMMITTED


def test_a_closed_client_says_so(town: Town) -> None:
    ours = Client(task=SMALL, genesis=CHAIN, open_channel=town.dial)
    ours.close()
    ours.close()
    with pytest.raises(LocalError, match="CLIENT_CLOSED"):
        ours.pull()


def test_a_client_that_cannot_start_leaves_no_thread() -> None:
    with pytest.raises(LocalError, match="CLIENT_SITE"):
        Client("nowhere", task=SMALL, genesis=CHAIN)
    assert not [one for one in threading.enumerate() if one.name == "seawall-client"]
