"""The trace of a real site, read from its data directory: what it accepted, and what follows.

Blocks come from the commit log, as far as a base of the journal has replaced them, and then from
the journal, in the order of acceptance. Commits and verdicts are those that the commit log has
kept. FINAL statements are not kept on disk: they are made again here by the site's own code, one
block after the other, and with them any commit that the commit log lacks.

Source: docs/simulator.md, Traces.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from seawall.consensus.commits import CommitLog
from seawall.consensus.dag.coin import CoinBook, ThresholdCoin
from seawall.consensus.dag.core import Core
from seawall.consensus.dag.leaders import CoinLeaders, PermutationLeaders
from seawall.consensus.dag.records import (
    BASE_BEGIN,
    BLOCK,
    read_base,
    read_block,
    since_last_base,
)
from seawall.consensus.engine import Identity, Record
from seawall.consensus.journal import decode_records
from seawall.consensus.segments import SegmentedLog
from seawall.crypto.signing import SigningKey
from seawall.domain.block import VerifiedBlock
from seawall.domain.committee import Committee
from seawall.domain.parameters import ConsensusParameters
from seawall.errors import OperationalError
from seawall.sim.trace import Traced

LOG_SIZE_BYTES_MAX = 1 << 62
"""Nothing is deleted from a copy."""


def read_site(
    data: Path, index: int, committee: Committee, parameters: ConsensusParameters
) -> Traced:
    """Return what the site with this index in the committee accepted and concluded.

    Its files are copied first, so that a running site is not disturbed.

    Raises:
        OperationalError: TRACE_DATA, there is no journal, or it changes under the copy;
            TRACE_INCOMPLETE, the commit log no longer has what the journal's base replaced;
            JOURNAL_CORRUPT, JOURNAL_IO.

    """
    with TemporaryDirectory() as name:
        copy = Path(name)
        try:
            for part in ("commits", "journal"):
                shutil.copytree(data / part, copy / part)
        except (OSError, shutil.Error) as fault:
            hint = f"cannot copy {data}: stop the site, or try again"
            raise OperationalError("TRACE_DATA", hint) from fault
        records = _records(copy / "journal")
        commits = CommitLog(copy / "commits", size_bytes_max=LOG_SIZE_BYTES_MAX)
        try:
            blocks = [*_replaced(records, commits), *_blocks_in(records)]
            traced = conclude(blocks, index, committee, parameters)
            for number in traced.commits:
                traced.commits[number] = commits.read(number) or traced.commits[number]
        finally:
            commits.close()
    return traced


def conclude(
    blocks: Iterable[VerifiedBlock],
    index: int,
    committee: Committee,
    parameters: ConsensusParameters,
) -> Traced:
    """Return what a site concludes that accepts these blocks one after the other.

    Blocks at or below the gc round of their time, and those with a parent missing above it, are
    left out: the site has kept them for other reasons than to decide by them.
    """
    core = _core(index, committee, parameters)
    traced = Traced(committee=committee, parameters=parameters)
    for block in blocks:
        gc_round = core.gc_round
        known = [p in core.store or p.round <= gc_round for p in block.block.parents]
        if block.ref in core.store or block.ref.round <= gc_round or not all(known):
            continue
        count = len(traced.blocks)
        core.accept(block)
        traced.blocks.append(block)
        core.decide()
        output = core.effects.take(None)
        for commit in output.deliver:
            traced.commits[commit.index] = commit
        for seen in output.observe:
            if seen.name == "coin_revealed":
                authors = [int(author) for author in str(seen.fields["leaders"]).split()]
                traced.revealed[int(seen.fields["round"])] = authors
        for statement in core.fast_path.state_final(core.gc_round):
            for position in statement.positions:
                place = statement.block, statement.first_index + position
                traced.final.setdefault(place, (count, count + 1))
    if committee.coin is None:
        named = [(n, core.schedule.leaders(n)) for n in range(1, core.store.highest_round + 1)]
        traced.leaders = {number: one for number, one in named if one is not None}
    return traced


def _core(index: int, committee: Committee, parameters: ConsensusParameters) -> Core:
    """Return a fresh core that never signs: its keys are nobody's."""
    nobody = SigningKey.from_seed(bytes(32))
    identity = Identity(index=index, consensus_key=nobody, cosigner_key=nobody)
    if committee.coin is None:
        permutation = PermutationLeaders(committee, parameters.leaders_per_round)
        return Core(identity, committee, parameters, permutation)
    schedule = CoinLeaders(committee, parameters.leaders_per_round)
    coin = ThresholdCoin(committee, b"")
    book = CoinBook(coin, schedule, index, parameters.wave_length)
    return Core(identity, committee, parameters, schedule, book)


def _records(journal: Path) -> Sequence[Record]:
    """Return the journal's records from its last complete base on."""
    log = SegmentedLog(journal)
    frames = [frame.payload for frame in log.recover()]
    log.close()
    return tuple(since_last_base([r for payload in frames for r in decode_records(payload)]))


def _blocks_in(records: Sequence[Record]) -> Iterator[VerifiedBlock]:
    """Yield the blocks in journal records."""
    for record in records:
        if record.kind == BLOCK:
            yield read_block(record.data)


def _replaced(records: Sequence[Record], commits: CommitLog) -> Iterator[VerifiedBlock]:
    """Yield the blocks of all commits up to the journal's base, if it has one."""
    if not records or records[0].kind != BASE_BEGIN:
        return
    for number in range(1, read_base(records[0].data).index + 1):
        commit = commits.read(number)
        if commit is None:
            hint = f"commit {number} is no longer on this site's disk: take an older site"
            raise OperationalError("TRACE_INCOMPLETE", hint)
        yield from commit.blocks
