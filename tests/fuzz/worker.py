"""Fuzzes one target in a process of its own; started by `tests.fuzz.run`.

    python -m tests.fuzz.worker TARGET SECONDS SEED

With Atheris, coverage of `seawall` guides the search and this process ends inside it: 0 when all
properties held. Without it Hypothesis draws inputs.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException

from tests.fuzz.mutation import CORPUS, inputs

if TYPE_CHECKING:
    from tests.fuzz.properties import Target

OUT: Final = Path(__file__).resolve().parents[2] / "out" / "fuzz"
INPUT_BYTES_MAX: Final = 1 << 14
INPUT_SECONDS_MAX: Final = 20
MEMORY_MIB_MAX: Final = 2048
EXAMPLES: Final = 200
"""Inputs that Hypothesis tries between two looks at the clock."""


def main() -> None:
    """Fuzz as the arguments say."""
    name, seconds, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for folder in (_found(name), _crashes(name)):
        folder.mkdir(parents=True, exist_ok=True)
    if find_spec("atheris") is not None:
        _guided(name, seconds, start)
    else:
        _drawn(name, seconds, start)


def _found(name: str) -> Path:
    """Return the folder of inputs that reached something new."""
    return OUT / "corpus" / name


def _crashes(name: str) -> Path:
    """Return the folder of inputs that broke a property."""
    return OUT / "crashes" / name


def _guided(name: str, seconds: int, start: int) -> None:
    """Let Atheris search; does not return."""
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["seawall"]):
        targets = import_module("tests.fuzz.targets")
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-seed={start}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MIB_MAX}",
        f"-artifact_prefix={_crashes(name)}/",
        "-print_final_stats=1",
        str(_found(name)),
        str(CORPUS / name),
    ]
    atheris.Setup(arguments, targets.TARGETS[name])
    atheris.Fuzz()


def _drawn(name: str, seconds: int, start: int) -> None:
    """Let Hypothesis draw spoilt corpus files until the time is over."""
    target: Target = import_module("tests.fuzz.targets").TARGETS[name]
    failing: list[bytes] = []

    def check(data: bytes) -> None:
        failing[:] = [data]
        target(data)

    shape = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    until, tried = monotonic() + seconds, 0
    while monotonic() < until:
        try:
            seed(start + tried)(shape(given(inputs(name))(check)))()
        except HypothesisException:
            raise
        except Exception:
            (_crashes(name) / f"crash-{start + tried}").write_bytes(failing[0])
            raise
        tried += EXAMPLES
    sys.stderr.write(f"stat::number_of_executed_units: {tried}\n")


if __name__ == "__main__":
    main()
