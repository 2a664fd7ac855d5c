"""What the own ledger's entries say about updates: committed, cut, usable, refused.

The entries are those of this site's own ledger, under a checkpoint of quorum stake; they are read
for the few members that matter here, not judged again.
"""

from typing import Final

import msgspec

from seawall.errors import PeerError
from seawall.formats.entry import kind_of
from seawall.ingestion.progress import Progress, Update


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


def follow(page: Page, progress: Progress) -> list[Update]:
    """Apply entries in order; return the updates known here that they commit."""
    committed: list[Update] = []
    for index, entry in enumerate(page.entries, page.start):
        kind = kind_of(entry)
        if kind == "update":
            spec = _update(entry).spec
            update_id = bytes.fromhex(spec.update_id)
            update = progress.committed(update_id, index)
            if update is not None:
                committed.append(update)
            contributor, payload = bytes.fromhex(spec.contributor), bytes.fromhex(spec.payload)
            progress.overtaken(contributor, spec.seq, payload, update_id)
        elif kind in ("cut", "dropped"):
            _follow_cut(_cut(entry).spec, progress)
        elif kind == "version":
            version = _version(entry).spec
            if version.status == "usable":
                progress.usable(version.task, version.version)
    for update_id, reason in page.refused:
        progress.refused(update_id, reason)
    progress.rise(page.commit_index, page.start + len(page.entries))
    return committed


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
