"""Cuts: the pure decision which updates form a task's next model version, and when.

No transaction makes a cut. Every site evaluates `select` on the same committed state after each
commit and gets the same answer. Time is the ledger clock; the order of arrival never counts,
because "the first K" belongs to whoever sends fastest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from seawall.errors import LocalError

INTERVAL_MS_MAX = 7 * 24 * 3600 * 1000
"""Longest interval between cuts: a week."""

K_MAX = 2**12
"""Most updates that one cut may select."""

STALENESS_LIMIT = 2**16
"""Largest staleness that a task may admit, in versions."""

NEVER = -1
"""Stands for the last inclusion of a contributor that was never included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPolicy:
    """When a task's versions are cut, and from how much.

    Attributes:
        interval_ms: least ledger time between two cuts; twice that is the limit of waiting.
        k: updates in a regular cut, from as many contributors.
        k_min: updates that suffice at the limit; more than 2f for a rule that withstands f.
        staleness_max: versions that an update's base may lie behind the head.
        root_required: wait for the head's root update, up to the limit.

    """

    interval_ms: int
    k: int
    k_min: int
    staleness_max: int
    root_required: bool = False

    def __post_init__(self) -> None:
        """Raise LocalError `CUT_POLICY` for a value outside its limits."""
        limits = {
            "interval_ms": (1, INTERVAL_MS_MAX),
            "k": (1, K_MAX),
            "k_min": (1, self.k),
            "staleness_max": (0, STALENESS_LIMIT),
        }
        for field, (least, most) in limits.items():
            if not least <= getattr(self, field) <= most:
                raise LocalError("CUT_POLICY", f"choose {least} to {most}", field=field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A committed update that is in no cut yet.

    Attributes:
        update_id: identity of the update, unique; breaks ties.
        contributor: identity of its owner.
        base_version: version it was trained from.
        seq: the owner's sequence number.
        num_examples: claimed training examples.
        commit_index: commit that accepted it.

    """

    update_id: bytes
    contributor: bytes
    base_version: int
    seq: int
    num_examples: int
    commit_index: int


class Drop(StrEnum):
    """Why a candidate can never be selected any more."""

    STALE = "STALE"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One cut.

    Attributes:
        version: the version that it forms: the head's number plus one.
        clock_ms: ledger clock at which it was made.
        selected: at most k candidates of distinct contributors, in the order of selection.
        dropped: candidates that are out for good, in order of their update id, with the reason:
            too stale for this cut, or not newer than the selected one of the same contributor.
        root_used: whether the head's root update goes into it.

    """

    version: int
    clock_ms: int
    selected: tuple[Candidate, ...]
    dropped: tuple[tuple[Candidate, Drop], ...]
    root_used: bool


def select(
    policy: CutPolicy,
    candidates: Iterable[Candidate],
    last_included: Mapping[bytes, int],
    *,
    head_version: int,
    clock_ms: int,
    last_cut_clock_ms: int,
    root_present: bool = False,
) -> Cut | None:
    """Return the cut that is due now, or None when it is not due yet.

    It is due when `interval_ms` has passed and k contributors have an eligible update, or when
    twice that has passed and `k_min` have one. A task that requires a root update also waits for
    it until twice the interval has passed, and then goes on without. Eligible is an update whose
    base is the head or at most `staleness_max` versions older; each contributor stands with one,
    the newest by (base, seq). Least recently included contributors come first, ties by update
    id. An update that names a base beyond the head waits until that version is there.

    Args:
        policy: the task's policy.
        candidates: committed updates of the task in no cut yet; their order does not matter.
        last_included: version of the last cut that included a contributor; absent means never.
        head_version: version that the cut will follow.
        clock_ms: ledger clock of the commit being executed.
        last_cut_clock_ms: ledger clock of the last cut, or of the task's opening.
        root_present: whether a root update for `head_version` has been committed.

    """
    elapsed_ms = clock_ms - last_cut_clock_ms
    at_limit = elapsed_ms >= 2 * policy.interval_ms
    if elapsed_ms < policy.interval_ms:
        return None
    if policy.root_required and not root_present and not at_limit:
        return None
    pending = tuple(candidates)
    standing = _standing(policy, pending, head_version)
    if len(standing) < (policy.k_min if at_limit else policy.k):
        return None
    ranked = sorted(
        standing.values(),
        key=lambda one: (last_included.get(one.contributor, NEVER), one.update_id),
    )
    selected = tuple(ranked[: policy.k])
    return Cut(
        version=head_version + 1,
        clock_ms=clock_ms,
        selected=selected,
        dropped=_dropped(policy, pending, selected, head_version),
        root_used=policy.root_required and root_present,
    )


def is_stale(policy: CutPolicy, candidate: Candidate, head_version: int) -> bool:
    """Return whether the candidate's base is too old for a cut that follows `head_version`."""
    return head_version - candidate.base_version > policy.staleness_max


def _standing(
    policy: CutPolicy, pending: tuple[Candidate, ...], head_version: int
) -> Mapping[bytes, Candidate]:
    """Return the newest eligible candidate of each contributor; ties go to the least id."""
    standing: dict[bytes, Candidate] = {}
    for candidate in sorted(pending, key=lambda one: one.update_id):
        eligible = candidate.base_version <= head_version
        if not eligible or is_stale(policy, candidate, head_version):
            continue
        best = standing.get(candidate.contributor)
        if best is None or _age(best) < _age(candidate):
            standing[candidate.contributor] = candidate
    return standing


def _dropped(
    policy: CutPolicy,
    pending: tuple[Candidate, ...],
    selected: tuple[Candidate, ...],
    head_version: int,
) -> tuple[tuple[Candidate, Drop], ...]:
    """Return the candidates that no later cut can select, in order of their update id."""
    chosen = {one.contributor: one for one in selected}
    dropped: list[tuple[Candidate, Drop]] = []
    for candidate in sorted(pending, key=lambda one: one.update_id):
        newest = chosen.get(candidate.contributor)
        if is_stale(policy, candidate, head_version):
            dropped.append((candidate, Drop.STALE))
        elif newest is not None and newest != candidate and _age(candidate) <= _age(newest):
            dropped.append((candidate, Drop.SUPERSEDED))
    return tuple(dropped)


def _age(candidate: Candidate) -> tuple[int, int]:
    return candidate.base_version, candidate.seq
