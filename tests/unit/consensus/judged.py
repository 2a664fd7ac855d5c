"""Commits with verdicts made to order, for whatever carries them on."""

from collections.abc import Sequence
from hashlib import sha256

from msgspec.structs import replace

from seawall.codec import record_count
from seawall.domain.commit import Commit, Judgement, Verdict


def judged(commits: Sequence[Commit]) -> list[Commit]:
    """Return the commits, each with verdicts on the batches of the one before it.

    The first update of a batch is rejected, the last a duplicate, those between are accepted, in
    three verdicts on one batch. The first commit has nothing to judge.
    """
    made, before = [commits[0]], commits[0]
    for commit in commits[1:]:
        verdicts: list[Verdict] = []
        for block in before.blocks:
            first_index = 0
            for batch in block.block.batches:
                count = record_count(batch.records_bytes)
                for positions, judgement, rule in (
                    ((0,), Judgement.REJECT, 4),
                    (tuple(range(1, count - 1)), Judgement.ACCEPT, 1),
                    ((count - 1,), Judgement.DUPLICATE, 1),
                ):
                    verdicts.append(
                        Verdict(block.ref, batch, first_index, positions, judgement, rule)
                    )
                first_index += count
        digest = sha256(commit.digest).digest()
        made.append(replace(commit, verdicts=tuple(verdicts), finality_digest=digest))
        before = commit
    return made
