"""What figures depend on: the machine, the file system, the versions."""

import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("grpcio", "protobuf", "PyNaCl", "lmdb", "msgspec", "numpy")


def machine(directory: Path) -> dict[str, str | int]:
    """Return what the figures depend on; sites keep their files below `directory`."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "filesystem": filesystem(directory),
        **{name: version(name) for name in PACKAGES},
    }


def filesystem(directory: Path) -> str:
    """Return the kind of file system that a directory lies on."""
    place, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, found, *_ = line.split()
        inside = directory.resolve().is_relative_to(point)
        if inside and len(point) >= len(place):
            place, kind = point, found
    return kind
