import asyncio
from collections.abc import Callable, Iterable

import pytest

from seawall.codec import attestation_message
from seawall.consensus.verification import check_batch
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import SigningKey
from seawall.domain import block
from seawall.domain.committee import Committee, Member
from seawall.errors import OperationalError, PeerError
from seawall.ingestion.batch import Batch, Certified, Dropped, Silent, Word
from seawall.ingestion.certifier import LATER_TRIES_MAX, Certifier, Patience
from seawall.ingestion.config import IngestionSettings
from seawall.telemetry.logs import open_log
from tests.unit.ingestion.known import ORIGIN, admitted, author

OWN = 1
Answer = Callable[[Batch, int], Word]


def key_of(site: int) -> SigningKey:
    return SigningKey.from_seed(sha256(f"site-{site}".encode()))


def committee_of(stakes: Iterable[int]) -> Committee:
    return Committee(
        origin=ORIGIN,
        epoch=0,
        members=tuple(
            Member(
                index=site,
                name=f"site-{site}",
                zone="",
                stake=stake,
                consensus_key=key_of(site).public,
                cosigner_name="",
                cosigner_key=b"",
            )
            for site, stake in enumerate(stakes)
        ),
    )


def sign(batch: Batch, site: int) -> Word:
    message = attestation_message(ORIGIN, 0, OWN, batch.number, batch.pinned_height, batch.root)
    return Word(signature=key_of(site).sign(message))


def refuse(*positions: int) -> Answer:
    refused = {at: PeerError("VAL_ZERO", "nothing in it") for at in positions}
    return lambda _batch, _site: Word(refused=refused)


def stale(_batch: Batch, _site: int) -> Word:
    return Word(refused=dict.fromkeys(range(3), PeerError("BATCH_PIN", "pin commit 9 or later")))


def fail(_batch: Batch, _site: int) -> Word:
    raise OperationalError("RPC_UNAVAILABLE", "down")


class Sites:
    """Attesters that answer as they are told; None stands for silence."""

    def __init__(self, answers: dict[int, Answer | None]) -> None:
        self.answers = answers
        self.asked: list[int] = []
        self.batch: Batch | None = None

    def offer(self, batch: Batch) -> "Sites":
        """Take a batch."""
        self.batch = batch
        return self

    async def ask(self, site: int) -> Word:
        """Answer for a site."""
        assert self.batch is not None
        self.asked.append(site)
        answer = self.answers.get(site, sign)
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError
        return answer(self.batch, site)


def certifier_of(
    answers: dict[int, Answer | None], stakes: Iterable[int] = (1, 1, 1, 1), **limits: float
) -> tuple[Certifier, Sites]:
    sites = Sites(answers)
    members = {"hedge_seconds_min": 0.01, "hedge_seconds_max": 0.02, **limits}
    settings = IngestionSettings.model_validate(members)
    return Certifier(committee_of(stakes), OWN, sites, settings, open_log("error")), sites


def batch_of(number: int = 1, updates: int = 3) -> Batch:
    owner = author()
    pairs = [(admitted(one), one.payload) for one in (owner.update() for _ in range(updates))]
    return Batch.of(number, 7, pairs)


def check_certificate(certifier: Certifier, batch: Batch, outcome: object) -> list[int]:
    """Check a certificate as consensus does; return who signed."""
    assert isinstance(outcome, Certified)
    whole = block.Batch(OWN, batch.number, batch.pinned_height, batch.records, outcome.attestations)
    check_batch(whole, certifier.committee)
    return [one.author for one in outcome.attestations]


async def test_as_many_sites_as_are_needed_sign() -> None:
    certifier, sites = certifier_of({})
    batch = batch_of()
    signed = check_certificate(certifier, batch, await certifier.certify(batch))
    assert OWN in signed
    assert sorted(sites.asked) == signed
    assert len(signed) == 2


async def test_stake_counts_and_not_heads() -> None:
    certifier, sites = certifier_of({}, stakes=(5, 1, 1, 1, 1))
    batch = batch_of()
    signed = check_certificate(certifier, batch, await certifier.certify(batch))
    assert certifier.committee.stake_of(signed) >= certifier.committee.validity
    assert sites.asked[0] == OWN


async def test_a_spare_site_may_be_asked_as_well() -> None:
    certifier, sites = certifier_of({}, attest_spare=1)
    batch = batch_of()
    check_certificate(certifier, batch, await certifier.certify(batch))
    assert len(sites.asked) == 3


@pytest.mark.parametrize(
    "answer", [fail, stale, refuse(0), lambda _b, _s: Word(signature=bytes(64)), None]
)
async def test_one_site_alone_stops_nothing_and_costs_no_update(answer: Answer | None) -> None:
    for bad in (0, 2, 3):
        certifier, _ = certifier_of({bad: answer})
        for number in range(4):
            batch = batch_of(number)
            signed = check_certificate(certifier, batch, await certifier.certify(batch))
            assert bad not in signed


async def test_a_site_that_fails_is_asked_last_for_a_while() -> None:
    certifier, sites = certifier_of({0: fail, 2: fail}, suspect_seconds=60)
    for number in range(6):
        batch = batch_of(number)
        check_certificate(certifier, batch, await certifier.certify(batch))
    failed = [site for site in sites.asked if site in (0, 2)]
    assert len(failed) == len(set(failed))
    sites.answers.clear()
    certifier.trust(0)
    certifier.trust(2)
    assert certifier.line(bytes(32))[0] == OWN


async def test_what_the_own_site_refuses_is_dropped() -> None:
    certifier, _ = certifier_of({OWN: refuse(1)})
    outcome = await certifier.certify(batch_of())
    assert isinstance(outcome, Dropped)
    assert list(outcome.refused) == [1]


async def test_what_stake_v_refuses_is_dropped_and_nothing_else() -> None:
    certifier, _ = certifier_of({0: refuse(1, 2), 2: refuse(1), 3: refuse(1)})
    outcome = await certifier.certify(batch_of())
    assert isinstance(outcome, Dropped)
    assert 1 in outcome.refused
    assert 0 not in outcome.refused


async def test_when_nobody_else_is_left_one_refusal_counts() -> None:
    certifier, _ = certifier_of({0: refuse(2), 2: fail, 3: fail})
    outcome = await certifier.certify(batch_of())
    assert isinstance(outcome, Dropped)
    assert list(outcome.refused) == [2]


@pytest.mark.parametrize("answer", [fail, stale])
async def test_silence_and_a_pin_too_far_back_refuse_no_update(answer: Answer) -> None:
    certifier, _ = certifier_of({0: answer, 2: answer, 3: answer})
    assert isinstance(await certifier.certify(batch_of()), Silent)


async def test_a_site_that_is_behind_is_asked_again_a_few_times() -> None:
    left = dict.fromkeys(range(4), 1)

    def later_once(batch: Batch, site: int) -> Word:
        left[site] -= 1
        return Word(later=True) if left[site] >= 0 else sign(batch, site)

    certifier, _ = certifier_of(dict.fromkeys(range(4), later_once))
    batch = batch_of()
    check_certificate(certifier, batch, await certifier.certify(batch))
    certifier, sites = certifier_of(dict.fromkeys(range(4), lambda _b, _s: Word(later=True)))
    assert isinstance(await certifier.certify(batch), Silent)
    assert len(sites.asked) == 4 * LATER_TRIES_MAX


def test_patience_follows_what_answers_take() -> None:
    patience = Patience(0.1, 2.0)
    assert patience.seconds == 2.0
    for _ in range(50):
        patience.note(0.01)
    assert patience.seconds == 0.1
    for _ in range(50):
        patience.note(0.5)
    assert 0.5 <= patience.seconds <= 1.0
    patience.note(60)
    assert patience.seconds == 2.0


def test_the_root_of_a_batch_covers_its_records() -> None:
    first, second = batch_of(1), batch_of(2)
    assert first.records == second.records
    assert first.root == second.root
    assert batch_of(1, updates=2).root != first.root
