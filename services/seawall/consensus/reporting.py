"""What a replica's work looks like from outside: metrics and log lines."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from seawall.consensus.core_thread import Outcome
from seawall.consensus.engine import Finality, Observation
from seawall.consensus.pending import PendingSubmissions
from seawall.consensus.verification import updates_in
from seawall.domain.block import Batch
from seawall.domain.commit import Commit, Judgement
from seawall.errors import PeerError
from seawall.runtime.service import Clock
from seawall.telemetry.logs import Log
from seawall.telemetry.metrics import ConsensusMetrics

PROPOSED_MAX: Final = 1024
"""Own blocks whose way to a commit is timed."""

SUBMITTED_MAX: Final = 4096
"""Own batches whose way to finality is timed."""

_KINDS: Final = (
    "blocks",
    "subscribe",
    "fetch_blocks",
    "below_gc",
    "fetch_commits",
    "commits",
    "latest_query",
    "latest_reply",
    "fragment",
    "heartbeat",
    "hello",
)
_WARNINGS: Final = ("commits_refused", "disk_lost", "latest_refused")
_NEWS: Final = ("caught_up", "payload_requeued")

_OUTCOMES: Final = {Judgement.ACCEPT: "accepted", Judgement.REJECT: "rejected"}

FIELD_CHARACTERS_MAX: Final = 80
"""Longest text of an observation in a log line; evidence holds whole blocks."""


class Reporting:
    """Counts and logs for one replica."""

    def __init__(self, metrics: ConsensusMetrics, log: Log, clock: Clock, own: int) -> None:
        """Report into these."""
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._own = own
        self.heard: Counter[int] = Counter()
        """Messages that have arrived, by the index of who sent them."""
        self._proposed: dict[int, int] = {}
        self._submitted: dict[int, int] = {}
        self._fast_path = {
            outcome: metrics.fast_path.labels(outcome=outcome)
            for outcome in ("final", "accepted", "rejected", "dead")
        }
        self._verify = metrics.phase("verify")
        self._handle = metrics.phase("handle")
        self._committed = metrics.transactions("committed")
        self._traffic = {
            (direction, kind): metrics.peer_message_bytes.labels(direction=direction, kind=kind)
            for direction in ("sent", "received")
            for kind in (*_KINDS, "other")
        }

    def traffic(self, direction: str, kind: str, size_bytes: int) -> None:
        """Count a message that was `sent` or `received`."""
        self._traffic[direction, kind if kind in _KINDS else "other"].inc(size_bytes)

    def refused(self, fault: PeerError) -> None:
        """Count a submission that was refused."""
        self._metrics.mempool_rejected.labels(reason=fault.code).inc()

    def waiting(self, updates: int) -> None:
        """Say how many updates wait for delivery."""
        self._metrics.mempool.set(updates)

    def links(self, up: int, others: int) -> None:
        """Say how many links to other validators work, of how many."""
        self._metrics.validators.labels(state="connected").set(up)
        self._metrics.validators.labels(state="disconnected").set(others - up)

    def peer_fault(self, peer: int, fault: PeerError) -> None:
        """Report that a peer sent something bad."""
        self._metrics.byzantine_evidence.labels(kind="garbage").inc()
        self._log.warning(
            "peer_fault",
            peer=peer,
            code=fault.code,
            field=fault.field,
            offset=fault.offset,
            hint=fault.hint,
        )

    def step(self, outcome: Outcome) -> None:
        """Report steps of the replica and what it observed."""
        if outcome.verify_ns:
            self._verify.observe(outcome.verify_ns / 1e9)
        if outcome.handle_ns:
            self._handle.observe(outcome.handle_ns / 1e9)
        for observation in outcome.observe:
            self._observe(observation)

    def submitted(self, batches: tuple[Batch, ...]) -> None:
        """Note when batches of this site were handed in; one that comes again counts on."""
        now_us = self._clock.elapsed_us()
        for batch in batches:
            self._submitted.setdefault(batch.number, now_us)
        while len(self._submitted) > SUBMITTED_MAX:
            del self._submitted[next(iter(self._submitted))]

    def final(self, statements: tuple[Finality, ...]) -> None:
        """Report statements; a batch of this site is final with the first one on it."""
        now_us = self._clock.elapsed_us()
        self._fast_path["final"].inc(sum(len(one.positions) for one in statements))
        for one in statements:
            if one.batch.site == self._own:
                since_us = self._submitted.pop(one.batch.number, None)
                if since_us is not None:
                    self._metrics.finality.observe((now_us - since_us) / 1e6)

    def delivered(self, commits: tuple[Commit, ...], pending: PendingSubmissions) -> None:
        """Report commits, and release what of this site's they delivered."""
        now_us = self._clock.elapsed_us()
        items = 0
        for commit in commits:
            self._metrics.blocks.inc(len(commit.blocks))
            for verdict in commit.verdicts:
                outcome = _OUTCOMES.get(verdict.judgement)
                if outcome is not None:
                    self._fast_path[outcome].inc(len(verdict.positions))
            for block in commit.blocks:
                items += updates_in(block.block) + len(block.block.transactions)
                if block.ref.author != self._own:
                    continue
                proposed_us = self._proposed.pop(block.ref.round, None)
                if proposed_us is not None:
                    self._metrics.commit_duration.observe((now_us - proposed_us) / 1e6)
                pending.delivered(block.block)
        self._committed.inc(items)
        self._metrics.committed_height.set(commits[-1].index)
        self.waiting(pending.updates)

    def _observe(self, observation: Observation) -> None:
        fields = observation.fields
        match observation.name:
            case "round_advanced":
                self._metrics.round.set(int(fields["round"]))
                self._metrics.timeout.set(int(fields["timeout_us"]) / 1e6)
            case "block_proposed":
                self._proposed[int(fields["round"])] = self._clock.elapsed_us()
                if len(self._proposed) > PROPOSED_MAX:
                    del self._proposed[next(iter(self._proposed))]
            case "slot_decided":
                decided = "direct" if fields["direct"] else "indirect"
                self._metrics.leaders(decided if fields["digest"] else "skipped").inc()
            case "updates_dead":
                self._fast_path["dead"].inc(int(fields["updates"]))
            case "equivocation":
                self._metrics.byzantine_evidence.labels(kind="equivocation").inc()
                self._log.warning("equivocation", **_short(fields))
            case "submission_refused":
                self._metrics.mempool_rejected.labels(reason=str(fields["code"])).inc()
                self._log.warning("submission_refused", **_short(fields))
            case name if name in _WARNINGS:
                self._log.warning(name, **_short(fields))
            case name if name in _NEWS:
                self._log.info(name, **_short(fields))
            case name:
                self._log.debug(name, **_short(fields))


def _short(fields: Mapping[str, int | str]) -> dict[str, int | str]:
    """Return the fields with long texts cut."""
    return {
        name: value[:FIELD_CHARACTERS_MAX] if isinstance(value, str) else value
        for name, value in fields.items()
    }
