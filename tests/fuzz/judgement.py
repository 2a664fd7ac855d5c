"""What honest replicas say of updates, held against each other: FINAL, verdicts, digests."""

from seawall.codec import decode_records
from seawall.consensus.engine import Output
from seawall.domain.block import Batch, Ref
from seawall.domain.commit import Commit, Judgement


class Judgements:
    """Everything that honest replicas of one run have said so far."""

    def __init__(self) -> None:
        self._final: set[tuple[Ref, int]] = set()
        self._rejected: set[tuple[Ref, int]] = set()
        self._passed: dict[tuple[bytes, int], bytes] = {}
        self._commits: dict[int, tuple[object, bytes]] = {}
        self.finals = 0
        self.rejects = 0

    def check(self, output: Output) -> None:
        """Compare what one step says with everything before it.

        Nothing is FINAL and rejected, one digest passes under a key, and a commit has the same
        verdicts and finality digest wherever and however often it is delivered.
        """
        for commit in output.deliver:
            self._judge(commit)
        for one in output.final:
            self._note_passed(one.batch, one.positions)
            instances = {(one.block, one.first_index + place) for place in one.positions}
            assert not instances & self._rejected, "FINAL after a REJECT"
            self._final |= instances
            self.finals += len(instances)

    def _judge(self, commit: Commit) -> None:
        said = (commit.verdicts, commit.finality_digest)
        assert self._commits.setdefault(commit.index, said) == said, "two judgements of a commit"
        for verdict in commit.verdicts:
            instances = {(verdict.block, verdict.first_index + at) for at in verdict.positions}
            if verdict.judgement is Judgement.REJECT:
                assert not instances & self._final, "REJECT after FINAL"
                self._rejected |= instances
                self.rejects += len(instances)
            elif verdict.judgement is Judgement.ACCEPT:
                self._note_passed(verdict.batch, verdict.positions)

    def _note_passed(self, batch: Batch, positions: tuple[int, ...]) -> None:
        records = decode_records(batch.records_bytes)
        for place in positions:
            record = records[place]
            key = (record.contributor, record.seq)
            known = self._passed.setdefault(key, record.update_id)
            assert known == record.update_id, "two digests pass under one key"
