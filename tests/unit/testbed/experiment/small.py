"""Small experiments as text: four sites of one city, three seconds and a half."""

from seawall.chaos.experiment.reading import Loaded, load

TEXT = """
apiVersion: seawall.dev/v1
kind: Experiment
metadata: {name: small}
spec:
  seed: 3
  topology: {sites: 4, zones: metro}
  workload: {contributors: 8, rate: 40/s, payload: 1KiB}
  phases: {baseline: 1s, hold: 1500ms, recover: 1s}
"""


def small(faults: str = "", extra: str = "", text: str = TEXT) -> Loaded:
    """Return the small experiment with these faults, one a line, and more lines of its spec."""
    lines = "".join(f"    - {fault}\n" for fault in faults.splitlines())
    return load((text + (f"  faults:\n{lines}" if faults else "") + extra).encode())
