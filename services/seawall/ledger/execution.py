"""One commit at a time: from delivered blocks to entries, leaves and changed rows.

Everything here is a function of the blocks, the verdicts and the state before them, so every site
writes equal entries. Delivery of an update is only counted; what becomes of it is decided by the
verdicts that a later commit brings (`seawall.ledger.acceptance`), and what they do not accept
leaves no entry, only an outcome to ask for.
"""

import msgspec

from seawall.codec import record_count
from seawall.crypto.merkle import Frontier, leaf_hash
from seawall.domain.block import Block, Ref
from seawall.domain.commit import Twins, Verdict
from seawall.domain.committee import Committee
from seawall.formats import entry as entries
from seawall.ledger import rows
from seawall.ledger.acceptance import execute_verdict
from seawall.ledger.convictions import convict
from seawall.ledger.cutting import cut_task
from seawall.ledger.state import ContributorState, State
from seawall.ledger.store import Batch, Reader, Table
from seawall.ledger.voting import count_vote


class Delivery(msgspec.Struct, frozen=True):
    """A commit as the ledger takes it: see `seawall.domain.commit.Commit`; blocks are decoded.

    `verdicts` are on updates of earlier commits, or of this one; the second blocks of `twins` are
    of this one.
    """

    index: int
    previous_digest: bytes
    digest: bytes
    leader: Ref
    clock_ms: int
    blocks: tuple[Block, ...]
    verdicts: tuple[Verdict, ...] = ()
    finality_digest: bytes = b""
    twins: tuple[Twins, ...] = ()


class Executed(msgspec.Struct, frozen=True):
    """What a commit led to.

    `accepted` and `decided` are update ids (accepted, and selected or dropped by a cut), `usable`
    the (task, version) pairs that became usable, `alarms` codes of what must never happen,
    `evidence` the kinds of the evidence that it wrote.
    """

    index: int
    row: rows.CommitRow
    accepted: tuple[bytes, ...]
    refused: tuple[tuple[bytes, str], ...]
    decided: tuple[bytes, ...]
    usable: tuple[tuple[int, int], ...]
    alarms: tuple[str, ...]
    evidence: tuple[str, ...]


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
        self.accepted: list[bytes] = []
        self.decided: list[bytes] = []
        self.usable: list[tuple[int, int]] = []
        self.alarms: list[str] = []
        self._evidence: list[str] = []
        self.touched: dict[bytes, ContributorState] = {}
        self.touched_tasks: dict[int, None] = {}
        self._refused: list[tuple[bytes, str]] = []
        self._frontier = frontier
        self.first_entry = frontier.size
        self.reader = reader

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
        for twins in delivery.twins:
            convict(self, twins)
        for verdict in delivery.verdicts:
            execute_verdict(self, verdict)
        for block in blocks:
            for transaction in block.transactions:
                count_vote(self, block.author, transaction)
        for task in self.state.tasks:
            cut_task(self, task)
        return self._finish(previous)

    @property
    def next_entry(self) -> int:
        """Index that the next appended entry gets."""
        return self.first_entry + len(self.leaves)

    def append(self, entry: entries.Entry) -> int:
        """Append an entry and return its index."""
        if isinstance(entry, entries.EvidenceEntry):
            self._evidence.append(entry.kind)
        self.leaves.append(entries.encode(entry))
        return self.first_entry + len(self.leaves) - 1

    def lookup(self, table: Table, key: bytes) -> bytes | None:
        """Return the newest value of a key, durable or not."""
        changed, value = self.batch.get(table, key)
        return value if changed else self.reader.get(table, key)

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

    def refuse(self, update_id: bytes, code: str) -> None:
        """Keep why an update was not accepted; an earlier acceptance of it stands."""
        known = self.lookup(Table.UPDATES, update_id)
        if known is not None and isinstance(rows.decode_outcome(known), rows.Accepted):
            return
        commit = self.delivery.index
        outcome = rows.encode_refused(rows.Refused(commit, code))
        self.batch.put(Table.UPDATES, update_id, outcome)
        key = rows.refused_key(commit, len(self._refused))
        self.batch.put(Table.REFUSED, key, update_id + code.encode())
        self._refused.append((update_id, code))

    def _finish(self, previous: rows.CommitRow) -> Executed:
        """Extend the tree and write the rows of the commit."""
        changes, index = self.batch.changes, self.delivery.index
        table = changes[Table.ENTRIES]
        for at, leaf in enumerate(self.leaves, self.first_entry):
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
            state_root=self.state.root(tree_size, root, self.delivery.finality_digest),
            updates=previous.updates + len(self.accepted),
            finality_digest=self.delivery.finality_digest,
        )
        self.batch.put(Table.COMMITS, rows.key_of(index), rows.encode(row))
        self.batch.put(Table.SIZES, rows.key_of(tree_size), rows.key_of(index))
        return Executed(
            index=index,
            row=row,
            accepted=tuple(self.accepted),
            refused=tuple(self._refused),
            decided=tuple(self.decided),
            usable=tuple(self.usable),
            alarms=tuple(self.alarms),
            evidence=tuple(self._evidence),
        )
