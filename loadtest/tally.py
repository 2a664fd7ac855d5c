"""Counting a run: what was sent, what became of it, how long it took, and whether that will do."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtest.outcome import UNANSWERED, Outcome
from loadtest.plan import EXPECTED, Item, Kind, Plan, offered
from seawall.client.links import is_passing
from seawall.errors import PeerError

API_VERSION: Final = "seawall.dev/v1"
QUANTILES: Final = (0.5, 0.95, 0.99)
MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An update that a site said is committed."""

    item: Item
    seq: int
    update_id: bytes
    envelope: bytes
    entry_index: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from two moments to COMMITTED: when it was sent, and when it was to be sent."""

    transport: str
    task: str
    from_sent: float
    from_due: float


@dataclass(slots=True)
class Tally:
    """Everything that one run counts.

    Attributes:
        plan: what the run was to be.
        items: its schedule.
        sent: items that were sent, by kind.
        acknowledged: honest updates that are committed, as their site said.
        refused: honest updates that were refused, by code.
        unanswered: honest updates of which no end was told.
        malicious: by kind: how often each code came.
        skipped: replays for which there was nothing yet to replay.
        latencies: of every acknowledged update.
        late_seconds_max: most by which sending was behind its time.
        lost: acknowledged updates that another site could not prove.
        verified: those that it could.
        found: unanswered updates that turned out to be committed.
        before, after: updates that each ledger had accepted.

    """

    plan: Plan
    items: tuple[Item, ...]
    sent: Counter[str] = field(default_factory=Counter)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: list[Acknowledged] = field(default_factory=list)
    malicious: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    skipped: int = 0
    latencies: list[Latency] = field(default_factory=list)
    late_seconds_max: float = 0.0
    lost: dict[str, str] = field(default_factory=dict)
    verified: int = 0
    found: int = 0
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)

    def count(self, entry: Acknowledged, outcome: Outcome, due: float, sent: float) -> bool:
        """Count an item that was sent; return whether it ended as it should.

        Args:
            entry: what was sent; its entry index is that of the outcome.
            outcome: what became of it.
            due: when it was to be sent, on the monotonic clock.
            sent: when it was.

        """
        item = entry.item
        self.sent[item.kind] += 1
        self.late_seconds_max = max(self.late_seconds_max, sent - due)
        if item.kind is not Kind.HONEST:
            self.malicious[item.kind][outcome.code or "COMMITTED"] += 1
            return outcome.code == EXPECTED[item.kind]
        if outcome.committed is not None and outcome.acknowledged:
            self.acknowledged.append(entry)
            took = (outcome.committed - sent, outcome.committed - due)
            self.latencies.append(Latency(item.transport, item.task, *took))
            return True
        if outcome.code == UNANSWERED:
            self.unanswered.append(entry)
        else:
            self.refused[outcome.code] += 1
        return False

    def faults(self, criteria: "Criteria") -> Iterator[str]:
        """Yield what speaks against the run."""
        if not self.acknowledged:
            yield "no update was acknowledged"
        if self.lost:
            yield f"{len(self.lost)} acknowledged updates could not be proven at another site"
        for kind, codes in self.malicious.items():
            wrong = {code: n for code, n in codes.items() if code != EXPECTED[Kind(kind)]}
            if wrong:
                yield f"{kind} was answered with {wrong}, not {EXPECTED[Kind(kind)]}"
        yield from self._refusals(criteria)
        unsent = len(self.items) - self.skipped - self.sent.total()
        if unsent:
            yield f"{unsent} of the schedule were never sent: give the run more users or time"
        grown = max(self.after, default=0) - max(self.before, default=0)
        wanted = len(self.acknowledged) + self.found
        if criteria.alone and grown != wanted:
            yield f"ledgers accepted {grown} updates, clients count {wanted}"

    def _refusals(self, criteria: "Criteria") -> Iterator[str]:
        """Yield what honest updates were refused with, but for what may pass."""
        pushed_back = len(self.unanswered)
        for code, number in self.refused.items():
            if is_passing(PeerError(code, "")):
                pushed_back += number
            else:
                yield f"{number} honest updates were refused with {code}"
        if pushed_back > criteria.pushed_back_share_max * max(1, self.sent[Kind.HONEST]):
            yield f"{pushed_back} honest updates were pushed back or not answered"

    def document(self, criteria: "Criteria") -> dict[str, Any]:
        """Return the tally as JSON."""
        faults = list(self.faults(criteria))
        plan = self.plan
        return {
            "apiVersion": API_VERSION,
            "kind": "LoadTally",
            "verdict": "FAIL" if faults else "PASS",
            "faults": faults,
            "plan": {
                "seed": plan.seed,
                "seconds": plan.seconds,
                "ratePerSecond": plan.rate,
                "shape": plan.shape,
                "payloadBytes": dict(plan.tasks),
                "offered": dict(sorted(offered(self.items).items())),
            },
            "sent": dict(sorted(self.sent.items())),
            "skippedReplays": self.skipped,
            "acknowledged": len(self.acknowledged),
            "refused": dict(sorted(self.refused.items())),
            "unanswered": len(self.unanswered),
            "malicious": {kind: dict(codes) for kind, codes in sorted(self.malicious.items())},
            "lookups": {"verified": self.verified, "lost": self.lost, "foundLate": self.found},
            "ledgers": {"before": self.before, "after": self.after},
            "lateMillisecondsMax": round(self.late_seconds_max * MILLISECONDS),
            "latencyMilliseconds": self.latency_rows(),
        }

    def latency_rows(self) -> list[dict[str, Any]]:
        """Return quantiles to COMMITTED by transport and task, from both moments."""
        groups: defaultdict[tuple[str, str], list[Latency]] = defaultdict(list)
        for one in self.latencies:
            groups[one.transport, one.task].append(one)
        return [
            {
                "transport": transport,
                "task": task,
                "updates": len(found),
                "fromSent": quantiles([one.from_sent for one in found]),
                "fromDue": quantiles([one.from_due for one in found]),
            }
            for (transport, task), found in sorted(groups.items())
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a run has to hold to.

    `alone` says that nobody else writes to the network: then its ledgers have to count what the
    clients count. `pushed_back_share_max` bounds honest updates that were refused for a while
    (QUOTA_* and the like) or not answered; any other refusal of an honest update is a fault.
    """

    alone: bool = False
    pushed_back_share_max: float = 0.0


def quantiles(seconds: Sequence[float]) -> Mapping[str, int]:
    """Return quantiles and the maximum, in milliseconds; of a sample, by nearest rank."""
    ordered = sorted(seconds)
    rows = {
        f"p{round(100 * share)}": ordered[max(0, math.ceil(share * len(ordered)) - 1)]
        for share in QUANTILES
    }
    rows["max"] = ordered[-1]
    return {name: round(value * MILLISECONDS) for name, value in rows.items()}


def table_of(document: Mapping[str, Any]) -> str:
    """Return a tally as text for a terminal."""
    lines = ["", "latency to COMMITTED in ms, from sending (closed) and from the time due (open)"]
    head = ("transport", "task", "updates", "closed p50/p95/p99/max", "open p50/p95/p99/max")
    rows = [
        (
            row["transport"],
            row["task"],
            str(row["updates"]),
            "/".join(map(str, row["fromSent"].values())),
            "/".join(map(str, row["fromDue"].values())),
        )
        for row in document["latencyMilliseconds"]
    ]
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    lookups = document["lookups"]
    lines += [
        "",
        f"acknowledged {document['acknowledged']}, unanswered {document['unanswered']}",
        f"proven at another site {lookups['verified']}, lost {len(lookups['lost'])}",
        f"ledgers before {document['ledgers']['before']}, after {document['ledgers']['after']}",
    ]
    lines += [f"honest, refused with {code}: {n}" for code, n in document["refused"].items()]
    lines += [f"{kind}: {codes}" for kind, codes in document["malicious"].items()]
    lines += [f"fault: {one}" for one in document["faults"]]
    lines.append(f"verdict {document['verdict']}")
    return "\n".join(lines)


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write a tally."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
