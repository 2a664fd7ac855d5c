"""`seawall chaos run FILE --on kubernetes`: a Job of the release's runner, and its verdict."""

import argparse
import datetime as dt
import json
import time
from typing import Any, Final

from seawall.chaos.experiment.reading import Loaded
from seawall.errors import LocalError, OperationalError
from seawall.testbed.kubectl import KUBECTL, objects

CHAOS_LABEL: Final = "seawall.dev/chaos"
EXPERIMENTS: Final = "experiments"
"""The runner's volume that holds what it runs."""

STARTED_SECONDS_MAX: Final = 120.0
ENDED_SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 1.0
NAME_CHARACTERS_MAX: Final = 52


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which release is meant."""
    parser.add_argument("--release", default="seawall", help="with --on kubernetes: its full name")
    parser.add_argument("--namespace", default="seawall", help="default: %(default)s")


def run(arguments: argparse.Namespace, loaded: Loaded) -> int:
    """Create the Job, show what its runner says, and return its exit code.

    Raises:
        LocalError: CHAOS_NAMESPACE, CHAOS_RELEASE, CLUSTER_PROGRAM; nothing was created.
        OperationalError: CLUSTER_COMMAND, CHAOS_JOB.

    """
    place = f"--namespace={arguments.namespace}"
    _require_label(arguments.namespace)
    name = f"{arguments.release}-{loaded.experiment.metadata.name}"
    name = f"{name[:NAME_CHARACTERS_MAX].rstrip('-')}-{dt.datetime.now(dt.UTC):%d%H%M%S}"
    options = [f"--lease={arguments.lease}"]
    options += ["--positive-control"] * arguments.positive_control
    options += [] if arguments.seed is None else [f"--seed={arguments.seed}"]
    template = _template(arguments.release, arguments.namespace)
    manifests = job_of(template, name, arguments.experiment.read_text("utf-8"), options)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    KUBECTL.run("create", "--filename=-", place, text=text)
    try:
        pod = _started(name, place)
        KUBECTL.follow(["logs", "--follow", f"pod/{pod}", place])
        return _exit_code(pod, place)
    except KeyboardInterrupt:
        # SIGTERM lets the runner take its faults back.
        KUBECTL.run("delete", f"job/{name}", f"configmap/{name}", place, seconds=90.0)
        raise


def job_of(
    template: dict[str, Any], name: str, experiment: str, options: list[str]
) -> list[dict[str, Any]]:
    """Return a ConfigMap with an experiment, and a Job of the runner's template that runs it."""
    metadata = {"name": name, "labels": template["metadata"].get("labels", {})}
    spec = json.loads(json.dumps(template["spec"]))
    pod = spec["template"]["spec"]
    for volume in pod["volumes"]:
        if volume["name"] == EXPERIMENTS:
            volume["configMap"] = {"name": name}
    pod["containers"][0]["args"] += options
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"experiment.yaml": experiment},
        },
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec},
    ]


def _require_label(namespace: str) -> None:
    found = json.loads(KUBECTL.run("get", "namespace", namespace, "--output=json"))
    if found["metadata"].get("labels", {}).get(CHAOS_LABEL) != "enabled":
        hint = f"faults are not allowed: kubectl label namespace {namespace} {CHAOS_LABEL}=enabled"
        raise LocalError("CHAOS_NAMESPACE", hint, field="--namespace")


def _template(release: str, namespace: str) -> dict[str, Any]:
    jobs = objects("cronjobs", f"--namespace={namespace}")
    for one in jobs:
        if one["metadata"]["name"] == f"{release}-chaos":
            found: dict[str, Any] = one["spec"]["jobTemplate"]
            return found
    hint = f"there is no runner {release}-chaos: helm upgrade with chaos.enabled=true"
    raise LocalError("CHAOS_RELEASE", hint, field="--release")


def _started(name: str, place: str) -> str:
    """Return the pod of a Job once it has something to say."""
    deadline = time.monotonic() + STARTED_SECONDS_MAX
    while time.monotonic() < deadline:
        for pod in objects("pods", f"--selector=batch.kubernetes.io/job-name={name}", place):
            if pod["status"].get("phase") in ("Running", "Succeeded", "Failed"):
                return str(pod["metadata"]["name"])
        time.sleep(LOOK_SECONDS)
    hint = f"no pod of job {name} starts: kubectl describe job {name} {place}"
    raise OperationalError("CHAOS_JOB", hint)


def _exit_code(pod: str, place: str) -> int:
    deadline = time.monotonic() + ENDED_SECONDS_MAX
    while time.monotonic() < deadline:
        found = json.loads(KUBECTL.run("get", "pod", pod, place, "--output=json"))
        for container in found["status"].get("containerStatuses", ()):
            ended = container["state"].get("terminated")
            if ended is not None:
                return int(ended["exitCode"])
        time.sleep(LOOK_SECONDS)
    raise OperationalError("CHAOS_JOB", f"pod {pod} has not ended: kubectl logs -f {pod} {place}")
