"""The attacks of the schedule: each is carried out against running sites, and judged."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import numpy as np

from seawall.client import AsyncClient
from seawall.crypto.signing import SigningKey, key_id
from seawall.errors import SeawallError
from seawall.formats.oms import CHUNK_SIZE
from seawall.runtime.service import INGESTION
from seawall.testbed.demo import bad_input, messages, wire
from seawall.testbed.demo.bad_input import Material
from seawall.testbed.demo.field import Entries, Field
from seawall.testbed.demo.outcomes import Outcome, expect
from seawall.testbed.demo.relay import TamperingRelay
from seawall.testbed.demo.schedule import Attack, Kind
from seawall.testbed.demo.settings import CARRIER, MALLORY, STRANGER, TWIN
from seawall.testbed.genesis_maker import contributor_name
from seawall.testbed.tasks import DIGITS, WIDE

ATTACK_SECONDS_MAX: Final = 60.0
EQUIVOCATIONS_MAX: Final = 5
SILENT_VERSIONS: Final = 2
RIVAL: Final = ("REPLAY_EQUIVOCATION", "VERDICT_OUTVOTED", "VERDICT_CONTESTED")
"""How an update is refused whose number another one holds, or contests."""

ONE_AT_MOST: Final = "one COMMITTED at most, its rival refused in order"

NAMES: Final = {
    Kind.KILL: "SIGKILL",
    Kind.REPLAY: "replayed submissions",
    Kind.FORGERY: "forged submissions",
    Kind.OVERSIZE: "oversized submissions",
    Kind.TRUNCATION: "truncated submissions",
    Kind.EQUIVOCATION: "two payloads under one number",
    Kind.TAMPERING: "a chunk changed in transit",
    Kind.SILENT_ROOT: "no reference update",
}


async def carry_out(field: Field, attack: Attack) -> list[Outcome]:
    """Carry out one attack when its time has come, and return what was observed."""
    await field.reached(attack.version)
    try:
        async with asyncio.timeout(ATTACK_SECONDS_MAX):
            return await _ATTACKS[attack.kind](field, attack)
    except TimeoutError:
        return [expect(title(field, attack), "it ends in time", "it did not end in time")]
    except SeawallError as fault:
        return [expect(title(field, attack), "it is carried out", f"{fault.code}: {fault.hint}")]


def title(field: Field, attack: Attack) -> str:
    """Return what an attack is, for people."""
    if attack.kind is Kind.SILENT_ROOT:
        return f"{NAMES[attack.kind]}, v{attack.version}"
    target = field.genesis.sites[attack.site].name
    return f"{NAMES[attack.kind]}, {target}, v{attack.version}"


async def _kill(field: Field, attack: Attack) -> list[Outcome]:
    """End a site without warning; let it return when the others have gone on."""
    name = field.genesis.sites[attack.site].name
    async with field.down, field.attacking(attack.site):
        gap = attack.until - attack.version
        # Later than planned when another site was still on its way back.
        until = max(attack.until, field.version + gap)
        field.supervisor.kill(name, hold=True)
        try:
            code = await field.supervisor.ended(name)
            await field.reached(until)
        finally:
            field.supervisor.release(name)
        height = max(view.certified for view in field.views)
        await field.until(lambda: field.is_level(attack.site, height))
    after = f"{gap} versions without it, then back and level"
    observed, expected = f"signal {-code}; {after}", f"signal 9; {after}"
    return [expect(title(field, attack), expected, observed)]


async def _bad_input(field: Field, attack: Attack) -> list[Outcome]:
    """Send submissions that must be refused, each with its code, over one stream."""
    async with (
        field.mallory,
        field.attacking(attack.site),
        field.client(MALLORY, DIGITS, attack.site) as sdk,
    ):
        material = await _material(field, attack, sdk)
        cases = bad_input.cases_of(attack.kind, material)
        channel = field.observer.channel(attack.site, INGESTION)
        answers = await wire.submit(channel, [case.update for case in cases])
    for case in cases:
        if case.code != wire.COMMITTED:
            field.refused.append(wire.identity_of(case.update))
    place = f"{field.genesis.sites[attack.site].name}, v{attack.version}"
    return [
        expect(f"{attack.kind}: {case.name}, {place}", case.code, answer.verdict)
        for case, answer in zip(cases, answers, strict=True)
    ]


async def _material(field: Field, attack: Attack, sdk: AsyncClient) -> Material:
    """Have one good update acknowledged, and collect what bad ones are made from."""
    base = await sdk.pull()
    generator = np.random.default_rng([attack.draw, base.version])
    delta = generator.integers(-1000, 1000, base.ints.size).astype(np.int32)
    receipt = await sdk.push(delta, base, 1)
    await receipt.wait("committed")
    stranger = SigningKey.from_seed(STRANGER.encode().ljust(32, b"."))
    return Material(
        base=base,
        sealer=sdk.sealer,
        key=field.key(MALLORY),
        other=field.key(contributor_name(0)),
        stranger=stranger,
        accepted=receipt.prepared,
        next_seq=sdk.next_seq,
        draw=attack.draw,
    )


async def _equivocate(field: Field, attack: Attack) -> list[Outcome]:
    """Sign two payloads under one number and send one to each of two sites at once."""
    verdicts: list[str] = []
    async with (
        field.attacking(attack.site, attack.other),
        field.client(TWIN, DIGITS, attack.site) as sdk,
    ):
        for turn in range(EQUIVOCATIONS_MAX):
            base = await sdk.pull()
            seq = sdk.next_seq()
            generator = np.random.default_rng([attack.draw, turn])
            pair = [
                sdk.sealer.seal(
                    generator.integers(-1000, 1000, base.ints.size).astype(np.int32),
                    base=base,
                    seq=seq,
                    num_examples=1,
                )
                for _ in range(2)
            ]
            channels = [
                field.observer.channel(site, INGESTION) for site in (attack.site, attack.other)
            ]
            answers = await asyncio.gather(
                *(wire.submit(c, [one]) for c, one in zip(channels, pair, strict=True))
            )
            verdicts = [answer[0].verdict for answer in answers]
            for one, answer in zip(pair, answers, strict=True):
                if answer[0].verdict != wire.COMMITTED:
                    field.refused.append(wire.identity_of(one))
            # When one site hears of the other's in time it refuses at the door: no evidence then.
            if all(one == wire.COMMITTED or one in RIVAL for one in verdicts):
                break
    subject = title(field, attack)
    field.later.append(lambda ledgers: _evidence(field, subject, ledgers))
    in_order = all(one == wire.COMMITTED or one in RIVAL for one in verdicts)
    holds = in_order and verdicts.count(wire.COMMITTED) <= 1
    return [expect(subject, ONE_AT_MOST, ONE_AT_MOST if holds else ", ".join(verdicts))]


def _evidence(field: Field, subject: str, ledgers: Entries) -> Outcome:
    """Say whether the proof of two payloads under one number is in every ledger."""
    twin = key_id(field.key(TWIN).public).hex()
    holders = [
        name
        for name, entries in ledgers.items()
        if any(spec["subject"] == twin for spec in _specs(entries, "evidence"))
    ]
    return expect(
        f"{subject}: proof",
        f"in {len(field.genesis.sites)} ledgers",
        f"in {len(holders)} ledgers",
    )


async def _tamper(field: Field, attack: Attack) -> list[Outcome]:
    """Upload a payload of several chunks through a relay that changes one of them."""
    site = field.genesis.sites[attack.site]
    size = field.chain.task(WIDE).payload_size_bytes
    chunks = -(-size // CHUNK_SIZE)
    chosen = attack.draw % chunks
    async with (
        field.attacking(attack.site),
        TamperingRelay(site, chunk=chosen, draw=attack.draw) as relay,
        AsyncClient(
            [site.name],
            others=False,
            task=WIDE,
            genesis=field.chain,
            key=field.directory.contributor_key(CARRIER),
            open_channel=relay.dial,
        ) as sdk,
    ):
        base = await sdk.pull()
        generator = np.random.default_rng([attack.draw])
        delta = generator.integers(-1000, 1000, base.ints.size).astype(np.int32)
        receipt = await sdk.push(delta, base, 1)
        event = await receipt.wait("committed")
        sent = [relay.sent[index] for index in range(chunks)]
        again = receipt.chunks_again
    expected = [2 if index == chosen else 1 for index in range(chunks)]
    return [
        expect(
            title(field, attack),
            f"chunk {chosen} of {chunks} again, no other; COMMITTED",
            f"{_chunks_text(sent, again, expected, chosen)}; {event.stage.name}",
        )
    ]


def _chunks_text(sent: list[int], again: tuple[int, ...], expected: list[int], chosen: int) -> str:
    if sent == expected and again == (chosen,):
        return f"chunk {chosen} of {len(sent)} again, no other"
    return f"chunks sent {sent} times, again {list(again)}"


async def _silence_root(field: Field, attack: Attack) -> list[Outcome]:
    """Keep the owner of the root set from signing, until versions have been made without."""
    start = field.version
    field.workers.tell(messages.ROOT_OFF)
    try:
        # The version under way may have its reference already.
        await field.reached(start + 1 + SILENT_VERSIONS)
    finally:
        field.workers.tell(messages.ROOT_ON)
    subject = title(field, attack)
    last = field.version

    def check(ledgers: Entries) -> Outcome:
        longest = max(ledgers.values(), key=len)
        cuts = [
            spec
            for spec in _specs(longest, "cut")
            if spec["task"] == DIGITS and start < spec["version"] <= last
        ]
        without = [spec for spec in cuts if not spec["root"]]
        return expect(
            subject,
            "versions go on, by clip + NNM + median",
            "versions go on, " + ("by clip + NNM + median" if without else "with a reference"),
            detail=f"{len(without)} of {len(cuts)} cuts without a reference",
        )

    field.later.append(check)
    return []


def _specs(entries: object, kind: str) -> list[dict[str, Any]]:
    """Return the specs of all entries of one kind."""
    assert isinstance(entries, tuple | list)
    mark = f'"kind":"{kind}","spec"'.encode()
    return [json.loads(entry)["spec"] for entry in entries if mark in entry]


_ATTACKS: Final[dict[Kind, Callable[[Field, Attack], Awaitable[list[Outcome]]]]] = {
    Kind.KILL: _kill,
    Kind.REPLAY: _bad_input,
    Kind.FORGERY: _bad_input,
    Kind.OVERSIZE: _bad_input,
    Kind.TRUNCATION: _bad_input,
    Kind.EQUIVOCATION: _equivocate,
    Kind.TAMPERING: _tamper,
    Kind.SILENT_ROOT: _silence_root,
}
