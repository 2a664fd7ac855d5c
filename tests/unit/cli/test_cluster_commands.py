"""`doctor` and `up` on a cluster, with programs that answer as recorded and note what was asked."""

import json
import os
import sys
from pathlib import Path

import pytest

from seawall.cli.main import main
from tests.tidy.checkout import ROOT

RECORDED = ROOT / "tests" / "unit" / "testbed" / "recorded"
CHART = str(ROOT / "helm" / "seawall")
EDGE = str(ROOT / "helm" / "seawall" / "values-edge.yaml")

PROGRAM = """#!{python}
import json, pathlib, sys
name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
home = pathlib.Path(sys.argv[0]).parent
with (home / "asked").open("a") as asked:
    asked.write(name + " " + " ".join(words) + chr(10))
table = json.loads((home / "answers.json").read_text())
for begin, answer in table.items():
    if (name + " " + " ".join(words)).startswith(begin):
        if isinstance(answer, dict):
            sys.stderr.write(answer["error"])
            sys.exit(1)
        sys.stdout.write(answer)
        sys.exit(0)
sys.stderr.write("no such answer")
sys.exit(9)
"""


class Programs:
    """kubectl, helm and kind in a folder that is the whole path."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in ("kubectl", "helm", "kind"):
            (home / name).write_text(PROGRAM.format(python=sys.executable))
            (home / name).chmod(0o755)
        self.answers: dict[str, object] = {
            "kubectl version": json.dumps({"serverVersion": {"gitVersion": "v1.34.4"}}),
            "kubectl get namespaces": json.dumps({"items": []}),
            "kubectl get nodes": (RECORDED / "nodes.json").read_text("utf-8"),
            "kubectl get storageclasses": (RECORDED / "storageclasses.json").read_text("utf-8"),
            "helm upgrade --install": "NOTES: four sites\n",
            "kind get clusters": "",
            "kind create cluster": "",
            "kind load docker-image": "",
        }
        self.write()

    def write(self) -> None:
        """Let the programs know the answers."""
        (self.home / "answers.json").write_text(json.dumps(self.answers))

    def asked(self, program: str) -> list[str]:
        """Return the command lines of a program."""
        lines = (self.home / "asked").read_text("utf-8").splitlines()
        return [line for line in lines if line.startswith(program)]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    home = tmp_path / "bin"
    home.mkdir()
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.chdir(ROOT)
    return Programs(home)


def test_a_cluster_that_lacks_nothing_passes(
    programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["doctor", "--chart", CHART, "-f", EDGE, "--image", "seawall:dev"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "5 nodes of Kubernetes v1.34.4",
        "nothing is missing",
    ]
    assert len(programs.asked("kubectl")) == 4


def test_findings_come_with_commands_and_an_exit_code(
    programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.answers["kubectl get storageclasses"] = json.dumps({"items": []})
    programs.write()
    assert main(["doctor", "--chart", CHART, "--image", "other:1", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    found = {one["code"]: one["repair"] for one in document["findings"]}
    assert sorted(found) == ["CLUSTER_IMAGE", "CLUSTER_STORAGE"]
    assert all(found.values())


def test_pods_are_asked_for_where_the_namespace_is(programs: Programs) -> None:
    programs.answers["kubectl get namespaces"] = json.dumps(
        {"items": [{"metadata": {"name": "sea", "labels": {}}}]}
    )
    programs.answers["kubectl get pods"] = json.dumps({"items": []})
    programs.write()
    assert main(["doctor", "--chart", CHART, "--namespace", "sea", "--image", "seawall:dev"]) == 0
    (line,) = programs.asked("kubectl get pods")
    assert "--namespace=sea --selector=app.kubernetes.io/instance=seawall" in line


def test_an_api_that_does_not_answer_is_said(
    programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.answers["kubectl version"] = {"error": "connection refused"}
    programs.write()
    assert main(["doctor", "--chart", CHART]) == 4
    assert "CLUSTER_COMMAND: kubectl version: exit code 1: connection refused" in (
        capsys.readouterr().err
    )


def test_a_missing_program_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["doctor", "--chart", CHART]) == 2
    assert "CLUSTER_PROGRAM: kubectl is not on the path: see https://" in capsys.readouterr().err


def test_up_installs_by_helm(programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["up", "--helm", "--chart", CHART, "-f", EDGE, "--image", "seawall:dev"]
    assert main(words) == 0
    assert capsys.readouterr().out == "NOTES: four sites\n"
    (line,) = programs.asked("helm")
    assert line.startswith("helm upgrade --install seawall ")
    assert f"--values {EDGE}" in line
    assert "--set=image.repository=seawall --set=image.tag=dev --wait" in line
    assert programs.asked("kind") == []


def test_up_installs_nothing_where_no_release_would_get_ready(
    programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--helm", "--chart", CHART, "--image", "other:1"]) == 1
    assert "CLUSTER_IMAGE: image other:1 is not on core-0" in capsys.readouterr().out
    assert programs.asked("helm") == []


def test_up_makes_a_cluster_by_kind_once(programs: Programs) -> None:
    assert main(["up", "--kind", "--chart", CHART]) == 0
    assert programs.asked("kind")[1].startswith("kind create cluster --config=k8s/kind/cluster")
    assert programs.asked("kind")[2] == "kind load docker-image seawall:dev --name=seawall"
    assert f"--values {Path(CHART) / 'values-edge.yaml'}" in programs.asked("helm")[0]
    programs.answers |= {"kind get clusters": "seawall\n", "kubectl config use-context": ""}
    programs.write()
    assert main(["up", "--kind", "--chart", CHART]) == 0
    assert [line for line in programs.asked("kind") if "create" in line] == programs.asked("kind")[
        1:2
    ]
    assert programs.asked("kubectl config") == ["kubectl config use-context kind-seawall"]


def test_helm_that_fails_is_quoted(programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    programs.answers["helm upgrade --install"] = {"error": "Error: timed out"}
    programs.write()
    assert main(["up", "--helm", "--chart", CHART, "--image", "seawall:dev"]) == 4
    assert "CLUSTER_COMMAND: helm upgrade: exit code 1: Error: timed out" in capsys.readouterr().err
    assert os.environ["PATH"] == str(programs.home)
