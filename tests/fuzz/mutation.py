"""Spoilt corpus files as a Hypothesis strategy: fuzzing without coverage, wherever Python runs."""

from functools import cache
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

CORPUS: Final = Path(__file__).parent / "corpus"
EDITS_MAX: Final = 6
EXTREMES: Final = (b"\x00", b"\xff", b"\x00" * 8, b"\xff" * 8, b"\x7f", b"\x80", b'"', b"{", b"\n")


@cache
def files(target: str) -> tuple[bytes, ...]:
    """Return the corpus of a target, in the order of the names of its files."""
    return tuple(path.read_bytes() for path in sorted((CORPUS / target).iterdir()))


@st.composite
def inputs(draw: st.DrawFn, target: str) -> bytes:
    """Draw a corpus file with some bytes replaced, put in, taken out or taken twice."""
    seeds = files(target)
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, EDITS_MAX))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=8),
                st.sampled_from(EXTREMES),
                st.sampled_from(seeds).map(lambda seed: seed[:64]),
                st.just(2 * data[start:end][:64]),
            )
        )
        # Mostly a few bytes: a structure that is cut in two rarely reaches the checks behind it.
        end = draw(st.sampled_from([start, min(end, start + len(piece)), end]))
        data = data[:start] + piece + data[end:]
    return data
