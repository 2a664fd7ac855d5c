"""One commit at a time: from delivered blocks to entries, leaves and changed rows.

Everything here is a function of the blocks and the state before them, so every site writes equal
entries. An update counts where it is delivered first for its (contributor, seq), if the state
rules hold there; what was not accepted leaves no entry, only an outcome to ask for.
"""

from typing import Final

import msgspec

from seawall.codec import decode_records, record_count
from seawall.crypto.merkle import Frontier, leaf_hash
from seawall.domain.block import Batch as BlockBatch
from seawall.domain.block import Block, Ref, UpdateKind, UpdateRecord
from seawall.domain.committee import Committee
from seawall.domain.cut import Candidate
from seawall.formats import entry as entries
from seawall.ledger import refusals, rows
from seawall.ledger.cutting import cut_task
from seawall.ledger.state import ContributorState, State, Waiting, read_entry
from seawall.ledger.store import Batch, Reader, Table
from seawall.ledger.voting import count_vote

ROLE_OF: Final = {UpdateKind.DELTA: "contributor", UpdateKind.ROOT: "root"}
"""The role that a contributor needs for each kind of update."""


class Delivery(msgspec.Struct, frozen=True):
    """A commit as the ledger takes it: see `seawall.domain.commit.Commit`; blocks are decoded."""

    index: int
    previous_digest: bytes
    digest: bytes
    leader: Ref
    clock_ms: int
    blocks: tuple[Block, ...]


class Executed(msgspec.Struct, frozen=True):
    """What a commit led to.

    `accepted` and `decided` are update ids (accepted, and selected or dropped by a cut), `usable`
    the (task, version) pairs that became usable, `alarms` codes of what must never happen.
    """

    index: int
    row: rows.CommitRow
    accepted: tuple[bytes, ...]
    refused: tuple[tuple[bytes, str], ...]
    decided: tuple[bytes, ...]
    usable: tuple[tuple[int, int], ...]
    alarms: tuple[str, ...]


class Execution:
    """The execution of one commit; used once.

    `batch` collects changes, of this commit and of those before it that are not durable yet;
    `reader` knows everything that is.
    """

    def __init__(
        self,
        delivery: Delivery,
        state: State,
        frontier: Frontier,
        committee: Committee,
        reader: Reader,
        batch: Batch,
    ) -> None:
        """Take the parts together; nothing happens yet."""
        self.delivery = delivery
        self.state = state
        self.committee = committee
        self.batch = batch
        self.leaves: list[bytes] = []
        self.decided: list[bytes] = []
        self.usable: list[tuple[int, int]] = []
        self.alarms: list[str] = []
        self.touched: dict[bytes, ContributorState] = {}
        self.touched_tasks: dict[int, None] = {}
        self._accepted: list[bytes] = []
        self._refused: list[tuple[bytes, str]] = []
        self._frontier = frontier
        self._first = frontier.size
        self._reader = reader

    def run(self, previous: rows.CommitRow) -> Executed:
        """Execute the commit that follows the one of `previous`; changes state and frontier."""
        delivery = self.delivery
        blocks = delivery.blocks
        self.append(
            entries.CommitEntry(
                clock_ms=delivery.clock_ms,
                digest=delivery.digest.hex(),
                index=delivery.index,
                leader=entries.Leader(
                    delivery.leader.author, delivery.leader.digest.hex(), delivery.leader.round
                ),
                state_root=previous.state_root.hex(),
                transactions=sum(len(block.transactions) for block in blocks),
                updates=sum(
                    record_count(batch.records_bytes) for block in blocks for batch in block.batches
                ),
            )
        )
        self._open_tasks()
        for block in blocks:
            for batch in block.batches:
                self._deliver(batch)
            for transaction in block.transactions:
                count_vote(self, block.author, transaction)
        for task in self.state.tasks:
            cut_task(self, task)
        return self._finish(previous)

    @property
    def next_entry(self) -> int:
        """Index that the next appended entry gets."""
        return self._first + len(self.leaves)

    def append(self, entry: entries.Entry) -> int:
        """Append an entry and return its index."""
        self.leaves.append(entries.encode(entry))
        return self._first + len(self.leaves) - 1

    def lookup(self, table: Table, key: bytes) -> bytes | None:
        """Return the newest value of a key, durable or not."""
        changed, value = self.batch.get(table, key)
        return value if changed else self._reader.get(table, key)

    def touch(self, contributor: ContributorState) -> None:
        """Remember that a contributor's row changed."""
        self.touched[contributor.key_id] = contributor

    def _open_tasks(self) -> None:
        """Let the time of every task begin with the first commit that knows the time.

        Commits led from round 1 have only genesis blocks to tell it, and those tell none.
        """
        for task in self.state.tasks:
            if not task.row.cut_clock_ms and self.delivery.clock_ms:
                task.row.cut_clock_ms = self.delivery.clock_ms
                self.touched_tasks[task.index] = None

    def _deliver(self, batch: BlockBatch) -> None:
        """Accept, refuse or ignore every update of a batch."""
        contributors = self.state.contributors
        for record in decode_records(batch.records_bytes):
            contributor = contributors.get(record.contributor)
            if contributor is None:
                self._refuse(record, refusals.KEY_UNKNOWN)
                continue
            code = self._check(record, contributor)
            if code is None:
                self._accept(record, contributor, batch)
            elif code:
                self._refuse(record, code)

    def _check(self, record: UpdateRecord, contributor: ContributorState) -> str | None:
        """Return why a record is refused, "" when it was accepted before, None to accept it."""
        state = self.state
        if record.task >= len(state.tasks):
            return refusals.REPLAY_TASK
        if ROLE_OF[record.kind] not in contributor.roles:
            return refusals.KEY_ROLE
        seen = contributor.has_accepted(record.seq, state.window)
        if seen is not False:
            return self._check_repeated(record, contributor)
        if record.seq - contributor.highest > state.window:
            return refusals.REPLAY_SEQ
        key = rows.payload_key(contributor.index, record.payload_digest)
        if self.lookup(Table.PAYLOADS, key) is not None:
            return refusals.REPLAY_PAYLOAD
        if record.base_version > state.tasks[record.task].row.head:
            return refusals.REPLAY_BASE
        if record.expires_height < self.delivery.index:
            return refusals.REPLAY_EXPIRED
        return None

    def _check_repeated(self, record: UpdateRecord, contributor: ContributorState) -> str:
        """Judge a record whose number was used, or lies below the window."""
        known = self.lookup(Table.UPDATES, record.update_id)
        if known is not None and isinstance(rows.decode_outcome(known), rows.Accepted):
            return ""
        key = rows.seq_key(contributor.index, record.seq)
        value = self.lookup(Table.SEQS, key)
        if value is not None:
            used = rows.decode_seq(value)
            if not used.reported:
                self._report(record, used)
                reported = rows.encode_seq(used.commit, used.entry, reported=True)
                self.batch.put(Table.SEQS, key, reported)
        return refusals.REPLAY_SEQ

    def _report(self, record: UpdateRecord, used: rows.SeqRow) -> None:
        """Append evidence that one contributor signed two updates under one number."""
        at = used.entry - self._first
        first = entries.parse(self.leaves[at]) if at >= 0 else self._entry(used.entry)
        assert isinstance(first, entries.UpdateEntry), "a number is used by an update"
        self.append(
            entries.EvidenceEntry(
                commit=self.delivery.index,
                first=first.update_id,
                kind="equivocation",
                number=record.seq,
                second=record.update_id.hex(),
                subject=record.contributor.hex(),
                task="",
            )
        )

    def _entry(self, index: int) -> entries.Entry:
        """Return an entry of an earlier commit, durable or not."""
        changed, value = self.batch.get(Table.ENTRIES, rows.key_of(index))
        if changed and value is not None:
            return entries.parse(value)
        return read_entry(index, self._reader)

    def _accept(
        self, record: UpdateRecord, contributor: ContributorState, source: BlockBatch
    ) -> None:
        """Write everything that follows from accepting an update."""
        task = self.state.tasks[record.task]
        commit, index = self.delivery.index, self.next_entry
        self.leaves.append(
            entries.encode_update(
                record,
                commit=commit,
                task=task.spec.name,
                site=source.site,
                batch=source.number,
            )
        )
        contributor.accept(record.seq, self.state.window)
        self.touched[record.contributor] = contributor
        changes = self.batch.changes
        changes[Table.UPDATES][record.update_id] = rows.encode_accepted(index, commit)
        seq_key = rows.seq_key(contributor.index, record.seq)
        changes[Table.SEQS][seq_key] = rows.encode_seq(commit, index, reported=False)
        payload_key = rows.payload_key(contributor.index, record.payload_digest)
        changes[Table.PAYLOADS][payload_key] = rows.key_of(commit)
        self._accepted.append(record.update_id)
        if record.kind is UpdateKind.ROOT:
            row = task.row
            if row.root_update is None and record.base_version == row.head == row.cut_version:
                row.root_update = rows.RootUpdate(index, record.update_id)
                self.touched_tasks[task.index] = None
            return
        candidate = Candidate(
            update_id=record.update_id,
            contributor=record.contributor,
            base_version=record.base_version,
            seq=record.seq,
            num_examples=record.num_examples,
            commit_index=commit,
        )
        waiting = Waiting(index, candidate, record.payload_digest, record.payload_size_bytes)
        self.state.add_waiting(task, waiting, self.batch)

    def _refuse(self, record: UpdateRecord, code: str) -> None:
        """Keep why an update was not accepted; an earlier acceptance of it stands."""
        known = self.lookup(Table.UPDATES, record.update_id)
        if known is not None and isinstance(rows.decode_outcome(known), rows.Accepted):
            return
        commit = self.delivery.index
        outcome = rows.encode_refused(rows.Refused(commit, code))
        self.batch.put(Table.UPDATES, record.update_id, outcome)
        key = rows.refused_key(commit, len(self._refused))
        self.batch.put(Table.REFUSED, key, record.update_id + code.encode())
        self._refused.append((record.update_id, code))

    def _finish(self, previous: rows.CommitRow) -> Executed:
        """Extend the tree and write the rows of the commit."""
        changes, index = self.batch.changes, self.delivery.index
        table = changes[Table.ENTRIES]
        for at, leaf in enumerate(self.leaves, self._first):
            table[rows.key_of(at)] = leaf
        nodes = changes[Table.NODES]
        grown = self._frontier.extend_with_nodes([leaf_hash(leaf) for leaf in self.leaves])
        for level, position, value in grown:
            nodes[rows.node_key(level, position)] = value
        tasks = [self.state.tasks[at] for at in self.touched_tasks]
        self.state.write(self.touched.values(), tasks, self.batch)
        tree_size, root = self._frontier.size, self._frontier.root()
        row = rows.CommitRow(
            digest=self.delivery.digest,
            tree_size=tree_size,
            root=root,
            clock_ms=self.delivery.clock_ms,
            state_root=self.state.root(tree_size, root),
            updates=previous.updates + len(self._accepted),
        )
        self.batch.put(Table.COMMITS, rows.key_of(index), rows.encode(row))
        self.batch.put(Table.SIZES, rows.key_of(tree_size), rows.key_of(index))
        return Executed(
            index=index,
            row=row,
            accepted=tuple(self._accepted),
            refused=tuple(self._refused),
            decided=tuple(self.decided),
            usable=tuple(self.usable),
            alarms=tuple(self.alarms),
        )
