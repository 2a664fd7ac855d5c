"""What the tree proves: inclusion, consistency, and checkpoints as signed notes."""

from seawall.crypto.merkle import consistency_proof, inclusion_proof
from seawall.crypto.signing import SigningKey
from seawall.domain.committee import Committee
from seawall.errors import OperationalError, PeerError
from seawall.formats import tlog_proof
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosigner_line, log_line, quorum_note
from seawall.ledger import rows
from seawall.ledger.store import Reader, Table


class Tree:
    """The durable tree of a log, read from its stored nodes."""

    def __init__(self, reader: Reader) -> None:
        """Read from this store."""
        self._reader = reader

    def inclusion(self, index: int, size: int, size_max: int) -> list[bytes]:
        """Return the proof that leaf `index` is in the tree of `size` leaves.

        Raises PeerError `LOG_SIZE` for a tree above `size_max` leaves, `LOG_INDEX` for a leaf
        that is not in it.
        """
        if not 0 < size <= size_max:
            raise PeerError("LOG_SIZE", f"choose 1 to {size_max}", field="tree_size")
        if not 0 <= index < size:
            raise PeerError("LOG_INDEX", "choose an index below the tree's size", field="index")
        return inclusion_proof(index, size, self._node)

    def consistency(self, old_size: int, new_size: int, size_max: int) -> list[bytes]:
        """Return the proof that the tree of `old_size` leaves is a prefix of the newer one.

        Raises PeerError `LOG_SIZE` unless 0 <= old_size <= new_size <= size_max.
        """
        if not 0 <= old_size <= new_size <= size_max:
            hint = f"choose an old size, then a new one, up to {size_max}"
            raise PeerError("LOG_SIZE", hint, field="old_size")
        return consistency_proof(old_size, new_size, self._node)

    def proof(self, index: int, size: int, note: bytes) -> bytes:
        """Return the C2SP tlog-proof of leaf `index` under a checkpoint of `size` leaves."""
        hashes = tuple(self.inclusion(index, size, size))
        return tlog_proof.encode(tlog_proof.TlogProof(index, hashes, note))

    def _node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        value = self._reader.get(Table.NODES, rows.node_key(level, index))
        if value is None:
            hint = "a node of the ledger is missing: restore the directory, or sync anew"
            raise OperationalError("STORE_CORRUPT", hint, field="nodes")
        return value


def checkpoint_note(
    certificate: rows.CertificateRow, committee: Committee, log_key: SigningKey
) -> bytes:
    """Return a certified checkpoint as a C2SP signed note, UTF-8 bytes.

    The log's own line stands first, then the cosignatures in the order of the committee.
    """
    checkpoint = Checkpoint(committee.origin, certificate.tree_size, certificate.root)
    lines = []
    for author, blob in certificate.cosignatures:
        member = committee.members[author]
        lines.append(cosigner_line(member.cosigner_name, member.cosigner_key, blob))
    return quorum_note(checkpoint, log_line(checkpoint, log_key), lines)
