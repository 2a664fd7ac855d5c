"""Resolve `requirements.lock` and `requirements-dev.lock`: hash-pinned, for every platform.

Run by `make lock`. Versions that are already in a lock stay unless `--upgrade` is given. The
development lock contains the runtime lock, pin for pin. No address is ever written into a lock:
where packages come from is the business of whoever installs them.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "requirements.lock"
DEVELOPMENT = "requirements-dev.lock"
SHARED_EXTRAS = ("server", "demo")


def arguments(target: str, *, upgrade: bool) -> list[str]:
    """Return the uv command that writes the lock file `target`."""
    development = target == DEVELOPMENT
    extras = [*SHARED_EXTRAS, *(["dev"] if development else [])]
    return [
        str(Path(sys.executable).parent / "uv"),
        *("pip", "compile", "pyproject.toml", "--quiet"),
        *("--universal", "--python-version", "3.11"),
        *("--group", "build"),
        *(f"--extra={extra}" for extra in extras),
        *(["--constraint", RUNTIME] if development else []),
        *(["--upgrade"] if upgrade else []),
        *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"),
        *("--no-annotate", "--custom-compile-command", "make lock"),
        *("--output-file", target),
    ]


def main() -> None:
    """Write both locks, the runtime one first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    options = parser.parse_args()
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    for target in (RUNTIME, DEVELOPMENT):
        print(f"lock: {target}")
        command = arguments(target, upgrade=options.upgrade)
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
