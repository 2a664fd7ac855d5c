"""What the own ledger's entries say about updates: committed, cut, usable, refused.

The entries are those of this site's own ledger, under a checkpoint of quorum stake; they are read
for the few members that matter here, not judged again.
"""

from typing import Final

import msgspec

from seawall.errors import PeerError
from seawall.formats.entry import kind_of
from seawall.ingestion.progress import Progress
from seawall.ingestion.update import Update


class Page(msgspec.Struct, frozen=True):
    """Consecutive certified entries, and what those commits refused: pairs of id and reason."""

    start: int
    entries: tuple[bytes, ...]
    commit_index: int
    refused: tuple[tuple[bytes, PeerError], ...] = ()


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    """The members of a spec that matter here."""


class _Update(_Spec, frozen=True):
    contributor: str
    payload: str
    seq: int
    update_id: str
    taint: tuple[str, ...] = ()


class _Named(_Spec, frozen=True):
    update_id: str


class _Dropped(_Spec, frozen=True):
    reason: str
    update_id: str


class _Cut(_Spec, frozen=True):
    """A cut, or more of what one dropped."""

    task: str
    version: int
    dropped: tuple[_Dropped, ...] = ()
    root: str = ""
    updates: tuple[_Named, ...] = ()


class _Version(_Spec, frozen=True):
    task: str
    version: int
    status: str


class _UpdateEntry(msgspec.Struct, frozen=True):
    spec: _Update


class _CutEntry(msgspec.Struct, frozen=True):
    spec: _Cut


class _VersionEntry(msgspec.Struct, frozen=True):
    spec: _Version


_update: Final = msgspec.json.Decoder(_UpdateEntry).decode
_cut: Final = msgspec.json.Decoder(_CutEntry).decode
_version: Final = msgspec.json.Decoder(_VersionEntry).decode


class Followed(msgspec.Struct, frozen=True):
    """What a page led to: updates known here that it commits, and those to be batched anew."""

    committed: list[Update]
    undecided: list[tuple[Update, PeerError]]


def follow(page: Page, progress: Progress) -> Followed:
    """Apply entries in order."""
    committed: list[Update] = []
    undecided: list[tuple[Update, PeerError]] = []
    for index, entry in enumerate(page.entries, page.start):
        kind = kind_of(entry)
        if kind == "update":
            update = _follow_update(_update(entry).spec, index, progress)
            if update is not None:
                committed.append(update)
        elif kind in ("cut", "dropped"):
            _follow_cut(_cut(entry).spec, progress)
        elif kind == "version":
            version = _version(entry).spec
            if version.status == "usable":
                progress.usable(version.task, version.version)
    for update_id, reason in page.refused:
        if reason.code != "VERDICT_UNDECIDED":
            progress.refused(update_id, reason)
            continue
        update = progress.undecided(update_id)
        if update is not None:
            undecided.append((update, reason))
    progress.rise(page.commit_index, page.start + len(page.entries))
    return Followed(committed, undecided)


def _follow_update(spec: _Update, index: int, progress: Progress) -> Update | None:
    """Note an accepted update; return it when somebody here knows it."""
    update_id = bytes.fromhex(spec.update_id)
    update = progress.committed(update_id, index)
    contributor, payload = bytes.fromhex(spec.contributor), bytes.fromhex(spec.payload)
    progress.overtaken(contributor, spec.seq, payload, update_id)
    if spec.taint:
        progress.decided(update_id, 0, taint_reason(spec.taint))
    return update


def _follow_cut(cut: _Cut, progress: Progress) -> None:
    """Note what a cut decided."""
    selected = [bytes.fromhex(one.update_id) for one in cut.updates]
    if cut.root:
        selected.append(bytes.fromhex(cut.root))
    if selected:
        progress.cut(cut.task, cut.version, selected)
    for one in cut.dropped:
        progress.decided(bytes.fromhex(one.update_id), cut.version, cut_reason(one.reason))


def cut_reason(name: str) -> PeerError:
    """Return why a cut left an update out for good."""
    if name == "STALE":
        return PeerError("CUT_STALE", "train from a newer version: this one came too late")
    return PeerError("CUT_SUPERSEDED", "a later update of this contributor stands in its place")


def taint_reason(taint: tuple[str, ...]) -> PeerError:
    """Return why no cut will ever take an update whose entry carries taint."""
    hint = f"committed, and in no version, for what had changed by then: {', '.join(taint)}"
    return PeerError("CUT_TAINTED", hint, field="taint")
