"""Check chart, image and manifests with linters of others: `make check-chart`.

helm lint --strict, kubernetes-validate for the oldest and the newest version, checkov, hadolint,
yamllint; each over every shape of the chart. What a linter finds is repaired, or its rule stands in
`ACCEPTED` with the reason.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "seawall"
VERSIONS = ("1.29", "1.37")
"""The oldest that the chart claims, and the newest that is out."""

SECONDS_MAX = 900
WRITTEN = (
    "helm/seawall/values.yaml",
    "helm/seawall/values-edge.yaml",
    "helm/seawall/Chart.yaml",
    "helm/seawall/ci",
    "experiments",
    "k8s/kind",
    "k8s/k3s",
    "k8s/kubeedge",
    "k8s/chaos/experiments",
    "bench/cluster/load.yaml",
)
"""YAML that people write; templates are no YAML before they are rendered."""

ACCEPTED: Mapping[str, str] = {
    "CKV_K8S_21": "manifests of a chart have no namespace of their own: helm -n says which",
    "CKV_K8S_11": "a CPU limit throttles a replica for longer than a round takes",
    "CKV_K8S_43": "a checkout is tried by tag; a release pins image.tag=TAG@sha256:...",
    "CKV_K8S_15": "edge nodes start from images that were loaded into them, without a registry",
    "CKV_K8S_38": "these ask the API server: who makes the keys, the chaos runner, and Prometheus",
    "CKV_K8S_8": "the pod of helm test runs once and ends",
    "CKV_K8S_9": "the pod of helm test runs once and ends",
    "CKV_DOCKER_7": "the base image is a build argument with a tag, python:3.11-slim",
    "CKV_DOCKER_2": "Kubernetes probes each process by gRPC; one image serves many of them",
}
"""Rules of checkov that are not followed, and why."""


def program(name: str) -> str:
    """Return a program of this environment, or of the path.

    Raises:
        SystemExit: it is nowhere.

    """
    found = shutil.which(str(Path(sys.executable).parent / name)) or shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is missing; make check-chart installs it, but for helm")
    return found


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a linter."""
    return subprocess.run(
        list(map(str, words)),
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        cwd=ROOT,
    )


def complaint(done: subprocess.CompletedProcess[str], what: str) -> Iterator[str]:
    """Yield what a linter said when it was not content."""
    if done.returncode != 0:
        yield f"{what}:\n{(done.stdout + done.stderr).strip()}"


def shapes() -> list[Path]:
    """Return the values of every shape of the chart."""
    return [*sorted(CHART.glob("ci/*-values.yaml")), CHART / "values-edge.yaml"]


def of_shape(shape: Path, rendered: Path) -> Iterator[str]:
    """Yield what is wrong with the chart in one shape; write its manifests."""
    helm = program("helm")
    yield from complaint(run(helm, "lint", "--strict", CHART, "-f", shape), f"helm lint {shape}")
    words = ("template", "seawall", CHART, "-n", "seawall", "-f", shape)
    done = run(helm, *words, "--kube-version", f"{VERSIONS[0]}.0")
    yield from complaint(done, f"helm template {shape}")
    rendered.write_text(done.stdout, encoding="utf-8")
    for version in VERSIONS:
        validate = program("kubernetes-validate")
        found = run(validate, "-k", version, "--strict", rendered)
        yield from complaint(found, f"kubernetes-validate {version} {shape.name}")


def checkov(place: Path, framework: str) -> Iterator[str]:
    """Yield the rules of checkov that fail and are not accepted."""
    flag = "-f" if place.is_file() else "-d"
    words = ("--framework", framework, "--quiet", "--compact", "--skip-download", "-o", "json")
    done = run(program("checkov"), flag, place, *words)
    if not done.stdout.strip():
        yield f"checkov {place.name} says nothing:\n{done.stderr[-2000:]}"
        return
    for rule, name, where in failures(json.loads(done.stdout)):
        if rule not in ACCEPTED:
            yield f"checkov {rule} at {where}: {name}"


def failures(document: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - JSON of a linter
    """Yield rule, name and place of every failed check."""
    for part in document if isinstance(document, list) else [document]:
        for one in part.get("results", {}).get("failed_checks", ()):
            yield one["check_id"], one["check_name"], one["resource"]


def findings() -> Iterator[str]:
    """Yield everything that any linter finds."""
    with tempfile.TemporaryDirectory() as scratch:
        manifests = Path(scratch)
        for shape in shapes():
            yield from of_shape(shape, manifests / shape.name)
        yield from checkov(manifests, "kubernetes")
    yield from checkov(ROOT / "Dockerfile", "dockerfile")
    yield from complaint(run(program("hadolint"), "Dockerfile"), "hadolint")
    yield from complaint(run(program("yamllint"), "--strict", *WRITTEN), "yamllint")


def main() -> int:
    """Print what was found; return 1 when something was."""
    found = list(findings())
    print("\n".join([*found, f"{len(found)} findings, {len(ACCEPTED)} rules set aside"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
