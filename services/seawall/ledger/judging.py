"""The state rules for updates at a pinned commit index, from what is stored.

Attesters ask before they sign. Every site that holds the pinned commit answers alike, whatever it
has executed since.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from seawall.crypto.merkle import EMPTY_ROOT
from seawall.domain.block import UpdateRecord
from seawall.errors import PeerError
from seawall.ledger import refusals, rows
from seawall.ledger.acceptance import ROLE_OF
from seawall.ledger.log import Log
from seawall.ledger.refusals import refusal
from seawall.ledger.state import ContributorState
from seawall.ledger.store import Table

_SEQ_MAX: Final = (1 << 64) - 1


class Claim(msgspec.Struct, frozen=True):
    """An update and what its submission claims about the state that its owner saw."""

    record: UpdateRecord
    base_digest: bytes
    checkpoint_size: int
    checkpoint_root: bytes


class Judge:
    """The state rules at one pinned commit index, at most the log's height."""

    def __init__(self, log: Log, height: int) -> None:
        """Read the state as it was after commit `height`.

        Raises PeerError `BATCH_PIN` when that is further back than the chain allows.
        """
        oldest = log.head.index - log.genesis.admission.pin_age_commits_max
        if height < oldest:
            raise PeerError("BATCH_PIN", f"pin commit {oldest} or later", field="pinned_height")
        self._log = log
        self._height = height
        self._highest: dict[bytes, int] = {}
        # Updates of one moment name the same few bases and checkpoints.
        self._bases: dict[tuple[int, int, bytes], bool] = {}
        self._checkpoints: dict[tuple[int, bytes], bool] = {}

    def refuse(self, claims: Sequence[Claim]) -> list[tuple[int, PeerError]]:
        """Return positions and reasons of the claims that are refused, in order.

        A claim is judged beside those before it: two of one contributor with one number or one
        payload cannot both stand.
        """
        refused = []
        seen: dict[tuple[bytes, int | bytes], None] = {}
        for position, claim in enumerate(claims):
            record = claim.record
            code = self._judge(claim)
            number = (record.contributor, record.seq)
            payload = (record.contributor, record.payload_digest)
            if code is None and number in seen:
                code = refusals.REPLAY_SEQ
            if code is None and payload in seen:
                code = refusals.REPLAY_PAYLOAD
            if code is None:
                seen[number] = seen[payload] = None
            else:
                refused.append((position, refusal(code)))
        return refused

    def _judge(self, claim: Claim) -> str | None:
        """Return why an update is refused, None when nothing speaks against it."""
        record, state = claim.record, self._log.state
        contributor = state.contributors.get(record.contributor)
        if contributor is None:
            return refusals.KEY_UNKNOWN
        if record.task >= len(state.tasks):
            return refusals.REPLAY_TASK
        if ROLE_OF[record.kind] not in contributor.roles:
            return refusals.KEY_ROLE
        if not self._is_new(contributor, record.seq):
            return refusals.REPLAY_SEQ
        key = rows.payload_key(contributor.index, record.payload_digest)
        payload_commit = self._log.store.get(Table.PAYLOADS, key)
        if payload_commit is not None and rows.number_of(payload_commit) <= self._height:
            return refusals.REPLAY_PAYLOAD
        if not self._knows_base(claim):
            return refusals.REPLAY_BASE
        if record.expires_height <= self._height:
            return refusals.REPLAY_EXPIRED
        ahead = record.expires_height - self._height
        if ahead > self._log.genesis.admission.expires_height_ahead_max:
            return refusals.REPLAY_EXPIRY_AHEAD
        if not self._knows_checkpoint(claim):
            return refusals.REPLAY_CHECKPOINT
        return None

    def _is_new(self, contributor: ContributorState, seq: int) -> bool:
        """Return whether a number was free and inside the window at the pinned commit."""
        value = self._log.store.get(Table.SEQS, rows.seq_key(contributor.index, seq))
        if value is not None and rows.decode_seq(value).commit <= self._height:
            return False
        return abs(seq - self._highest_of(contributor)) <= self._log.state.window

    def _highest_of(self, contributor: ContributorState) -> int:
        """Return the highest number accepted up to the pinned commit, 0 for none."""
        known = self._highest.get(contributor.key_id)
        if known is None:
            known = 0
            start = rows.seq_key(contributor.index, _SEQ_MAX)
            for key, value in self._log.store.descend(Table.SEQS, start):
                index, seq = rows.parse_seq_key(key)
                if index != contributor.index:
                    break
                if rows.decode_seq(value).commit <= self._height:
                    known = seq
                    break
            self._highest[contributor.key_id] = known
        return known

    def _knows_base(self, claim: Claim) -> bool:
        """Return whether the base was usable, is not too old, and has the claimed digest."""
        key = (claim.record.task, claim.record.base_version, claim.base_digest)
        known = self._bases.get(key)
        if known is None:
            known = self._bases[key] = self._find_base(claim)
        return known

    def _find_base(self, claim: Claim) -> bool:
        record = claim.record
        task = self._log.state.tasks[record.task]
        key = rows.version_key(task.index, record.base_version + task.spec.cut.staleness_max + 1)
        later = self._log.store.get(Table.VERSIONS, key)
        if later is not None and rows.decode_version(later).usable_commit <= self._height:
            return False
        if record.base_version == 0:
            return claim.base_digest == task.spec.base_payload_digest
        key = rows.version_key(task.index, record.base_version)
        value = self._log.store.get(Table.VERSIONS, key)
        if value is None:
            return False
        version = rows.decode_version(value)
        return version.usable_commit <= self._height and version.payload == claim.base_digest

    def _knows_checkpoint(self, claim: Claim) -> bool:
        """Return whether the checkpoint is of this log; it may be newer than the pinned commit."""
        key = (claim.checkpoint_size, claim.checkpoint_root)
        known = self._checkpoints.get(key)
        if known is None:
            known = self._checkpoints[key] = self._find_checkpoint(claim)
        return known

    def _find_checkpoint(self, claim: Claim) -> bool:
        if claim.checkpoint_size == 0:
            return claim.checkpoint_root == EMPTY_ROOT
        index = self._log.store.get(Table.SIZES, rows.key_of(claim.checkpoint_size))
        if index is None:
            return False
        row = self._log.row(rows.number_of(index))
        return row is not None and row.root == claim.checkpoint_root
