import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.aggregation.rules import golden_digests

ROOT = Path(__file__).parents[4]
GOLDEN = json.loads((ROOT / "tests/golden/aggregation/rules.json").read_text())


def test_rules_give_the_golden_digests() -> None:
    """A changed digest is a changed rule: it needs a new version, never a new golden file."""
    assert golden_digests.digests() == GOLDEN


@pytest.mark.parametrize(
    "environment",
    [
        {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2 FMA3"},
    ],
    ids=["sse3, one thread", "avx2, two threads", "sse4, numpy without avx"],
)
def test_other_kernels_and_threads_give_the_same_bits(environment: dict[str, str]) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "services")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", golden_digests.__file__],
        env={**os.environ, **environment, "PYTHONPATH": paths},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == GOLDEN
