"""A small log with a log key and four cosigners of stakes 1, 2, 3 and 4."""

from seawall.crypto.merkle import Frontier, NodeReader, inclusion_proof, leaf_hash
from seawall.crypto.signing import SigningKey
from seawall.formats.checkpoint import Checkpoint
from seawall.formats.cosignature import cosign, cosigner_line, log_line, quorum_note
from seawall.formats.tlog_proof import TlogProof

ORIGIN = "seawall/0123456789abcdef"
TIME_S = 1_800_000_000
ENTRIES = [b'{"n":%d}' % i for i in range(300)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]

LOG_KEY = SigningKey.from_seed(b"L" * 32)
COSIGNER_KEYS = [SigningKey.from_seed(bytes([i]) * 32) for i in range(4)]
NAMES = [f"{ORIGIN}/site{i}" for i in range(4)]
COSIGNERS = [
    (name, key.public, stake)
    for name, key, stake in zip(NAMES, COSIGNER_KEYS, (1, 2, 3, 4), strict=True)
]


def checkpoint(size: int = len(LEAVES)) -> Checkpoint:
    """Return the checkpoint of the first `size` entries."""
    frontier = Frontier()
    frontier.extend(LEAVES[:size])
    return Checkpoint(ORIGIN, size, frontier.root())


def note(*sites: int, size: int = len(LEAVES), time_s: int = TIME_S) -> bytes:
    """Return the checkpoint note with the log's line and those of these sites."""
    state = checkpoint(size)
    lines = [
        cosigner_line(
            NAMES[i], COSIGNER_KEYS[i].public, cosign(COSIGNER_KEYS[i], state.body(), time_s)
        )
        for i in sites
    ]
    return quorum_note(state, log_line(state, LOG_KEY), lines)


def node_of(size: int = len(LEAVES)) -> NodeReader:
    """Return node(level, index) of the log's complete subtrees."""
    completed = Frontier().extend_with_nodes(LEAVES[:size])
    nodes = {(level, index): value for level, index, value in completed}

    def node(level: int, index: int) -> bytes:
        return nodes[level, index]

    return node


def proof(index: int, *sites: int, size: int = len(LEAVES)) -> TlogProof:
    """Return the proof of one entry under a checkpoint of these sites."""
    hashes = inclusion_proof(index, size, node_of(size))
    return TlogProof(index, tuple(hashes), note(*sites, size=size))
