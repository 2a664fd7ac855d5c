"""What workers of one ingestion share, checked on each implementation against one model."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from seawall.crypto.hashing import sha256
from seawall.errors import PeerError
from seawall.formats.oms import CHUNK_SIZE
from seawall.ingestion import redis_scripts
from seawall.ingestion.claims import Claim
from seawall.ingestion.shared import Shared
from seawall.ingestion.uploads import Upload
from tests.cases.authors import WIDE
from tests.cases.redis_server import needs_redis
from tests.contract.sharing import LIMITS, Loop, Model, Workers, code, one_redis, own_memory
from tests.unit.ingestion.known import admitted, author

Opening = Callable[[Path], AbstractContextManager[Workers]]

OPENINGS = [
    pytest.param(own_memory, id="memory"),
    pytest.param(one_redis, id="redis", marks=needs_redis),
]
WIDES = tuple(admitted(author(at % 2).update(WIDE, seq=at)) for at in range(1, 6))
REST = WIDE.payload_size_bytes - 2 * CHUNK_SIZE
SIZES = (CHUNK_SIZE, CHUNK_SIZE, REST)
HOSTS = ("ipv4:192.0.2.1", "ipv6:[2001:db8::1]")

workers = st.integers(0, 2)


def claim_of(owner: int, seq: int, payload: int) -> Claim:
    return Claim(
        update_id=sha256(b"%d %d %d" % (owner, seq, payload)),
        contributor=sha256(b"owner %d" % owner),
        seq=seq,
        payload_digest=sha256(b"payload %d" % payload),
    )


claims = st.builds(claim_of, st.integers(0, 1), st.integers(1, 3), st.integers(1, 3))


@dataclass
class Session:
    """An upload as the model knows it."""

    at: int
    upload_id: bytes
    missing: list[int]
    writing: list[int] = field(default_factory=list)


class Sharing(RuleBasedStateMachine):
    """Workers claim, upload and stream at the same time; some die, and what is shared is lost."""

    shared_by: Workers

    def __init__(self) -> None:
        super().__init__()
        self.run = Loop()
        self.live: list[Shared] = []
        self.gone: list[Shared] = []
        self.slots: list[int] = []
        self.lives = 0
        limit = LIMITS["in_flight_contributor_max"]
        assert isinstance(limit, int)
        self.model = Model(limit, remembers_used=self.shared_by.remembers_used)
        self.sessions: dict[int, Session] = {}
        self.streams: list[tuple[int, str, AbstractAsyncContextManager[None]]] = []

    @initialize()
    def begin(self) -> None:
        """Start the workers."""
        self.run(self.shared_by.lose(()))
        for _ in range(self.shared_by.count):
            self._enter()

    def _enter(self) -> None:
        self.live.append(self.shared_by.new())
        self.slots.append(self.lives)
        self.lives += 1

    def _pick(self, worker: int) -> tuple[Shared, int]:
        at = worker % len(self.live)
        return self.live[at], self.slots[at]

    def _settle(self) -> None:
        self.run(self.shared_by.settle(self.live))

    # --- claims ----------------------------------------------------------------------------------

    @rule(worker=workers, wanted=st.lists(claims, min_size=1, max_size=3))
    def claim(self, worker: int, wanted: list[Claim]) -> None:
        """Claim some updates."""
        shared, life = self._pick(worker)
        answers = []
        for one in wanted:
            expected = self.model.expected(one, life)
            (answer,) = self.run(shared.claim([one]))
            assert code(answer) in (expected or ("",)), (code(answer), expected)
            if not expected:
                self.model.take(one, life)
            answers.append(answer)
        for one, answer in zip(wanted, answers, strict=True):
            if answer is None:
                shared.claims.confirm(one)
        self._settle()

    @precondition(lambda self: self.model.holders)
    @rule(worker=workers, data=st.data(), rival=st.booleans())
    def claim_what_is_held(self, worker: int, data: st.DataObject, rival: bool) -> None:  # noqa: FBT001 - drawn
        """Claim an update that is held, or one under its number."""
        held = data.draw(st.sampled_from(list(self.model.holders)))
        self.claim(worker, [claim_of(*self.rival_of(held))] if rival else [held])

    @staticmethod
    def rival_of(claim: Claim) -> tuple[int, int, int]:
        """Return owner, number and payload of another update under the number of this one."""
        names = [
            (owner, claim.seq, payload)
            for owner in range(2)
            for payload in range(1, 4)
            if sha256(b"owner %d" % owner) == claim.contributor
            and claim_of(owner, claim.seq, payload) != claim
        ]
        return names[0]

    @rule(worker=workers, data=st.data(), used=st.booleans())
    def drop(self, worker: int, data: st.DataObject, used: bool) -> None:  # noqa: FBT001 - drawn
        """Drop a claim."""
        shared, life = self._pick(worker)
        held = [one for one, holders in self.model.holders.items() if life in holders]
        if held:
            claim = data.draw(st.sampled_from(held))
            shared.claims.drop(claim, used=used)
            self.model.drop(claim, life, used=used)
            self._settle()

    # --- uploads ---------------------------------------------------------------------------------

    @rule(worker=workers, at=st.integers(0, 4), missing=st.sets(st.integers(0, 2)))
    def open(self, worker: int, at: int, missing: set[int]) -> None:
        """Open an upload, or one that is open."""
        shared, _ = self._pick(worker)
        known = self.sessions.get(at)
        full = len(self.sessions) >= 3 or sum(one % 2 == at % 2 for one in self.sessions) >= 2
        upload, refused = None, ""
        try:
            upload = self.run(shared.sessions.open(WIDES[at], sorted(missing)))
        except PeerError as refusal:
            refused = refusal.code
        assert refused == ("QUOTA_UPLOADS" if known is None and full else "")
        if upload is None:
            return
        if known is None:
            self.sessions[at] = Session(at, upload.upload_id, sorted(missing))
        else:
            assert upload.upload_id == known.upload_id
            known.missing = sorted(missing)

    @precondition(lambda self: self.sessions)
    @rule(worker=workers, data=st.data(), index=st.integers(0, 3), short=st.booleans())
    def chunk_begins(self, worker: int, data: st.DataObject, index: int, short: bool) -> None:  # noqa: FBT001 - drawn
        """Take a chunk for writing."""
        session = data.draw(st.sampled_from(list(self.sessions.values())))
        shared, _ = self._pick(worker)
        upload = self._found(shared, session)
        size = SIZES[index % 3] - short
        answer = code(self.run(shared.sessions.begin(upload, index, size)))
        if index not in session.missing or index in session.writing:
            assert answer == "CHUNK_ORDER"
        elif short:
            assert answer == "CHUNK_LENGTH"
        else:
            assert answer == ""
            session.writing.append(index)

    @precondition(lambda self: any(one.writing for one in self.sessions.values()))
    @rule(worker=workers, data=st.data(), stored=st.booleans())
    def chunk_ends(self, worker: int, data: st.DataObject, stored: bool) -> None:  # noqa: FBT001 - drawn
        """Give a chunk back."""
        written = [one for one in self.sessions.values() if one.writing]
        session = data.draw(st.sampled_from(written))
        shared, _ = self._pick(worker)
        upload = self._found(shared, session)
        index = session.writing.pop()
        self.run(shared.sessions.end(upload, index, stored=stored))
        if stored and index in session.missing:
            session.missing.remove(index)

    @precondition(lambda self: self.sessions)
    @rule(worker=workers, data=st.data(), missing=st.sets(st.integers(0, 2)))
    def refill(self, worker: int, data: st.DataObject, missing: set[int]) -> None:
        """Learn that other chunks are missing."""
        session = data.draw(st.sampled_from(list(self.sessions.values())))
        shared, _ = self._pick(worker)
        upload = self._found(shared, session)
        self.run(shared.sessions.refill(upload, sorted(missing)))
        session.missing = sorted(missing)

    @precondition(lambda self: any(not one.writing for one in self.sessions.values()))
    @rule(worker=workers, data=st.data())
    def close(self, worker: int, data: st.DataObject) -> None:
        """Close an upload."""
        idle = [one for one in self.sessions.values() if not one.writing]
        session = data.draw(st.sampled_from(idle))
        shared, _ = self._pick(worker)
        self.run(shared.sessions.close(self._found(shared, session)))
        del self.sessions[session.at]
        assert self.run(shared.sessions.find(session.upload_id)) is None

    def _found(self, shared: Shared, session: Session) -> Upload:
        upload = self.run(shared.sessions.find(session.upload_id))
        assert upload is not None
        assert upload.admitted == WIDES[session.at]
        assert sorted(upload.missing) == session.missing
        assert sorted(upload.writing) == sorted(session.writing)
        return upload

    # --- streams ---------------------------------------------------------------------------------

    @rule(worker=workers, host=st.sampled_from(HOSTS))
    def stream_begins(self, worker: int, host: str) -> None:
        """Open a stream."""
        shared, life = self._pick(worker)
        stream = shared.stream(f"{host}:{len(self.streams)}")
        full = sum(one == host for _, one, _ in self.streams) >= 2
        refused = ""
        try:
            self.run(stream.__aenter__())
        except PeerError as refusal:
            refused = refusal.code
        assert refused == ("QUOTA_STREAMS" if full else "")
        if not refused:
            self.streams.append((life, host, stream))
        self._settle()

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def stream_ends(self, data: st.DataObject) -> None:
        """End a stream."""
        at = data.draw(st.integers(0, len(self.streams) - 1))
        _, _, stream = self.streams.pop(at)
        self.run(stream.__aexit__(None, None, None))
        self._settle()

    # --- what goes wrong -------------------------------------------------------------------------

    @rule(turn=st.permutations([0, 1, 2]))
    def lose(self, turn: list[int]) -> None:
        """Lose everything shared; the workers that live tell again what they have."""
        if not self.shared_by.remembers_used:
            return
        self.run(self.shared_by.lose([self.live[at] for at in turn]))
        self.model.used.clear()
        self.sessions.clear()
        for claim in list(self.model.holders):
            alive = [life for life in self.model.holders[claim] if life in self.slots]
            self.model.holders[claim] = alive
            if not alive:
                del self.model.holders[claim]

    @rule(worker=workers)
    def die(self, worker: int) -> None:
        """Kill a worker, and start another one: what the first had is held until its lease ends."""
        if not self.shared_by.remembers_used:
            return
        at = worker % len(self.live)
        if any(life == self.slots[at] for life, _, _ in self.streams):
            return
        self.gone.append(self.live.pop(at))
        del self.slots[at]
        self._enter()

    def teardown(self) -> None:
        """End everything."""
        for _, _, stream in self.streams:
            self.run(stream.__aexit__(None, None, None))
        self.run(self.shared_by.end([*self.live, *self.gone]))
        self.run.close()


RULES = {
    "CLAIM": ("claim", "claim_what_is_held", "drop"),
    "RELEASE": ("claim", "claim_what_is_held", "drop"),
    "SESSION": ("open", "chunk_begins", "chunk_ends", "refill", "close"),
    "STREAM": ("stream_begins", "stream_ends"),
}
"""By the first word of a script's name, the rules that it matters to."""

EVERY_RULE = [name for names in RULES.values() for name in names] + ["lose", "die"]


def machine_of(shared_by: Workers, script: str = "") -> type[Sharing]:
    """Return the machine over these workers; with a script's name, of nothing else's rules."""
    kept = RULES[script.partition("_")[0]] if script else EVERY_RULE
    without = {name: None for name in EVERY_RULE if name not in kept}
    return type("SharingOf", (Sharing,), {"shared_by": shared_by, **without})


FEW = settings(
    max_examples=25, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
)

MANY = settings(
    FEW,
    max_examples=300,
    stateful_step_count=50,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
"""To find a wrong script; nobody has to read how it was found."""


@pytest.fixture(params=OPENINGS)
def shared_by(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workers]:
    with request.param(tmp_path) as opened:
        yield opened


def test_every_implementation_agrees_with_the_model(shared_by: Workers) -> None:
    run_state_machine_as_test(machine_of(shared_by), settings=FEW)


MUTANTS = [
    ("CLAIM", "answer = 1", "answer = 0"),
    ("CLAIM", ">= most", "> most"),
    ("CLAIM", "redis.call('ZADD', hold, now + lease, token)", ""),
    ("RELEASE", "'ZCARD', hold) == 0", "'ZCARD', hold) >= 0"),
    ("STREAM", ">= most", "> most"),
    ("STREAM_END", "'ZREM'", "'ZSCORE'"),
    ("SESSION_OPEN", "if known and", "if false and"),
    ("SESSION_BEGIN", "or redis.call('ZSCORE', writing, ARGV[3])", ""),
    ("SESSION_END", "'SETBIT', missing, ARGV[3], 0", "'GETBIT', missing, ARGV[3]"),
    ("SESSION_CLOSE", "forget(name)", ""),
]


@needs_redis
@pytest.mark.parametrize(("script", "right", "wrong"), MUTANTS)
def test_the_model_catches_a_wrong_script(
    script: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = getattr(redis_scripts, script)
    assert right in text
    monkeypatch.setattr(redis_scripts, script, text.replace(right, wrong, 1))
    with one_redis(tmp_path) as opened, pytest.raises(AssertionError):
        run_state_machine_as_test(machine_of(opened, script), settings=MANY)
