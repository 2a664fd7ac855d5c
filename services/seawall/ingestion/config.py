"""Settings of the ingestion role: every limit that a sender can meet."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from seawall.config import WORKERS_MAX, Settings

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
HttpAddress = Annotated[str, Field(pattern=r"^$|^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):[0-9]{1,5}$")]


class RedisSettings(Settings):
    """The Redis that a site's ingestion workers share.

    Attributes:
        url: redis://HOST:PORT/DB, rediss:// for TLS, or unix://PATH.
        password_file: absolute path of a file with the password and nothing else.
        ca_file: absolute path of the certificates that a rediss:// server is checked with.
        seconds_max: one question to it.
        lease_seconds: how long a claim outlives the worker that took it.

    """

    url: Annotated[str, Field(pattern=r"^(rediss?|unix)://[^@\s]+$", max_length=512)]
    password_file: Path | None = None
    ca_file: Path | None = None
    seconds_max: Annotated[float, Field(gt=0, le=60)] = 1.0
    lease_seconds: Annotated[float, Field(ge=1, le=600)] = 30.0


class IngestionSettings(Settings):
    """Limits and waits of one site's way in.

    Attributes:
        flush_ms: how long an update waits for others before a batch is formed.
        flush_apart_ms: least time between two batches, where updates come that fast.
        flush_busy_ms: how long it waits besides while an earlier batch is under way.
        flush_bytes: bytes that form a batch at once.
        batches_in_flight_max: batches between storage and the hand-over to consensus.
        attest_spare: attesters asked besides the stake that is needed.
        hedge_seconds_min: least silence after which one more attester is asked; it follows what
            answers usually take.
        hedge_seconds_max: most silence after which one more attester is asked.
        attest_seconds_max: wait for one attester's word on a batch.
        batch_seconds_max: all attempts to have a batch certified and taken by consensus.
        suspect_seconds: how long a site that failed is asked last.
        ledger_seconds_max: one call to the own ledger.
        patience_seconds: how long a stream is not read while too much is in flight, before updates
            are refused.
        in_flight_max: updates that are not committed yet.
        in_flight_contributor_max: the same, of one contributor.
        in_flight_bytes_max: payload and statement bytes of updates that are not certified yet.
        streams_max: open Submit, Upload and Watch streams.
        streams_peer_max: the same, of one address.
        message_updates_max: updates in one Submit message.
        events_max: events that wait for one slow reader.
        uploads_max: open uploads.
        uploads_contributor_max: the same, of one contributor.
        uploads_bytes_max: bytes of envelopes and statements of all open uploads.
        upload_idle_seconds: after which an upload without traffic is forgotten.
        stream_idle_seconds: after which a stream ends that is silent and has no update in flight.
        chunks_in_flight_max: chunks of one Upload stream on their way to the disk.
        http_address: host:port at which this role is also served over HTTP, port 0 for any; empty
            for gRPC only.
        http_connections_max: open HTTP connections.
        http_head_seconds_max: from the first byte of a request to its last header.
        http_body_seconds_max: one body, from its first byte to its last.
        http_bodies_bytes_max: bodies of all requests that are under way.
        http_write_seconds_max: for how long a reader may take nothing.
        http_idle_seconds: after which a connection without a request is closed.
        remembered_max: committed or refused updates whose outcome is kept in memory.
        workers: processes that take updates in for this site, behind one client port.
        redis: what they share their state in; needed with more than one.

    """

    flush_ms: Annotated[float, Field(ge=0, le=1000)] = 1.0
    flush_apart_ms: Annotated[float, Field(ge=0, le=1000)] = 30.0
    flush_busy_ms: Annotated[float, Field(ge=0, le=1000)] = 50.0
    flush_bytes: Count = 512 << 10
    batches_in_flight_max: Annotated[int, Field(ge=1, le=256)] = 8
    attest_spare: Annotated[int, Field(ge=0, le=64)] = 0
    hedge_seconds_min: Seconds = 0.1
    hedge_seconds_max: Seconds = 2.0
    attest_seconds_max: Seconds = 40.0
    batch_seconds_max: Seconds = 120.0
    suspect_seconds: Seconds = 2.0
    ledger_seconds_max: Seconds = 10.0
    patience_seconds: Seconds = 2.0
    in_flight_max: Count = 16_384
    in_flight_contributor_max: Count = 1024
    in_flight_bytes_max: Count = 64 << 20
    streams_max: Count = 256
    streams_peer_max: Count = 128
    message_updates_max: Count = 1024
    events_max: Count = 32_768
    uploads_max: Count = 256
    uploads_contributor_max: Count = 8
    uploads_bytes_max: Count = 64 << 20
    upload_idle_seconds: Seconds = 60.0
    stream_idle_seconds: Seconds = 300.0
    chunks_in_flight_max: Annotated[int, Field(ge=1, le=64)] = 4
    http_address: HttpAddress = ""
    http_connections_max: Count = 512
    http_head_seconds_max: Seconds = 10.0
    http_body_seconds_max: Seconds = 30.0
    http_bodies_bytes_max: Annotated[int, Field(ge=2 << 20)] = 32 << 20
    http_write_seconds_max: Seconds = 15.0
    http_idle_seconds: Seconds = 15.0
    remembered_max: Count = 65_536
    workers: Annotated[int, Field(ge=1, le=WORKERS_MAX)] = 1
    redis: RedisSettings | None = None

    @model_validator(mode="after")
    def _workers_share(self) -> Self:
        if self.workers > 1 and self.redis is None:
            raise ValueError("several workers need a Redis: set ingestion.redis.url")
        return self
