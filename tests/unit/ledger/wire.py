"""What the tests of the ledger's RPCs share: real submissions, a reference chain, failed calls."""

from collections.abc import AsyncIterable, Awaitable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest

from seawall.crypto.merkle import EMPTY_ROOT
from seawall.domain.block import UpdateRecord
from seawall.domain.commit import Judgement
from seawall.formats import dsse
from seawall.formats import submission as submissions
from seawall.formats.record import record_of
from seawall.ledger.execution import Delivery
from seawall.ledger.log import Log
from seawall.runtime.status import error_from
from tests.unit.ledger.chain import (
    PAYLOAD_BYTES,
    accepting,
    append,
    block,
    certificate,
    delivery,
    digest,
    key,
    make_genesis,
    origin_of,
    verdict,
    vote,
)
from tests.unit.ledger.memory_store import MemoryStore
from tests.unit.ledger.site import certificate_message, commit_message

if TYPE_CHECKING:
    from seawall.api.v1 import ledger_pb2 as pb
    from seawall.api.v1 import ledger_pb2_grpc

Stub: TypeAlias = "ledger_pb2_grpc.LedgerServiceAsyncStub"

GENESIS = make_genesis()
ORIGIN = origin_of(GENESIS)


def sealed(person: int, seq: int) -> tuple[UpdateRecord, bytes, bytes]:
    """Return a real submission: its record, its envelope, its payload."""
    owner = key(f"person {person}")
    payload = sha256(f"{person} {seq}".encode()).digest() * 40
    payload = payload[:PAYLOAD_BYTES]
    made = submissions.Submission(
        origin=ORIGIN,
        task="digits",
        kind="delta",
        base_version=0,
        base_digest=digest("base digits"),
        contributor=sha256(owner.public).digest(),
        seq=seq,
        expires_height=900,
        checkpoint_size=0,
        checkpoint_root=EMPTY_ROOT,
        payload_digest=sha256(payload).digest(),
        payload_size=len(payload),
        manifest_digest=None,
        provenance_digest=None,
        num_examples=5,
        metrics=(),
    )
    update_id = submissions.update_id(submissions.to_payload(made))
    envelope = dsse.encode(submissions.seal(made, owner))
    return record_of(made, update_id, 0), envelope, payload


UPDATES = [sealed(person, 1) for person in range(1, 4)]
RECORDS = [one[0] for one in UPDATES]


class Chain:
    """A reference log beside the role: says what must be answered, and signs for the sites."""

    def __init__(self) -> None:
        """Start with genesis."""
        self.log = Log(MemoryStore(), GENESIS, ORIGIN)
        self.requests: list[pb.AppendRequest] = []

    def commit(
        self, *blocks: object, clock_ms: int | None = None, rejected: Sequence[UpdateRecord] = ()
    ) -> None:
        """Add a commit that accepts what its blocks hold, and rejects some updates by vote."""
        accepted = accepting(*blocks)  # type: ignore[arg-type]  # blocks
        refusing = (verdict(Judgement.REJECT, *rejected, rule=2),) if rejected else ()
        made = delivery(
            self.log.head.index + 1,
            *blocks,  # type: ignore[arg-type]  # blocks
            clock_ms=clock_ms,
            verdicts=accepted + refusing,
        )
        self.append(made)

    def append(self, made: Delivery) -> None:
        """Add a commit that is made already."""
        append(self.log, made)
        self.requests.append(commit_message(made, ORIGIN))

    def certify(self) -> None:
        """Add a certificate for the last commit."""
        head = self.log.head
        self.requests.append(certificate_message(certificate(head.index, head.row, ORIGIN)))

    def answer(self, index: int) -> tuple[int, int, bytes]:
        """Return what a commit is answered with."""
        row = self.log.row(index)
        assert row is not None
        return index, row.tree_size, row.root


def three_commits() -> Chain:
    """Return a chain whose third commit makes a version of the first one's updates."""
    chain = Chain()
    chain.commit(block(0, RECORDS))
    chain.commit()
    chain.commit(*[block(at, (), [vote(1, "v1")]) for at in range(2)])
    chain.certify()
    return chain


async def drain(call: AsyncIterable[object]) -> None:
    """Read a stream to its end."""
    async for _ in call:
        pass


async def code_of(call: Awaitable[object]) -> tuple[str, grpc.StatusCode]:
    """Return with which code and status a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return error_from(failed.value).code, failed.value.code()
