"""Verdicts as they are kept beside a commit: each batch once, then the verdicts on its updates.

    finality digest: length (1; 0 or 32), bytes
    counts: batches (4), verdicts (4)
    batches: site (2), then as in a block; in the order in which verdicts first need them
    verdicts: block (42), batch (4), first index (4), judgement (1), rule (1), positions (4);
              then each position (4)

A commit may judge the updates of one batch in many runs, so batches stand apart: what is written
grows with what was judged, not with its square.
"""

from collections.abc import Sequence
from itertools import pairwise
from struct import Struct
from typing import Final

from seawall.codec.block import decode_batch, encode_batch
from seawall.codec.reading import Reader
from seawall.codec.records import record_count
from seawall.crypto.hashing import DIGEST_BYTES
from seawall.domain.block import Batch, Ref
from seawall.domain.commit import Judgement, Verdict
from seawall.errors import PeerError

_LENGTH: Final = Struct(">B")
_COUNTS: Final = Struct(">II")
_SITE: Final = Struct(">H")
_VERDICT: Final = Struct(">QH32sIIBBI")
_POSITION: Final = Struct(">I")
_JUDGEMENTS: Final = {judgement.value: judgement for judgement in Judgement}


def encode_verdicts(verdicts: Sequence[Verdict], finality_digest: bytes) -> bytes:
    """Return the canonical bytes of what a finaliser says with one commit."""
    places = {
        batch: place for place, batch in enumerate(dict.fromkeys(one.batch for one in verdicts))
    }
    pieces = [
        _LENGTH.pack(len(finality_digest)),
        finality_digest,
        _COUNTS.pack(len(places), len(verdicts)),
    ]
    for batch in places:
        pieces.append(_SITE.pack(batch.site))
        encode_batch(batch, pieces)
    for one in verdicts:
        block, place, count = one.block, places[one.batch], len(one.positions)
        pieces.append(
            _VERDICT.pack(
                block.round,
                block.author,
                block.digest,
                place,
                one.first_index,
                one.judgement,
                one.rule,
                count,
            )
        )
        pieces.extend([_POSITION.pack(position) for position in one.positions])
    return b"".join(pieces)


def decode_verdicts(data: bytes) -> tuple[tuple[Verdict, ...], bytes]:
    """Return the verdicts in these bytes, and the finality digest.

    Raises PeerError:
        VERDICT_TRUNCATED, VERDICT_TRAILING: the bytes end too early, or something follows.
        VERDICT_DIGEST: a finality digest that is neither empty nor 32 bytes long.
        VERDICT_BATCH: batches that repeat, are not needed, or stand in another order.
        VERDICT_POSITIONS: none, not ascending, or beyond the batch.
        VERDICT_JUDGEMENT: not a judgement that this version knows.
        BLOCK_RANGE, RECORD_*: a malformed batch.
    """
    reader = Reader(data, "VERDICT_TRUNCATED")
    (size,) = reader.unpack(_LENGTH)
    if size not in (0, DIGEST_BYTES):
        raise PeerError("VERDICT_DIGEST", "a digest has 32 bytes", offset=0)
    finality_digest = reader.take(size)
    batch_count, verdict_count = reader.unpack(_COUNTS)
    batches: list[Batch] = []
    for _ in range(batch_count):
        (site,) = reader.unpack(_SITE)
        batches.append(decode_batch(reader, site))
    verdicts: list[Verdict] = []
    used = 0
    for _ in range(verdict_count):
        place, verdict = _decode_verdict(reader, batches, used)
        used = max(used, place + 1)
        verdicts.append(verdict)
    reader.end("VERDICT_TRAILING")
    if used != batch_count or len(dict.fromkeys(batches)) != batch_count:
        raise PeerError("VERDICT_BATCH", "each batch once, and none that no verdict is on")
    return tuple(verdicts), finality_digest


def _decode_verdict(reader: Reader, batches: Sequence[Batch], used: int) -> tuple[int, Verdict]:
    """Read one verdict; `used` batches have been named by those before it."""
    round_, author, digest, place, first_index, judgement, rule, count = reader.unpack(_VERDICT)
    if place > used or place >= len(batches):
        raise PeerError("VERDICT_BATCH", "batches stand in order of use", offset=reader.offset)
    if judgement not in _JUDGEMENTS:
        hint = "not a judgement that this version knows"
        raise PeerError("VERDICT_JUDGEMENT", hint, offset=reader.offset)
    positions = tuple([position for (position,) in reader.unpack_many(_POSITION, count)])
    batch = batches[place]
    ascending = all(one < after for one, after in pairwise(positions))
    if not positions or not ascending or positions[-1] >= record_count(batch.records_bytes):
        hint = "positions ascend within their batch, at least one"
        raise PeerError("VERDICT_POSITIONS", hint, offset=reader.offset)
    return place, Verdict(
        block=Ref(round_, author, digest),
        batch=batch,
        first_index=first_index,
        positions=positions,
        judgement=_JUDGEMENTS[judgement],
        rule=rule,
    )
