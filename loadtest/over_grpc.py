"""Sending over gRPC: one user, with channels of its own."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc

from loadtest.network import Network
from loadtest.outcome import UNANSWERED, Flooding, Outcome
from seawall.api.v1 import ingestion_pb2 as pb
from seawall.api.v1 import ingestion_pb2_grpc, types_pb2
from seawall.client import Prepared
from seawall.formats.oms import CHUNK_SIZE
from seawall.runtime.status import CODE_KEY

ANSWER_SECONDS_MAX: Final = 60.0
LOST: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class GrpcSender:
    """Brings updates to sites, and follows them until committed or refused."""

    def __init__(self, network: Network) -> None:
        """Connect when a site is first used; every sender has connections of its own."""
        self._network = network
        self._channels: dict[int, grpc.Channel] = {}

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            channel.close()

    def send(self, update: Prepared, site: int) -> Outcome:
        """Send an update; return what became of it."""
        outcome = Outcome()
        try:
            if len(update.payload) > CHUNK_SIZE:
                self._upload(self._stub(site), update, outcome)
            else:
                self._submit(self._stub(site), update, outcome)
        except grpc.RpcError as failure:
            outcome.code = code_of(failure)
        return outcome

    def flood(self, updates: Sequence[Prepared], site: int) -> Flooding:
        """Open uploads that never go on."""
        flooding = Flooding()
        for update in updates:
            try:
                self._open(self._stub(site), update)
            except grpc.RpcError as failure:
                flooding.codes.append(code_of(failure))
            else:
                flooding.codes.append("")
        return flooding

    def _stub(self, site: int) -> Any:  # noqa: ANN401 - the same stub, of synchronous calls
        if site not in self._channels:
            self._channels[site] = self._network.channel(site, "ingestion")
        return ingestion_pb2_grpc.IngestionServiceStub(self._channels[site])

    def _submit(self, stub: Any, update: Prepared, outcome: Outcome) -> None:  # noqa: ANN401 - as above
        whole = pb.WholeUpdate(
            number=1,
            envelope=update.envelope,
            provenance=update.provenance,
            payload=update.payload,
        )
        request = pb.IngestionServiceSubmitRequest(updates=[whole])
        for answer in stub.Submit(iter([request]), timeout=ANSWER_SECONDS_MAX, wait_for_ready=True):
            note(outcome, answer.events)

    def _open(self, stub: Any, update: Prepared) -> pb.OpenResponse:  # noqa: ANN401 - as above
        request = pb.OpenRequest(
            envelope=update.envelope, manifest=update.manifest, provenance=update.provenance
        )
        opened: pb.OpenResponse = stub.Open(
            request, timeout=ANSWER_SECONDS_MAX, wait_for_ready=True
        )
        return opened

    def _upload(self, stub: Any, update: Prepared, outcome: Outcome) -> None:  # noqa: ANN401 - as above
        opened = self._open(stub, update)
        for answer in stub.Upload(_chunks(opened, update.payload), timeout=ANSWER_SECONDS_MAX):
            if answer.refusal.code:
                outcome.code = answer.refusal.code
                return
        finish = pb.FinishRequest(upload_id=opened.upload_id)
        note(outcome, [stub.Finish(finish, timeout=ANSWER_SECONDS_MAX).event])
        watch = pb.WatchRequest(update_ids=[update.update_id])
        for answer in stub.Watch(watch, timeout=ANSWER_SECONDS_MAX):
            note(outcome, answer.events)


def note(outcome: Outcome, events: Sequence[types_pb2.UpdateEvent]) -> None:
    """Take over what events say."""
    now = time.monotonic()
    for event in events:
        if event.stage == types_pb2.UPDATE_STAGE_REFUSED:
            outcome.code = event.refusal.code
            continue
        if outcome.received is None:
            outcome.received = now
        if event.stage == types_pb2.UPDATE_STAGE_COMMITTED:
            outcome.code, outcome.entry_index, outcome.committed = "", event.entry_index, now


def code_of(failure: grpc.RpcError) -> str:
    """Return the code that a call ended with; nobody knows of an update whose call was lost."""
    facts = {one.key: str(one.value) for one in failure.trailing_metadata() or ()}
    status = failure.code()
    return facts.get(CODE_KEY) or (UNANSWERED if status in LOST else f"GRPC_{status.name}")


def _chunks(opened: pb.OpenResponse, payload: bytes) -> Iterator[pb.UploadRequest]:
    """Yield the chunks that a site lacks."""
    bits = int.from_bytes(opened.missing, "little")
    for index in range(-(-len(payload) // CHUNK_SIZE)):
        if bits >> index & 1:
            data = payload[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE]
            yield pb.UploadRequest(upload_id=opened.upload_id, index=index, data=data)
