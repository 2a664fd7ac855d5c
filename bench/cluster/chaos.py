"""Chaos experiments on the release, each by a Job of its runner, judged by their exit codes."""

import sys
from pathlib import Path
from typing import Final

from bench.cluster.kube import StepError, run
from bench.cluster.release import RELEASE, Release

EXPERIMENTS: Final = Path(__file__).resolve().parents[2] / "k8s" / "chaos" / "experiments"
EXPERIMENT_SECONDS_MAX: Final = 420.0
PASS: Final = 0
DEGRADED: Final = 1
LINES: Final = 14


def experiment(release: Release, name: str) -> str:
    """Run an experiment as a user would, and return its verdict.

    A service level that is missed is noted: how fast a cluster is, is not what is tried here.

    Raises:
        StepError: an invariant does not hold, the run says nothing, or a fault is left.

    """
    command = [sys.executable, "-m", "seawall.cli.main", "chaos", "run"]
    command += [str(EXPERIMENTS / f"{name}.yaml"), "--on", "kubernetes"]
    command += ["--release", RELEASE, "--namespace", release.namespace.name]
    seconds = EXPERIMENT_SECONDS_MAX * release.namespace.patience
    done = run(command, seconds)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode not in (PASS, DEGRADED):
        raise StepError(f"exit code {done.returncode}: " + "\n".join(lines[-LINES:]))
    release.wait()
    seen = [line.strip() for line in lines if " seen: " in line]
    verdict = "PASS" if done.returncode == PASS else "DEGRADED"
    return f"{verdict}; {'; '.join(seen) or 'no fault was seen'}"
