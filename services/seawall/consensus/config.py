"""Settings of the consensus role; what all sites must agree on stands in genesis instead."""

from typing import Annotated

from pydantic import Field

from seawall.config import Settings

Seconds = Annotated[float, Field(gt=0, le=3600)]
Count = Annotated[int, Field(gt=0, le=1 << 20)]
Bytes = Annotated[int, Field(ge=1 << 16, le=1 << 50)]


class ByzantineScript(Settings):
    """One way in which a replica is to lie, for experiments; see `consensus.byzantine.table`.

    Attributes:
        behaviour: its name in the table.
        peers: sites that it concerns, by their index.
        rounds: for how many rounds, where that means something.

    """

    behaviour: str
    peers: tuple[Annotated[int, Field(ge=0, lt=1 << 16)], ...] = ()
    rounds: Annotated[int, Field(ge=1, le=1 << 10)] = 1


class ConsensusSettings(Settings):
    """Limits of one replica's host.

    Attributes:
        heartbeat_seconds: a link that has sent nothing for so long sends a heartbeat.
        silence_seconds_max: a link that has heard nothing for so long ends; so does one whose
            write has not gone out for so long.
        hello_seconds_max: time for the two hellos of a new link.
        frame_address: host:port on which other sites may dial links without gRPC around them, port
            0 for any; empty for gRPC only.
        reconnect_seconds_min, reconnect_seconds_max: back-off between attempts to dial, doubling.
        peer_queue_messages_max, peer_queue_bytes_max: what may wait for a slow reader before
            its link is ended; it subscribes anew when it is back.
        peer_inflight_messages_max: messages of one peer that wait for the replica.
        events_per_step_max: events that one journal sync covers.
        outputs_max: outputs of the replica that may wait for the event loop.
        pending_batches_max, pending_updates_max, pending_transactions_max: what may be handed in
            and not delivered yet; more is refused with QUOTA_CONSENSUS.
        ledger_window_commits: commits sent to the ledger and not answered.
        ledger_lag_commits_max: commits that the ledger may be behind before nothing more is
            handed in.
        history_bytes_max: size of the log of delivered commits.
        segment_bytes_max: size of one segment of journal and commit log.
        byzantine: ways in which this replica lies, in their order; refused unless chaos is
            enabled for the process.

    """

    heartbeat_seconds: Seconds = 2.0
    silence_seconds_max: Seconds = 10.0
    hello_seconds_max: Seconds = 5.0
    frame_address: str = ""
    reconnect_seconds_min: Seconds = 0.1
    reconnect_seconds_max: Seconds = 5.0
    peer_queue_messages_max: Count = 1024
    peer_queue_bytes_max: Bytes = 32 << 20
    peer_inflight_messages_max: Count = 64
    events_per_step_max: Count = 256
    outputs_max: Count = 64
    pending_batches_max: Count = 512
    pending_updates_max: Count = 32_768
    pending_transactions_max: Count = 512
    ledger_window_commits: Count = 64
    ledger_lag_commits_max: Count = 256
    history_bytes_max: Bytes = 1 << 30
    segment_bytes_max: Bytes = 64 << 20
    byzantine: tuple[ByzantineScript, ...] = ()
