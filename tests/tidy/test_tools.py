import shutil
from pathlib import Path

import pytest

from tests.tidy import checkout
from tools import build_stubs, lock


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a checkout that holds nothing but the contract and a place for its modules."""
    shutil.copytree(checkout.ROOT / "proto", tmp_path / "proto")
    (tmp_path / "services" / build_stubs.CONTRACT).mkdir(parents=True)
    return tmp_path


def test_stubs_are_built_once_and_stale_ones_removed(copy: Path) -> None:
    home = copy / "services" / build_stubs.CONTRACT
    sources = sorted((copy / "proto" / build_stubs.CONTRACT).glob("*.proto"))
    (home / "gone_pb2.py").write_text("", encoding="utf-8")
    (copy / ".mypy_cache").mkdir()
    first = build_stubs.build(copy)
    assert {path.name for path in first} >= {f"{source.stem}_pb2.pyi" for source in sources}
    assert not (home / "gone_pb2.py").exists()
    assert not (copy / ".mypy_cache").exists(), "mypy would go on believing that they are missing"
    assert build_stubs.build(copy) == []
    (home / f"{sources[0].stem}_pb2.py").write_text("changed", encoding="utf-8")
    assert [path.name for path in build_stubs.build(copy)] == [f"{sources[0].stem}_pb2.py"]


def test_the_modules_of_this_checkout_are_those_of_its_contract(tmp_path: Path) -> None:
    build_stubs.compile_into(tmp_path, checkout.ROOT)
    home = checkout.ROOT / "services" / build_stubs.CONTRACT
    fresh = sorted((tmp_path / build_stubs.CONTRACT).iterdir())
    assert fresh
    assert [
        path.name for path in fresh if path.read_bytes() != (home / path.name).read_bytes()
    ] == []


def test_a_contract_that_does_not_compile_stops_the_build(
    copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = copy / "proto" / build_stubs.CONTRACT / "odd.proto"
    odd.write_text("message {", encoding="utf-8")
    with pytest.raises(SystemExit, match="does not compile"):
        build_stubs.build(copy)
    assert "odd.proto" in capfd.readouterr().err


def test_an_empty_contract_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no \.proto file"):
        build_stubs.compile_into(tmp_path, tmp_path)


def test_a_missing_plug_in_is_named() -> None:
    with pytest.raises(SystemExit, match="protoc-gen-nothing is missing"):
        build_stubs.plugin_path("protoc-gen-nothing")


def test_locks_cover_every_extra_that_exists() -> None:
    extras = set(checkout.settings()["project"]["optional-dependencies"])
    development = lock.arguments(lock.DEVELOPMENT, upgrade=False)
    locked = {part for name in lock.EXTRAS for part in lock.arguments(name, upgrade=False)}
    assert {part.removeprefix("--extra=") for part in locked if "--extra=" in part} == extras
    assert "--extra=load" not in development
    assert "--extra=dev" not in lock.arguments(lock.RUNTIME, upgrade=False)
    assert {"--generate-hashes", "--no-emit-index-url", "--universal"} <= set(development)
    assert "--upgrade" in lock.arguments(lock.RUNTIME, upgrade=True)
