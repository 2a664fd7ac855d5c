"""Resolve the lock files: hash-pinned, for every platform.

`requirements.lock` runs and builds Seawall from a checkout, `requirements-image.lock` is what the
container image holds, `requirements-dev.lock` contains both, pin for pin. `requirements-load.lock`
is a site and locust, whose packages nothing else needs. Run by `make lock`.
Versions that are already in a lock stay unless `--upgrade` is given. No address is ever written
into a lock: where packages come from is the business of whoever installs them.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "requirements.lock"
IMAGE = "requirements-image.lock"
DEVELOPMENT = "requirements-dev.lock"
LOAD = "requirements-load.lock"
EXTRAS = {
    RUNTIME: ("server", "demo"),
    IMAGE: ("server",),
    DEVELOPMENT: ("server", "demo", "dashboards", "dev"),
    LOAD: ("server", "load"),
}
EARLIER: dict[str, tuple[str, ...]] = {
    RUNTIME: (),
    IMAGE: (RUNTIME,),
    DEVELOPMENT: (RUNTIME, IMAGE),
    LOAD: (RUNTIME, IMAGE, DEVELOPMENT),
}
"""Locks that are resolved before another one, whose pins it takes over."""


def arguments(target: str, *, upgrade: bool) -> list[str]:
    """Return the uv command that writes the lock file `target`."""
    return [
        str(Path(sys.executable).parent / "uv"),
        *("pip", "compile", "pyproject.toml", "--quiet"),
        *("--universal", "--python-version", "3.11"),
        *([] if target in (IMAGE, LOAD) else ["--group", "build"]),
        *(f"--extra={extra}" for extra in EXTRAS[target]),
        *(f"--constraint={name}" for name in EARLIER[target]),
        *(["--upgrade"] if upgrade else []),
        *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"),
        *("--no-annotate", "--custom-compile-command", "make lock"),
        *("--output-file", target),
    ]


def main() -> None:
    """Write all locks, each after those whose pins it takes over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    options = parser.parse_args()
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    for target in EXTRAS:
        print(f"lock: {target}")
        command = arguments(target, upgrade=options.upgrade)
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
