"""The client needs nothing that only a site, the demo or a developer installs."""

import subprocess
import sys
import textwrap

SERVER_ONLY = (
    "cryptography",
    "grpc_health",
    "grpc_reflection",
    "lmdb",
    "orjson",
    "prometheus_client",
    "psutil",
    "pydantic",
    "sklearn",
    "structlog",
    "yaml",
)

PROGRAM = """
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {names!r}:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent())
    {body}
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(PROGRAM).format(names=SERVER_ONLY, body=body)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_client_imports_without_server_extras() -> None:
    done = run("import seawall; seawall.Client; seawall.AsyncClient; print('fine')")
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_the_blocked_modules_are_really_blocked() -> None:
    done = run("import seawall.telemetry.logs")
    assert done.returncode == 1
    assert "structlog" in done.stderr


def test_seawall_alone_stays_light() -> None:
    done = run("import seawall.errors; print('grpc' in sys.modules, 'numpy' in sys.modules)")
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    done = run("import seawall; seawall.Nothing")
    assert done.returncode == 1
    assert "has no attribute 'Nothing'" in done.stderr
