"""Write what k8s/ has of the chart: overlays for those who have no helm, ready-made chaos Jobs.

What helm would do by hooks is done by waiting: pods start when the Job has made their keys. A test
compares the files with the chart. Run by `make overlays`; it needs helm.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from seawall.cli.chaos_launch import job_of

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "seawall"
OVERLAYS = ROOT / "k8s" / "overlays"
NAMESPACE = "seawall"
KUBERNETES = "1.29.0"
HELM_SECONDS_MAX = 60
FILES = {"default": (), "edge": ("values-edge.yaml",)}
"""Overlays, and the values of each."""

HOOK = "helm.sh/hook"
CHAOS = ROOT / "k8s" / "chaos"
CHAOS_HEAD = """# For a release named seawall with chaos.enabled, in a namespace that allows it:
#
#   kubectl create -n seawall -f k8s/chaos/{name}.yaml
#   kubectl logs -n seawall -f job/{name}
#   kubectl delete -n seawall -f k8s/chaos/{name}.yaml
#
# Deleting it while it runs lets the runner take its faults back.
"""
HEAD = "# Generated from helm/seawall by `make overlays`; change that instead.\n"


def rendered(
    helm: str, values: tuple[str, ...], more: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return the documents of the chart."""
    command = [helm, "template", "seawall", str(CHART), "--namespace", NAMESPACE]
    command += ["--kube-version", KUBERNETES, "--set", "image.tag=dev", *more]
    command += [word for name in values for word in ("--values", str(CHART / name))]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=HELM_SECONDS_MAX
    )
    return [one for one in yaml.safe_load_all(done.stdout) if one is not None]


def plain(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the documents without helm's hooks, and without the test: apply would run it."""
    for one in documents:
        metadata = one["metadata"]
        notes = metadata.pop("annotations", {})
        if notes.get(HOOK) == "test":
            continue
        kept = {name: text for name, text in notes.items() if not name.startswith(HOOK)}
        if kept:
            metadata["annotations"] = kept
        metadata.setdefault("namespace", NAMESPACE)
        yield one


def text_of(helm: str, values: tuple[str, ...]) -> str:
    """Return the file of one overlay."""
    ordered = sorted(
        plain(rendered(helm, values)), key=lambda one: (one["kind"], one["metadata"]["name"])
    )
    return HEAD + yaml.safe_dump_all(ordered, sort_keys=True, width=100)


def chaos_jobs(helm: str) -> Iterator[tuple[str, str]]:
    """Yield file name and text of a Job for each experiment of k8s/chaos/experiments."""
    runner = ("--set", "chaos.enabled=true")
    documents = rendered(helm, (), runner)
    (cron,) = [one for one in documents if one["kind"] == "CronJob"]
    for path in sorted((CHAOS / "experiments").glob("*.yaml")):
        manifests = job_of(cron["spec"]["jobTemplate"], path.stem, path.read_text("utf-8"), [])
        head = HEAD + CHAOS_HEAD.format(name=path.stem)
        yield path.name, head + yaml.safe_dump_all(manifests, sort_keys=True, width=100)


def files(helm: str) -> Iterator[tuple[Path, str]]:
    """Yield place and text of every file."""
    for name, values in FILES.items():
        yield OVERLAYS / name / "seawall.yaml", text_of(helm, values)
    for name, text in chaos_jobs(helm):
        yield CHAOS / name, text


def main() -> int:
    """Write every overlay, or say which is out of date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    helm = shutil.which("helm")
    if helm is None:
        print("helm is not on the path: see https://helm.sh/docs/intro/install", file=sys.stderr)
        return 2
    old = []
    for place, wanted in files(helm):
        if not place.exists() or place.read_text("utf-8") != wanted:
            old.append(str(place.relative_to(ROOT)))
        if not check:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(wanted, encoding="utf-8")
    if check and old:
        print(f"not what the chart says: {', '.join(old)}; run: make overlays", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
