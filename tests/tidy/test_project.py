import re
import textwrap
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.tidy import checkout
from tools import coverage_gates, error_codes, lock

ADDRESS = re.compile(r"https?://|--find-links|--index-url|--extra-index-url|@ file:")


def layers(contract: dict[str, Any]) -> list[str]:
    """Return the packages that the layers contract names, optional ones included."""
    return [name.strip(" ()") for layer in contract["layers"] for name in layer.split("|")]


def packages() -> list[str]:
    """Return the names right below `seawall` that hold committed Python files."""
    parts = [path.relative_to(checkout.PACKAGE) for path in checkout.python_files(checkout.PACKAGE)]
    return sorted({path.parts[0].removesuffix(".py") for path in parts} - {"__init__"})


def unnamed(contract: dict[str, Any], names: list[str]) -> list[str]:
    """Return the packages that the layers contract does not name."""
    return [name for name in names if name not in layers(contract)]


def test_layers_name_every_package_and_stay_exhaustive() -> None:
    contract = checkout.contract("layers")
    assert contract["exhaustive"] is True
    assert unnamed(contract, packages()) == []


def test_an_unnamed_package_is_found() -> None:
    assert unnamed(checkout.contract("layers"), ["errors", "attic"]) == ["attic"]


def undescribed(page: str, names: list[str]) -> list[str]:
    """Return the packages that have no row in a page's table of layers."""
    table = "\n".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `"))
    return [name for name in names if f"`{name}`" not in table]


def test_the_architecture_describes_every_package() -> None:
    page = (checkout.ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert undescribed(page, packages()) == []
    assert undescribed(page, ["errors", "attic"]) == ["attic"]


def test_services_are_independent_of_each_other() -> None:
    services = {"consensus", "ledger", "integrity", "ingestion", "aggregation"}
    shared = [layer for layer in checkout.contract("layers")["layers"] if "ledger" in layer]
    assert len(shared) == 1
    assert services <= set(shared[0].replace("(", "").replace(")", "").split(" | "))


def missing_cores(named: list[str]) -> list[str]:
    """Return the cores that exist and are not among the modules `named`."""
    return [
        module
        for module in checkout.PURE_BY_DESIGN
        if checkout.place_of(module).exists() and module not in named
    ]


def test_the_purity_contract_names_every_core_that_exists() -> None:
    assert missing_cores(checkout.contract("pure")["source_modules"]) == []


def test_a_missing_core_is_found() -> None:
    named = checkout.contract("pure")["source_modules"]
    assert missing_cores([name for name in named if name != "seawall.crypto"]) == ["seawall.crypto"]


def test_the_coverage_gate_covers_the_pure_cores() -> None:
    cores = coverage_gates.pure_cores(checkout.ROOT / "pyproject.toml")
    assert cores == sorted(checkout.contract("pure")["source_modules"])


def write_package(home: Path, name: str, body: str) -> None:
    """Write one module that the coverage gate is tried on."""
    place = home / "seawall" / "crypto"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.py").write_text(textwrap.dedent(body), encoding="utf-8")


def test_the_coverage_gate_sees_an_untaken_branch(tmp_path: Path) -> None:
    write_package(tmp_path, "full", "x = 1\n")
    write_package(tmp_path, "half", "x = 1\nif x == 2:\n    y = 3\n")
    data = coverage.Coverage(data_file=None, branch=True, config_file=False)
    files = sorted((tmp_path / "seawall" / "crypto").glob("*.py"))
    with data.collect():
        for path in files:
            exec(compile(path.read_text("utf-8"), str(path), "exec"), {})  # noqa: S102 - own code
    full, _ = coverage_gates.measure(data, ["*/seawall/crypto/full.py"])
    both, table = coverage_gates.measure(data, coverage_gates.patterns(["seawall.crypto"]))
    nothing, _ = coverage_gates.measure(data, ["*/seawall/absent/*.py"])
    assert full == nothing == coverage_gates.PURE_PERCENT_MIN
    assert both < coverage_gates.PURE_PERCENT_MIN
    assert "half.py" in table


def test_build_requirements_are_the_build_group() -> None:
    settings = checkout.settings()
    assert settings["build-system"]["requires"] == settings["dependency-groups"]["build"]


def loose_pins(lock: str) -> list[str]:
    """Return what a lock file must not have: requirements without version or hash, addresses."""
    entries = re.split(r"\n(?=\S)", lock)
    bad = [entry.splitlines()[0] for entry in entries if ADDRESS.search(entry)]
    for entry in entries:
        pinned = re.match(r"[\w.-]+(?:\[[\w,-]+\])?==\S", entry)
        if not entry.startswith("#") and not (pinned and "--hash=sha256:" in entry):
            bad.append(entry.splitlines()[0])
    return bad


@pytest.mark.parametrize("name", lock.EXTRAS)
def test_locks_pin_by_version_and_hash_without_addresses(name: str) -> None:
    assert loose_pins((checkout.ROOT / name).read_text("utf-8").strip()) == []


@pytest.mark.parametrize(
    "plant", ["numpy>=2", "numpy==2.4.6", "--index-url https://example.org", "x @ file:///x"]
)
def test_a_loose_pin_is_found(plant: str) -> None:
    assert loose_pins(plant) != []


def pins(name: str) -> set[str]:
    """Return the pinned requirements of a lock, without hashes."""
    lines = (checkout.ROOT / name).read_text("utf-8").splitlines()
    return {line.removesuffix("\\").strip() for line in lines if line and line[0] not in "# "}


@pytest.mark.parametrize(
    ("name", "earlier"), [(name, one) for name, ones in lock.EARLIER.items() for one in ones]
)
def test_locks_take_over_the_pins_of_earlier_ones(name: str, earlier: str) -> None:
    held = {pin.partition(";")[0].strip() for pin in pins(name)}
    given = {pin.partition(";")[0].strip() for pin in pins(earlier)}
    if name == lock.DEVELOPMENT:
        assert given - held == set()
    elif name == lock.LOAD:
        # It has packages of its own, and shares others.
        packages = {pin.partition("==")[0] for pin in given}
        shared = {pin for pin in held if pin.partition("==")[0] in packages}
        assert shared
        assert shared - given == set()
    else:
        assert held - given == set(), "the image holds nothing that a checkout does not run with"


def test_the_image_is_built_from_what_its_context_holds() -> None:
    text = (checkout.ROOT / "Dockerfile").read_text("utf-8")
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    copied = {name for line in sources for name in line.split()}
    ignored = (checkout.ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert {lock.IMAGE, lock.RUNTIME, lock.LOAD} <= copied
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)$((?:\n(?!FROM).*)*)", text, re.MULTILINE))
    started = [name for name, body in stages.items() if "ENTRYPOINT" in body]
    assert started == ["load", "site"], "the last one is built where no target is named"
    assert all("\nUSER 10001:10001\nENTRYPOINT" in stages[name] for name in started)


def test_every_error_code_is_on_its_page() -> None:
    page = error_codes.PAGE.read_text("utf-8")
    assert [name for name in error_codes.collect() if f"| `{name}` |" not in page] == []


def test_every_error_code_has_exactly_one_area() -> None:
    codes = error_codes.collect().values()
    assert [code.name for code in codes if code.area not in error_codes.AREAS] == []
    page = error_codes.render(error_codes.collect())
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted({code.name for code in codes})


def plant(home: Path, source: str) -> dict[str, error_codes.Code]:
    """Return the codes of a package that has one planted module."""
    package = home / "seawall"
    package.mkdir()
    (package / "planted.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return error_codes.collect(package)


def test_codes_are_read_with_fault_and_hint(tmp_path: Path) -> None:
    codes = plant(
        tmp_path,
        """
        class OddError(PeerError): ...

        def refuse(code, offset): return LocalError(code, "here", offset=offset)

        raise OddError("ST_ODD", f"at most {most} of them")
        hint = "named"
        raise OperationalError("ST_NAMED", hint)
        raise refuse("ST_BUILT", 3)
        table = {"key": "ST_TABLE"}
        other = "PAGE_STATUS"
        """,
    )
    assert sorted(codes) == ["ST_BUILT", "ST_NAMED", "ST_ODD", "ST_TABLE"]
    assert codes["ST_ODD"].faults == {"input"}
    assert codes["ST_ODD"].hints == {"at most … of them"}
    assert codes["ST_NAMED"].hints == {"named"}
    assert codes["ST_BUILT"].faults == {"caller"}
    assert "| `ST_TABLE` |" in error_codes.render(codes)


def test_a_code_without_an_area_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"NOWHERE_AT_ALL in seawall\.planted"):
        plant(tmp_path, 'raise PeerError("NOWHERE_AT_ALL", "hint")')
