"""Faults travel as messages and come back as they were."""

import pytest

from seawall.api.v1 import fault_plane_pb2 as pb
from seawall.chaos.checks import BUFFER_BYTES
from seawall.chaos.faults import (
    KINDS,
    BandwidthFault,
    ByzantineFault,
    Caller,
    CallFault,
    ClockFault,
    CorruptFault,
    CrashFault,
    DelayFault,
    DiskFault,
    DuplicateFault,
    Fault,
    FreezeFault,
    GrayFault,
    LossFault,
    PartitionFault,
    ResetFault,
    SlowFault,
)
from seawall.chaos.messages import decode_fault, encode_fault
from seawall.runtime.faults.links import BOTH, Direction

IN, OUT = (Direction.INBOUND,), (Direction.OUTBOUND,)

FAULTS: tuple[Fault, ...] = (
    CrashFault(id="a", seed=1, experiment="e", point="host.before_send", skip_count=2),
    PartitionFault(id="a", peers=(1, 2), directions=BOTH),
    DelayFault(
        id="a", peers=(1,), directions=IN, add_us=1, jitter_us=2, reorder=0.5, reorder_by_us=3
    ),
    LossFault(id="a", peers=(1,), directions=OUT, share=0.25),
    GrayFault(id="a", peers=(1,), directions=OUT, add_us=1, jitter_us=2, loss=0.5),
    DuplicateFault(id="a", peers=(1,), directions=BOTH, share=0.5),
    CorruptFault(id="a", peers=(1,), directions=BOTH, share=0.5),
    BandwidthFault(id="a", peers=(1,), directions=BOTH, kbit_per_second=8, buffer_bytes=9),
    ResetFault(id="a", peers=(1,), directions=BOTH, interval_us=200_000),
    SlowFault(id="a", peers=(1,), directions=IN, pause_us=4),
    CallFault(
        id="a",
        methods=("LedgerService", "ConsensusService/Submit"),
        callers=(Caller.CLIENTS, Caller.SITES, Caller.OWN_SITE),
        peers=(2,),
        delay_us=5,
        jitter_us=6,
        refuse=True,
    ),
    FreezeFault(id="a", duration_us=7),
    ClockFault(id="a", offset_us=-8, drift_ppm=-9),
    DiskFault(id="a", sync_add_us=1, sync_sigma=0.5, lying=True, full=True),
    ByzantineFault(id="a", behaviour="delay", peers=(1,), rounds=3),
)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.kind for fault in FAULTS])
def test_a_fault_comes_back_as_it_was(fault: Fault) -> None:
    spec = pb.FaultSpec.FromString(encode_fault(fault, 12).SerializeToString())
    assert spec.lease_seconds == 12
    assert spec.WhichOneof("kind") == fault.kind
    assert decode_fault(spec) == fault


def test_every_kind_of_the_contract_is_known() -> None:
    contract = [one.name for one in pb.FaultSpec.DESCRIPTOR.oneofs_by_name["kind"].fields]
    assert [one.kind for one in KINDS] == contract
    assert [fault.kind for fault in FAULTS] == contract


def test_what_is_not_said_has_a_value() -> None:
    links = pb.FaultLinks(peers=[1], direction=pb.PARTITION_DIRECTION_BOTH)
    narrow = pb.FaultSpec(id="a", bandwidth=pb.BandwidthFault(links=links, kbit_per_second=1))
    found = decode_fault(narrow)
    assert isinstance(found, BandwidthFault)
    assert found.buffer_bytes == BUFFER_BYTES
    lie = decode_fault(pb.FaultSpec(id="a", byzantine=pb.ByzantineFault(behaviour="delay")))
    assert isinstance(lie, ByzantineFault)
    assert lie.rounds == 1


def test_values_that_mean_nothing_are_kept_for_the_checks() -> None:
    assert decode_fault(pb.FaultSpec(id="a")) is None
    call = decode_fault(pb.FaultSpec(call=pb.CallFault(callers=[9])))  # type: ignore[list-item]  # no such caller
    assert isinstance(call, CallFault)
    assert call.callers == (None,)
    cut = decode_fault(pb.FaultSpec(partition=pb.PartitionFault(peers=[1])))
    assert isinstance(cut, PartitionFault)
    assert cut.directions == ()
