"""The entries that stand before the first commit: committee, tasks, keys."""

from seawall.crypto.hashing import sha256
from seawall.crypto.signing import key_id
from seawall.domain.genesis import Genesis
from seawall.formats import entry as entries
from seawall.formats import genesis as genesis_format
from seawall.ledger.cutting import rule_of


def genesis_leaves(genesis: Genesis, origin: str) -> list[bytes]:
    """Return the first leaves of the log, equal at every site of the chain."""
    committee = genesis.committee(origin)
    validators = tuple(
        entries.Validator(
            consensus_key=member.consensus_key.hex(),
            cosigner_key=member.cosigner_key.hex(),
            cosigner_name=member.cosigner_name,
            index=member.index,
            name=member.name,
            stake=member.stake,
            zone=member.zone,
        )
        for member in committee.members
    )
    epoch = entries.EpochEntry(
        epoch=committee.epoch,
        genesis=sha256(genesis_format.encode(genesis)).hex(),
        origin=origin,
        quorum=committee.quorum,
        validators=validators,
    )
    leaves = [entries.encode(epoch)]
    for index, task in enumerate(genesis.tasks):
        leaves.append(
            entries.encode(
                entries.TaskEntry(
                    base_payload=task.base_payload_digest.hex(),
                    grid_bits=task.grid_bits,
                    header_size=task.header_size_bytes,
                    index=index,
                    name=task.name,
                    payload_size=task.payload_size_bytes,
                    rule=rule_of(task.rule),
                )
            )
        )
    for index, person in enumerate(genesis.contributors):
        leaves.append(
            entries.encode(
                entries.KeyEntry(
                    contributor=key_id(person.public_key).hex(),
                    index=index,
                    name=person.name,
                    public_key=person.public_key.hex(),
                    roles=person.roles,
                )
            )
        )
    return leaves
