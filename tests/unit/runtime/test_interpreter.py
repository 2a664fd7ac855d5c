import json
import subprocess
import sys

from seawall.runtime.interpreter import COLLECTOR_THRESHOLDS, SWITCH_SECONDS

# In a process of its own: the settings are those of the whole interpreter.
SCRIPT = """
import gc, json, sys
from seawall.runtime.interpreter import tune_interpreter
tune_interpreter()
print(json.dumps([gc.get_threshold(), gc.get_freeze_count(), sys.getswitchinterval()]))
"""


def test_a_serving_interpreter_collects_less_and_switches_sooner() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True)
    thresholds, frozen, switch_seconds = json.loads(ran.stdout)
    assert tuple(thresholds) == COLLECTOR_THRESHOLDS
    assert frozen > 1000
    assert switch_seconds == SWITCH_SECONDS
