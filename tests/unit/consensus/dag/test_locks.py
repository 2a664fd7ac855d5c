"""What a site votes for: one digest per key, whatever happens."""

from msgspec import structs

from seawall.codec import encode_records
from seawall.consensus.dag.finaliser import Finaliser
from seawall.consensus.dag.locks import Locks, rejects_size
from seawall.consensus.dag.owners import REMEMBERED_SEQS, Owner
from seawall.consensus.dag.stakes import StakeTable
from seawall.consensus.dag.store import BlockStore, Vertex
from seawall.crypto.hashing import sha256
from seawall.domain.block import Batch, RejectSet, UpdateRecord
from seawall.sim.fastpath.dag import Update
from tests.unit.consensus.cluster import make_committee
from tests.unit.consensus.dag.drawing import draw_block, full_rounds
from tests.unit.consensus.dag.modelled import record_of

COMMITTEE = make_committee()
OWNER = sha256(b"owner")


def record(seq: int, digest: str, expires_height: int = 1000) -> UpdateRecord:
    """Return a record of the one owner."""
    plain = record_of(Update(key="owner", digest=digest))
    return structs.replace(plain, seq=seq, expires_height=expires_height)


def carrier(author: int, *records: UpdateRecord, round_: int = 1) -> Vertex:
    """Return an accepted block with these updates."""
    parents = full_rounds(COMMITTEE, 1)[author].block.parents
    batch = Batch(author, 1, 0, encode_records(records), ())
    return BlockStore().add(draw_block(round_, author, parents, batches=(batch,)))


def locks(rejects_bytes_max: int = 1000) -> Locks:
    """Return no locks."""
    return Locks(Finaliser(StakeTable(COMMITTEE), 3), rejects_bytes_max)


def test_the_first_digest_of_a_key_is_accepted_again_and_again_and_no_other() -> None:
    voter = locks()
    one = carrier(0, record(1, "x"), record(2, "y"), record(1, "z"), record(1, "x"))
    assert voter.vote([one], 0, 0) == ((RejectSet(one.ref, (2,)),), 0)
    two = carrier(1, record(1, "x"), record(2, "x"))
    assert voter.vote([two], 0, 0) == ((RejectSet(two.ref, (1,)),), 0)
    assert len(voter) == 2


def test_what_has_expired_is_rejected_and_takes_no_lock() -> None:
    voter = locks()
    one = carrier(0, record(1, "x", expires_height=7), record(2, "y", expires_height=8))
    assert voter.vote([one], 0, 7) == ((RejectSet(one.ref, (0,)),), 0)
    assert len(voter) == 1


def test_too_much_to_reject_raises_the_cutoff_before_any_lock_is_taken() -> None:
    voter = locks(rejects_bytes_max=100)
    seen = carrier(0, record(1, "x"))
    assert voter.vote([seen], 0, 0) == ((), 0)
    fine = carrier(1, record(5, "f"))
    bad = [carrier(author, record(1, "y"), round_=round_) for author, round_ in ((1, 2), (2, 3))]
    last = carrier(3, record(1, "z"), record(6, "g"), round_=4)
    rejects, cutoff = voter.vote([fine, *bad, last], 0, 0)
    assert cutoff == 2
    assert rejects == (RejectSet(bad[1].ref, (0,)), RejectSet(last.ref, (0,)))
    assert rejects_size(rejects) == 96
    # Nothing at or below the cutoff took a lock: number 5 may still be another digest.
    assert voter.vote([carrier(2, record(5, "h"))], 0, 0) == ((), 0)


def test_shut_keys_are_rejected() -> None:
    voter = locks()
    owner = Owner()
    owner.accept(3, sha256(b"x"))
    owner.deliver(4, sha256(b"x"))
    owner.close(4)
    voter._finaliser.owners[OWNER] = owner  # noqa: SLF001 - what commits would have brought
    one = carrier(0, record(3, "x"), record(4, "x"), record(5, "x"))
    assert voter.vote([one], 0, 0) == ((RejectSet(one.ref, (0, 1)),), 0)


def test_an_accept_drops_the_lock_and_those_out_of_the_window() -> None:
    voter = locks()
    far = REMEMBERED_SEQS + 5
    voter.vote([carrier(0, record(1, "x"), record(6, "y"), record(far, "z"))], 0, 0)
    finaliser = voter._finaliser  # noqa: SLF001 - what commits would have brought
    owner = finaliser.owners[OWNER] = Owner()
    owner.accept(far, sha256(b"z"))
    voter.drop([(OWNER, far), (sha256(b"another"), 1)])
    assert [one.digests for one in voter.snapshot()] == [{6: sha256(b"y")}]
    voter.drop([(OWNER, 6)])
    assert voter.snapshot() == ()


def test_votes_in_the_journal_take_their_locks_again() -> None:
    voter, again = locks(), locks()
    one = carrier(0, record(1, "x"), record(2, "y"), record(1, "z"))
    rejects, cutoff = voter.vote([one], 0, 0)
    block = BlockStore().add(draw_block(2, 0, [one.ref], rejects=rejects))
    again.vote_again([one], block)
    assert (cutoff, again.snapshot()) == (0, voter.snapshot())
    owner = again._finaliser.owners[OWNER] = Owner()  # noqa: SLF001 - as above
    owner.accept(1, sha256(b"x"))
    again.drop([(OWNER, 1)])
    again.vote_again([one], block)
    assert [one.digests for one in again.snapshot()] == [{2: sha256(b"y")}]
    again.restore(voter.snapshot())
    assert again.snapshot() == voter.snapshot()
