"""Data directories and key files: locks, formats, modes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.crypto.signing import SigningKey
from seawall.errors import LocalError, OperationalError
from seawall.runtime import keys
from seawall.runtime.locks import DataDirectory, write_durably

SEED = bytes(range(32))


def test_a_directory_is_one_process_s_alone(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "data", "owner") as one:
        assert one.path == tmp_path / "data"
        with pytest.raises(OperationalError, match=f"DATA_LOCKED.*process {os.getpid()} "):
            DataDirectory(tmp_path / "data", "owner")
    DataDirectory(tmp_path / "data", "owner").close()


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from seawall.runtime.locks import DataDirectory\n"
        "held = DataDirectory(pathlib.Path(sys.argv[1]), 'owner')\n"
        "print(os.getpid(), flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    with process:
        assert process.stdout is not None
        pid = process.stdout.readline().decode().strip()
        with pytest.raises(OperationalError, match=f"process {pid} "):
            DataDirectory(tmp_path, "owner")
        process.kill()
    DataDirectory(tmp_path, "owner").close()


def test_a_directory_of_another_owner_or_format_is_refused(tmp_path: Path) -> None:
    DataDirectory(tmp_path, "site-0 ledger").close()
    with pytest.raises(LocalError, match=r"DATA_FORMAT.*site-1 ledger.*site-0 ledger"):
        DataDirectory(tmp_path, "site-1 ledger")
    (tmp_path / "FORMAT").write_text("seawall-data 2 site-0 ledger\n")
    with pytest.raises(LocalError, match=r"DATA_FORMAT.*data 1.*data 2"):
        DataDirectory(tmp_path, "site-0 ledger")
    # Refused, and not left locked.
    (tmp_path / "FORMAT").write_text("seawall-data 1 site-0 ledger\n")
    DataDirectory(tmp_path, "site-0 ledger").close()


def test_a_directory_with_files_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(LocalError, match="DATA_FORMAT"):
        DataDirectory(tmp_path, "owner")


def test_a_place_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OperationalError, match=r"DATA_DIR.*file"):
        DataDirectory(tmp_path / "file" / "data", "owner")


def test_a_durable_write_replaces_whole_files(tmp_path: Path) -> None:
    place = tmp_path / "file"
    write_durably(place, b"old", 0o644)
    write_durably(place, b"new", 0o600)
    assert place.read_bytes() == b"new"
    assert place.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_key_file_holds_one_seed_for_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "keys" / "consensus.key"
    written = keys.write_seed(place, SEED)
    assert place.read_text() == SEED.hex() + "\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert keys.read_key(place).public == written.public == SigningKey.from_seed(SEED).public
    with pytest.raises(LocalError, match="KEY_FILE_EXISTS"):
        keys.write_seed(place, SEED)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "consensus.key"
    keys.write_seed(place, SEED)
    place.chmod(mode)
    with pytest.raises(LocalError, match=f"KEY_FILE_MODE.*{mode:04o}.*chmod 600"):
        keys.read_key(place)


@pytest.mark.parametrize(
    ("mode", "owner", "reader", "exposed"),
    [
        (0o600, 1000, 1000, False),
        (0o400, 0, 0, False),
        (0o440, 1000, 1000, True),
        (0o440, 0, 0, True),
        # As a secret is handed to a process without rights.
        (0o440, 0, 10_001, False),
        (0o460, 0, 10_001, True),
        (0o444, 0, 10_001, True),
        (0o440, 1000, 10_001, True),
    ],
)
def test_a_group_may_read_what_root_hands_to_it(
    mode: int, owner: int, reader: int, *, exposed: bool
) -> None:
    assert keys.is_exposed(mode, owner=owner, reader=reader) is exposed


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"zz" * 32, b"\xff" * 64, b"00" * 33])
def test_a_key_file_with_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "consensus.key"
    keys.write_secret(place, content)
    with pytest.raises(LocalError, match="KEY_FILE_FORMAT") as raised:
        keys.read_key(place)
    assert content == b"" or content.hex() not in str(raised.value)
    with pytest.raises(OperationalError, match="KEY_FILE_READ"):
        keys.read_key(tmp_path / "missing.key")
