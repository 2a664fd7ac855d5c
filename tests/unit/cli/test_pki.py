"""`seawall pki`: the plan in its forms, and what is said outside of a cluster."""

import json
from pathlib import Path

import pytest

from seawall.cli.main import main
from seawall.runtime.service import ROLES


def write_plan(place: Path) -> str:
    hosts = {role: f"{role}.lab.svc" for role in ROLES}
    sites = [{"pool": "core", "number": at, "zone": "core", "hosts": hosts} for at in range(4)]
    plan = {"name": "sea", "chain": "trial", "port": 7000, "contributors": 1, "sites": sites}
    text = json.dumps(plan, indent=2)
    (place / "plan.json").write_text(text)
    (place / "plan.yaml").write_text(
        "---\n# Source: somewhere\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n"
        "  plan.json: |\n" + "".join(f"    {line}\n" for line in text.splitlines())
    )
    return text


@pytest.mark.parametrize("name", ["plan.json", "plan.yaml"])
def test_manifests_are_printed(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(tmp_path)
    assert main(["pki", "manifests", "--plan", str(tmp_path / name)]) == 0
    names = [one["metadata"]["name"] for one in json.loads(capsys.readouterr().out)["items"]]
    assert names == [
        "sea-core-signing",
        "sea-core-tls",
        "sea-contributors",
        "sea-root",
        "sea-payloads",
        "sea-genesis",
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("kind: ConfigMap\ndata: {}\n", "has no plan.json"),
        ("a: [", "neither JSON nor YAML"),
        ("[]", "object"),
    ],
)
def test_what_is_no_plan_is_refused(
    tmp_path: Path, text: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan").write_text(text)
    assert main(["pki", "manifests", "--plan", str(tmp_path / "plan")]) == 2
    error = capsys.readouterr().err
    assert "PKI_PLAN" in error
    assert hint in error


def test_outside_of_a_cluster_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    write_plan(tmp_path)
    assert main(["pki", "init", "--plan", str(tmp_path / "plan.json")]) == 4
    assert "PKI_API: not in a pod" in capsys.readouterr().err
