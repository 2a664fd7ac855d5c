"""The log of one site: the store, the state and the tree, moved forward commit by commit.

`execute` takes a commit: state, tree and `tip` are then ahead of the disk. `stage` writes the rows
of all that was executed since the last time, `settle` takes over what became durable; between the
two, `Staged.commit` waits for the disk, possibly in another thread, and further commits may be
executed. Readers see durable commits only.
"""

from typing import Final

import msgspec

from seawall.crypto.merkle import Frontier, frontier_at, leaf_hash
from seawall.domain.commit import CertifiedCheckpoint
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError, PeerError
from seawall.ledger import rows
from seawall.ledger.cutting import check_policies
from seawall.ledger.execution import Delivery, Executed, Execution
from seawall.ledger.genesis_entries import genesis_leaves
from seawall.ledger.state import State
from seawall.ledger.store import Batch, Staged, Store, Table

GENESIS_INDEX: Final = 0
"""Stands for the state before the first commit in tables that are keyed by commit."""

_NO_COMMIT: Final = bytes(32)
_LAST_KEY: Final = b"\xff" * 8


class Position(msgspec.Struct, frozen=True):
    """A commit index with what the commit led to."""

    index: int
    row: rows.CommitRow


class Group(msgspec.Struct, frozen=True):
    """Commits that become durable together, and where the log stands with them."""

    executed: tuple[Executed, ...]
    certificate: rows.CertificateRow | None
    staged: Staged
    tip: Position
    versions: tuple[int, ...]


class Log:
    """One site's log. Used by one thread; see `Store` for the one exception."""

    def __init__(self, store: Store, genesis: Genesis, origin: str) -> None:
        """Open a log, or begin one with the entries of genesis.

        Raises:
            LocalError: LEDGER_ORIGIN when the store belongs to another chain; LEDGER_CUT_K.
            OperationalError: STORE_CORRUPT when what is stored does not fit together.

        """
        check_policies(genesis)
        self.store = store
        self.origin = origin
        self.committee = genesis.committee(origin)
        self.genesis = genesis
        self.state = State(genesis)
        self._staged: Group | None = None
        self._batch = Batch()
        self._executed: list[Executed] = []
        self._broken = False
        known = store.get(Table.META, rows.GENESIS_KEY)
        if known is None:
            self._begin()
        elif known != origin.encode():
            hint = "this directory belongs to another chain: give this one its own"
            raise LocalError("LEDGER_ORIGIN", hint)
        self.head = self.tip = self._load_head()
        self.frontier = self._load_tree()
        self._load_state()
        self.certificate = self._load_certificate()
        self.versions = self._heads()

    def row(self, index: int) -> rows.CommitRow | None:
        """Return what a durable commit led to; index 0 is genesis."""
        value = self.store.get(Table.COMMITS, rows.key_of(index))
        return None if value is None else rows.decode_commit(value)

    def executed_row(self, index: int) -> rows.CommitRow | None:
        """Return what a commit led to, durable or not."""
        changed, value = self._batch.get(Table.COMMITS, rows.key_of(index))
        return rows.decode_commit(value) if changed and value is not None else self.row(index)

    @property
    def certified_size(self) -> int:
        """Entries under the newest certified checkpoint; 0 before the first."""
        return 0 if self.certificate is None else self.certificate.tree_size

    @property
    def certified_index(self) -> int:
        """Commit of the newest certified checkpoint; 0 before the first."""
        return 0 if self.certificate is None else self.certificate.index

    def check_next(self, delivery: Delivery) -> bool:
        """Return whether a commit is new; False for one that was executed.

        Raises PeerError `LOG_GAP` when a commit before it is missing, `LOG_FORK` when another
        one stands in its place or before it.
        """
        tip = self.tip
        if delivery.index <= tip.index:
            known = self.executed_row(delivery.index)
            if delivery.index < 1 or known is None or known.digest != delivery.digest:
                hint = "another commit is stored under this index: stop and compare the sites"
                raise PeerError("LOG_FORK", hint, field="digest")
            return False
        if delivery.index != tip.index + 1:
            raise PeerError("LOG_GAP", f"send commit {tip.index + 1} next", field="index")
        if delivery.previous_digest != tip.row.digest:
            hint = "the commit does not follow the stored one: stop and compare the sites"
            raise PeerError("LOG_FORK", hint, field="previous_digest")
        return True

    def execute(self, delivery: Delivery) -> Executed:
        """Execute the next commit, in memory.

        After an error the log takes nothing more: what it holds in memory is no commit's.

        Raises:
            OperationalError: STORE_CORRUPT when an entry that it refers to is damaged; STORE_WRITE
                after an earlier failure.

        """
        self._begin_change()
        executed = Execution(
            delivery, self.state, self.frontier, self.committee, self.store, self._batch
        ).run(self.tip.row)
        self.tip = Position(executed.index, executed.row)
        self._executed.append(executed)
        self._broken = False
        return executed

    def stage(self, certificate: CertifiedCheckpoint | None = None) -> Group:
        """Write what was executed since the last time, with the newest certificate.

        After an error the log takes nothing more: what it holds in memory is ahead of the disk.

        Raises:
            OperationalError: STORE_FULL, STORE_WRITE.

        """
        assert self._staged is None, "one group at a time"
        self._begin_change()
        batch = self._batch
        certified = None if certificate is None else _certificate_row(certificate)
        if certified is not None:
            batch.put(Table.META, rows.CERTIFICATE_KEY, rows.encode(certified))
        staged = self.store.stage(batch)
        self._staged = Group(tuple(self._executed), certified, staged, self.tip, self._heads())
        self._batch, self._executed = Batch(below=batch), []
        self._broken = False
        return self._staged

    def settle(self, group: Group) -> None:
        """Take over a group whose commit has returned."""
        assert group is self._staged, "settle what was staged"
        self._staged = self._batch.below = None
        self.head, self.versions = group.tip, group.versions
        if group.certificate is not None:
            self.certificate = group.certificate

    def _begin_change(self) -> None:
        """Count as broken until the change is through."""
        if self._broken:
            raise OperationalError("STORE_WRITE", "an earlier write failed: restart the site")
        self._broken = True

    def check_certificate(self, certificate: CertifiedCheckpoint) -> bool:
        """Return whether a certificate, whose votes consensus has verified, is newer than ours.

        Raises PeerError:
            LOG_GAP: its commit is not here.
            LOG_FORK: a quorum reached another tree with it than this site did.
            LOG_QUORUM: its votes are not of stake Q.

        """
        row = self.executed_row(certificate.index)
        if row is None:
            hint = f"send commits up to {certificate.index} first"
            raise PeerError("LOG_GAP", hint, field="index")
        ours = (row.digest, row.tree_size, row.root)
        if ours != (certificate.commit_digest, certificate.tree_size, certificate.root):
            hint = "a quorum has another tree at this commit: stop and compare the sites"
            raise PeerError("LOG_FORK", hint, field="root")
        authors = [one.author for one in certificate.cosignatures]
        if any(not 0 <= author < self.committee.size for author in authors) or (
            self.committee.stake_of(authors) < self.committee.quorum
        ):
            raise PeerError("LOG_QUORUM", "send votes of stake Q", field="cosignatures")
        staged = None if self._staged is None else self._staged.certificate
        newest = self.certified_index if staged is None else staged.index
        return certificate.index > newest

    def _heads(self) -> tuple[int, ...]:
        """Return the highest usable version of each task."""
        return tuple(task.row.head for task in self.state.tasks)

    def _begin(self) -> None:
        """Write the entries of genesis and the state they stand for."""
        batch, frontier = Batch(), Frontier()
        leaves = genesis_leaves(self.genesis, self.origin)
        for index, leaf in enumerate(leaves):
            batch.put(Table.ENTRIES, rows.key_of(index), leaf)
        for level, index, value in frontier.extend_with_nodes(map(leaf_hash, leaves)):
            batch.put(Table.NODES, rows.node_key(level, index), value)
        self.state.write((), self.state.tasks, batch)
        size, root = frontier.size, frontier.root()
        state_root = self.state.root(size, root, b"")
        row = rows.CommitRow(_NO_COMMIT, size, root, 0, state_root, 0, b"")
        batch.put(Table.COMMITS, rows.key_of(GENESIS_INDEX), rows.encode(row))
        batch.put(Table.SIZES, rows.key_of(size), rows.key_of(GENESIS_INDEX))
        batch.put(Table.META, rows.GENESIS_KEY, self.origin.encode())
        self.store.stage(batch).commit()
        self.state = State(self.genesis)

    def _load_head(self) -> Position:
        """Return the last commit."""
        found = self.store.floor(Table.COMMITS, _LAST_KEY)
        if found is None:
            raise _corrupt("commits")
        try:
            return Position(rows.number_of(found[0]), rows.decode_commit(found[1]))
        except msgspec.MsgspecError as error:
            raise _corrupt("commits") from error

    def _load_tree(self) -> Frontier:
        """Return the tree's right edge; it and the last entry must fit the last commit."""
        row = self.head.row
        frontier = frontier_at(row.tree_size, self._node)
        last = self.store.floor(Table.ENTRIES, _LAST_KEY)
        if frontier.root() != row.root:
            raise _corrupt("nodes")
        if last is None or rows.number_of(last[0]) != row.tree_size - 1:
            raise _corrupt("entries")
        if leaf_hash(last[1]) != self._node(0, row.tree_size - 1):
            raise _corrupt("entries")
        return frontier

    def _load_state(self) -> None:
        """Read the state's tables; their digest must be the one the last commit led to."""
        self.state.load(self.store)
        row = self.head.row
        if self.state.root(row.tree_size, row.root, row.finality_digest) != row.state_root:
            raise _corrupt("state")

    def _load_certificate(self) -> rows.CertificateRow | None:
        """Return the newest certificate; it must be about a commit that we have."""
        value = self.store.get(Table.META, rows.CERTIFICATE_KEY)
        if value is None:
            return None
        try:
            certificate = rows.decode_certificate(value)
        except msgspec.MsgspecError as error:
            raise _corrupt("certificate") from error
        row = self.row(certificate.index)
        if row is None or (row.tree_size, row.root) != (certificate.tree_size, certificate.root):
            raise _corrupt("certificate")
        return certificate

    def _node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        value = self.store.get(Table.NODES, rows.node_key(level, index))
        if value is None:
            raise _corrupt("nodes")
        return value


def _certificate_row(certificate: CertifiedCheckpoint) -> rows.CertificateRow:
    """Return a certificate as the store keeps it."""
    cosignatures = sorted((one.author, one.blob) for one in certificate.cosignatures)
    return rows.CertificateRow(
        certificate.index, certificate.tree_size, certificate.root, tuple(cosignatures)
    )


def _corrupt(field: str) -> OperationalError:
    """Return the error for stored data that does not fit together."""
    hint = "the ledger's file is damaged: restore the directory, or remove it to sync anew"
    return OperationalError("STORE_CORRUPT", hint, field=field)
