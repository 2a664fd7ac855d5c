"""Each bad submission is refused with its code by the stateless checks, where they can tell."""

from itertools import count

import numpy as np
import pytest

from seawall.client import Base, Chain, Head, Sealer, SeenCheckpoint
from seawall.crypto.signing import SigningKey
from seawall.domain.genesis import Contributor, Genesis, GenesisSite
from seawall.domain.parameters import AdmissionParameters, ConsensusParameters
from seawall.errors import PeerError
from seawall.formats import genesis as genesis_format
from seawall.formats.admission import Admission
from seawall.testbed.demo.bad_input import Material, cases_of
from seawall.testbed.demo.schedule import Kind
from seawall.testbed.demo.wire import COMMITTED
from seawall.testbed.tasks import DIGITS, digits_task

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
STATE_RULES = ("REPLAY_BASE", "REPLAY_CHECKPOINT", "REPLAY_EXPIRED", "REPLAY_PAYLOAD", "REPLAY_SEQ")
"""Codes that only a ledger can answer with."""


def key(number: int) -> SigningKey:
    return SigningKey.from_seed(number.to_bytes(32, "big"))


def genesis() -> Genesis:
    site = GenesisSite(
        name="site-0",
        zone="local",
        stake=1,
        consensus_key=key(1).public,
        cosigner_name="a/site-0",
        cosigner_key=key(2).public,
        tls_certificate_pem=PEM,
        peer_address="127.0.0.1:2",
        client_address="127.0.0.1:1",
    )
    people = (key(7), key(8))
    return Genesis(
        chain="test",
        sites=(site,),
        consensus=ConsensusParameters(leaders_per_round=1),
        admission=AdmissionParameters(),
        log_key=key(3).public,
        root_keys=(key(4).public,),
        root_threshold=1,
        tasks=(digits_task(1).task,),
        contributors=tuple(
            Contributor(name=f"c-{at}", public_key=one.public, roles=("contributor",))
            for at, one in enumerate(people)
        ),
    )


@pytest.fixture(scope="module")
def material() -> Material:
    chain = Chain.read(genesis_format.encode(genesis()))
    planned = digits_task(1)
    layout = chain.layouts[DIGITS]
    checkpoint = SeenCheckpoint(size=9, root=bytes(range(32)), note="", height=3)
    head = Head(
        task=DIGITS,
        version=0,
        digest=planned.task.base_payload_digest,
        size_bytes=len(planned.base_payload),
        commit_index=0,
        final=True,
        checkpoint=checkpoint,
    )
    ints = layout.decode(planned.base_payload)
    base = Base(head=head, ints=ints, arrays={})
    sealer = Sealer(chain, DIGITS, key(7))
    delta = np.ones(ints.size, dtype=np.int32)
    numbers = count(10)
    return Material(
        base=base,
        sealer=sealer,
        key=key(7),
        other=key(8),
        stranger=key(9),
        accepted=sealer.seal(delta, base=base, seq=1, num_examples=1),
        next_seq=lambda: next(numbers),
        draw=123_456,
    )


@pytest.fixture(scope="module")
def admission() -> Admission:
    data = genesis_format.encode(genesis())
    return Admission(genesis(), genesis_format.origin(data))


@pytest.mark.parametrize("kind", [Kind.REPLAY, Kind.FORGERY, Kind.OVERSIZE, Kind.TRUNCATION])
def test_each_submission_is_refused_with_its_code(
    kind: Kind, material: Material, admission: Admission
) -> None:
    for case in cases_of(kind, material):
        update = case.update
        code = COMMITTED
        try:
            admitted = admission.check_envelope(update.envelope, update.manifest, update.provenance)
            admission.check_payload(admitted, update.payload)
        except PeerError as fault:
            code = fault.code
        expected = COMMITTED if case.code in STATE_RULES else case.code
        assert code == expected, case.name


def test_what_they_are_made_from_is_good(material: Material, admission: Admission) -> None:
    for update in (material.accepted, material.fresh()):
        admitted = admission.check_envelope(update.envelope, b"", b"")
        admission.check_payload(admitted, update.payload)
