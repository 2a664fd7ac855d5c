"""`AggregationService` over gRPC: tasks, heads, versions, and how they came about."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import grpc.aio

from seawall.aggregation.former import Former
from seawall.aggregation.history import Finished
from seawall.aggregation.host import OwnLog, PayloadSource
from seawall.api.v1 import aggregation_pb2, aggregation_pb2_grpc, types_pb2
from seawall.errors import OperationalError, PeerError, SeawallError
from seawall.formats import entry as entries
from seawall.formats.genesis import task_tree
from seawall.formats.jcs import canonical
from seawall.runtime.status import AnyContext, abort

FILTER_HINT = "the task's rule gave this update no influence"


class AggregationServicer(aggregation_pb2_grpc.AggregationServiceServicer):
    """Answers from what the formers have finished."""

    def __init__(
        self,
        formers: Mapping[str, Former],
        log: OwnLog,
        payloads: PayloadSource,
        streams_max: int,
    ) -> None:
        """Answer for these tasks."""
        self._formers = formers
        self._log = log
        self._payloads = payloads
        self._streams_max = streams_max
        self._streams = 0

    async def GetTask(  # noqa: N802 - the contract's name
        self, request: aggregation_pb2.GetTaskRequest, context: AnyContext
    ) -> aggregation_pb2.GetTaskResponse:
        """Return a task as it stands in genesis."""
        try:
            former = self._former(request.task)
        except SeawallError as fault:
            await abort(context, fault)
        return aggregation_pb2.GetTaskResponse(task=canonical(task_tree(former.task)))

    async def GetHead(  # noqa: N802 - the contract's name
        self, request: aggregation_pb2.GetHeadRequest, context: AnyContext
    ) -> aggregation_pb2.GetHeadResponse:
        """Return the newest usable version that this site holds, with its proof."""
        try:
            former = self._former(request.task)
            version = former.done
            shown = await self._log.checkpoint()
            answer = aggregation_pb2.GetHeadResponse(
                version=version.version,
                payload_digest=version.payload,
                payload_size_bytes=version.size_bytes,
                commit_index=version.commit,
                checkpoint_note=shown.note,
                height=shown.height,
                final=version.version <= former.log.final,
            )
            if shown.checkpoint is not None:
                answer.checkpoint_size = shown.checkpoint.size
                answer.checkpoint_root = shown.checkpoint.root
            if version.version:
                assert shown.checkpoint is not None, "entries are read once they are certified"
                entry, proof = await self._log.proven(version.index, shown.checkpoint.size)
                answer.entry = entry
                answer.entry_index = version.index
                answer.entry_proof.extend(proof)
        except SeawallError as fault:
            await abort(context, fault)
        return answer

    async def GetVersion(  # noqa: N802 - the contract's name
        self, request: aggregation_pb2.GetVersionRequest, context: AnyContext
    ) -> AsyncIterator[aggregation_pb2.GetVersionResponse]:
        """Return the payload of a version in chunks."""
        self._streams += 1
        try:
            if self._streams > self._streams_max:
                hint = "too many fetch versions here: ask another site"
                raise PeerError("QUOTA_STREAMS", hint)
            digest, size_bytes = self._payload_of(self._former(request.task), request.version)
            async with aclosing(self._payloads.chunks(digest)) as chunks:
                index = 0
                async for data in chunks:
                    yield aggregation_pb2.GetVersionResponse(
                        index=index, data=data, payload_size_bytes=size_bytes
                    )
                    index += 1
        except SeawallError as fault:
            await abort(context, fault)
        finally:
            self._streams -= 1

    async def Explain(  # noqa: N802 - the contract's name
        self, request: aggregation_pb2.ExplainRequest, context: AnyContext
    ) -> aggregation_pb2.ExplainResponse:
        """Return what went into a version, and with which weight."""
        try:
            former = self._former(request.task)
            row = self._finished(former, request.version)
            if not row.computed:
                hint = "this site took the version from others: ask a site that computed it"
                raise OperationalError("VERSION_PENDING", hint, field="version")
            cut = entries.parse(await self._log.entry(row.cut))
        except SeawallError as fault:
            await abort(context, fault)
        assert isinstance(cut, entries.CutEntry), "the version's entry names its cut"
        return explanation(cut, row)

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        aggregation_pb2_grpc.add_AggregationServiceServicer_to_server(self, server)

    def _former(self, task: str) -> Former:
        former = self._formers.get(task)
        if former is None:
            raise PeerError("TASK_UNKNOWN", "name a task of this chain", field="task")
        return former

    def _finished(self, former: Former, version: int) -> Finished:
        """Return a finished version from 1 on."""
        row = former.history.get(version)
        if row is None:
            if 0 < version <= former.log.head.version or version in former.log.cuts:
                hint = "this site is still forming the version: ask again"
                raise OperationalError("VERSION_PENDING", hint, field="version")
            raise PeerError("VERSION_UNKNOWN", "name a version of this task", field="version")
        return row

    def _payload_of(self, former: Former, version: int) -> tuple[bytes, int]:
        """Return digest and length of a version's payload."""
        if version == 0:
            return former.task.base_payload_digest, former.task.payload_size_bytes
        row = self._finished(former, version)
        return bytes.fromhex(row.payload), row.size_bytes


def explanation(cut: entries.CutEntry, row: Finished) -> aggregation_pb2.ExplainResponse:
    """Return how a version came about."""
    answer = aggregation_pb2.ExplainResponse(
        rule=row.rule_used, payload_digest=bytes.fromhex(row.computed)
    )
    for update, weight, reason in zip(cut.updates, row.weights, row.filtered, strict=True):
        filtered = None
        if reason is not None:
            filtered = types_pb2.Refusal(code=reason, hint=FILTER_HINT)
        answer.updates.add(
            update_id=bytes.fromhex(update.update_id),
            contributor=bytes.fromhex(update.contributor),
            staleness_versions=update.staleness,
            weight_q16=weight,
            filtered=filtered,
        )
    return answer
