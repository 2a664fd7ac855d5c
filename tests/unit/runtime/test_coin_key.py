"""The key file of the common coin: one site's, for its owner alone, checked against genesis."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.runtime.coin_key import COIN_KEY, read_coin_secret, write_coin_secret
from tests.unit.formats.test_genesis import ASYNCHRONOUS, GENESIS, KEYS, SECRETS


def dealt(**members: object) -> Genesis:
    """Return the genesis with other members in its coin."""
    return replace(ASYNCHRONOUS, coin=msgspec.structs.replace(KEYS, **members))


def test_a_secret_is_read_back_for_its_owner_alone(tmp_path: Path) -> None:
    write_coin_secret(tmp_path, SECRETS[2])
    place = tmp_path / COIN_KEY
    assert place.read_text() == SECRETS[2].hex() + "\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert read_coin_secret(tmp_path, ASYNCHRONOUS, 2) == SECRETS[2]
    with pytest.raises(LocalError, match="KEY_FILE_EXISTS"):
        write_coin_secret(tmp_path, SECRETS[2])


def test_without_a_coin_no_file_is_read(tmp_path: Path) -> None:
    assert read_coin_secret(tmp_path, GENESIS, 0) == b""


def test_the_secret_of_another_site_is_refused(tmp_path: Path) -> None:
    write_coin_secret(tmp_path, SECRETS[2])
    with pytest.raises(LocalError, match="KEY_FILE_MISMATCH") as raised:
        read_coin_secret(tmp_path, ASYNCHRONOUS, 1)
    assert SECRETS[2].hex() not in str(raised.value)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    write_coin_secret(tmp_path, SECRETS[0])
    (tmp_path / COIN_KEY).chmod(mode)
    with pytest.raises(LocalError, match="KEY_FILE_MODE"):
        read_coin_secret(tmp_path, ASYNCHRONOUS, 0)


@pytest.mark.parametrize(
    "content", [b"", b"00" * 32 + b"\n", b"ff" * 32, b"11" * 31, b"11" * 33, b"zz" * 32, b"\xff"]
)
def test_a_file_with_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / COIN_KEY
    place.write_bytes(content)
    place.chmod(0o600)
    with pytest.raises(LocalError, match="KEY_FILE_FORMAT"):
        read_coin_secret(tmp_path, ASYNCHRONOUS, 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match=f"KEY_FILE_READ.*{COIN_KEY}"):
        read_coin_secret(tmp_path, ASYNCHRONOUS, 0)


@pytest.mark.parametrize(
    ("genesis", "code", "field"),
    [
        (dealt(group_key=bytes(96)), "KEY_COIN", "groupKey"),
        (dealt(share_keys=KEYS.share_keys[::-1]), "KEY_COIN_SHARES", "shareKeys"),
    ],
)
def test_a_genesis_without_one_dealing_is_refused(
    tmp_path: Path, genesis: Genesis, code: str, field: str
) -> None:
    write_coin_secret(tmp_path, SECRETS[0])
    with pytest.raises(PeerError) as raised:
        read_coin_secret(tmp_path, genesis, 0)
    assert (raised.value.code, raised.value.field) == (code, f"genesis.spec.coin.{field}")
