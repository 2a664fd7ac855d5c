"""What the last of the sites does to itself by its fault plane, and how it lies by its settings."""

from collections.abc import Mapping

from bench.faults.network import SITES
from seawall.api.v1 import fault_plane_pb2 as pb

FREEZE_US = 4_000_000
_LINKS = pb.FaultLinks(peers=range(SITES - 1), direction=pb.PARTITION_DIRECTION_BOTH)
_SITES = pb.CALL_FAULT_CALLER_SITES

SPECS: Mapping[str, pb.FaultSpec] = {
    "delay": pb.FaultSpec(delay=pb.DelayFault(links=_LINKS, add_us=50_000, jitter_us=20_000)),
    "loss": pb.FaultSpec(loss=pb.LossFault(links=_LINKS, share=0.05)),
    "gray": pb.FaultSpec(
        gray=pb.GrayFault(links=_LINKS, add_us=50_000, jitter_us=20_000, loss=0.05)
    ),
    "duplicate": pb.FaultSpec(duplicate=pb.DuplicateFault(links=_LINKS, share=0.5)),
    "corrupt": pb.FaultSpec(corrupt=pb.CorruptFault(links=_LINKS, share=0.01)),
    "bandwidth": pb.FaultSpec(bandwidth=pb.BandwidthFault(links=_LINKS, kbit_per_second=500)),
    "reset": pb.FaultSpec(reset=pb.ResetFault(links=_LINKS, interval_us=1_000_000)),
    "slow": pb.FaultSpec(slow=pb.SlowFault(links=_LINKS, pause_us=20_000)),
    "late-calls": pb.FaultSpec(call=pb.CallFault(delay_us=100_000, jitter_us=50_000)),
    "refused-calls": pb.FaultSpec(call=pb.CallFault(callers=[_SITES], refuse=True)),
    "freeze": pb.FaultSpec(freeze=pb.FreezeFault(duration_us=FREEZE_US)),
    "clock": pb.FaultSpec(clock=pb.ClockFault(offset_us=-60_000_000, drift_ppm=200)),
    "slow-disk": pb.FaultSpec(disk=pb.DiskFault(sync_add_us=30_000, sync_sigma=0.5)),
}
"""What is done to one site while it runs, and taken back."""

SCRIPTS: Mapping[str, str] = {
    "censor": "peers = [0]",
    "delay": "rounds = 3",
    "equivocate": "peers = [1]",
    "forge": "",
    "garbage_shares": "",
    "reject_all": "",
    "selective": "peers = [0]",
    "stale_parents": "rounds = 3",
    "two_chains": "peers = [1]",
    "withhold": "peers = [0]",
}
"""Behaviours of `seawall.consensus.byzantine.table`, and the parameters that they get here."""
