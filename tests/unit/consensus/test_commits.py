"""The log of delivered commits: what was appended can be read, gaps begin anew."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from seawall.codec import encode_commit_summary, summarise
from seawall.consensus.commits import CommitLog
from seawall.consensus.dag.records import block_record
from seawall.domain.commit import Commit, Twins
from tests.unit.consensus.cluster import Cluster
from tests.unit.consensus.judged import judged


@pytest.fixture(scope="module")
def commits() -> list[Commit]:
    """Return commits of a short run, with batches and votes in their blocks."""
    cluster = Cluster()
    for number in range(1, 9):
        cluster.submit(number % 4, number, updates=3)
        cluster.run(100_000)
    made = cluster.sites[0].commits
    assert len(made) > 20
    assert any(block.valid_votes for commit in made for block in commit.blocks)
    return made


def open_log(path: Path, size: int = 1 << 20) -> CommitLog:
    return CommitLog(path, size_bytes_max=4 * size, segment_size_bytes_max=size)


def test_commits_come_back_whole_after_a_restart(tmp_path: Path, commits: list[Commit]) -> None:
    log = open_log(tmp_path)
    assert (log.last_index, log.read(1)) == (0, None)
    for commit in commits:
        log.append(commit)
        log.append(commit)  # delivered twice
    log.sync()
    log.close()
    again = open_log(tmp_path)
    assert again.last_index == commits[-1].index
    assert [again.read(commit.index) for commit in commits] == commits
    assert again.read(len(commits) + 1) is None
    again.append(commits[3])
    assert again.last_index == commits[-1].index


def test_verdicts_come_back_after_a_restart(tmp_path: Path, commits: list[Commit]) -> None:
    made = judged(commits)
    assert sum(len(commit.verdicts) for commit in made) == 3 * 8
    log = open_log(tmp_path)
    for commit in made:
        log.append(commit)
    log.close()
    again = open_log(tmp_path)
    assert [again.read(commit.index) for commit in made] == made


@pytest.mark.parametrize("verdicts", [True, False])
def test_twins_come_back_after_a_restart(
    tmp_path: Path,
    commits: list[Commit],
    verdicts: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    ref = commits[0].blocks[0].ref
    twins = Twins(ref, b"f" * 64, replace(ref, digest=bytes(32)), b"s" * 64)
    bare = replace(commits[0], finality_digest=b"", verdicts=(), twins=(twins, twins))
    made = [bare, *judged(commits)[1:3]] if verdicts else [bare]
    log = open_log(tmp_path)
    for commit in made:
        log.append(commit)
    log.close()
    again = open_log(tmp_path)
    assert [again.read(commit.index) for commit in made] == made


def test_frames_without_verdicts_are_those_of_before(tmp_path: Path, commits: list[Commit]) -> None:
    """A frame that an earlier build wrote is summary and blocks; it stays readable."""
    plain = open_log(tmp_path / "plain")
    plain.append(commits[0])
    plain.close()
    summary = encode_commit_summary(summarise(commits[0]))
    blocks = [block_record(block).data for block in commits[0].blocks]
    frame = b"".join([len(data).to_bytes(4) + data for data in (summary, *blocks)])
    (segment,) = (tmp_path / "plain").iterdir()
    assert segment.read_bytes().endswith(frame)


def test_a_gap_begins_anew_behind_it(tmp_path: Path, commits: list[Commit]) -> None:
    log = open_log(tmp_path)
    for commit in commits[:3]:
        log.append(commit)
    log.append(commits[9])
    log.sync()
    log.close()
    again = open_log(tmp_path)
    assert again.read(commits[2].index) is None
    assert again.read(commits[9].index) == commits[9]
    again.append(commits[10])
    assert again.last_index == commits[10].index


def test_old_commits_go_when_the_log_is_too_large(tmp_path: Path, commits: list[Commit]) -> None:
    log = open_log(tmp_path, size=2048)
    for commit in commits:
        log.append(commit)
    log.close()
    again = open_log(tmp_path, size=2048)
    kept = [commit for commit in commits if again.read(commit.index) is not None]
    assert 0 < len(kept) < len(commits)
    assert kept == commits[-len(kept) :]
    assert len(list(tmp_path.iterdir())) <= 4


def test_a_damaged_commit_is_one_that_is_not_there(tmp_path: Path, commits: list[Commit]) -> None:
    log = open_log(tmp_path)
    for commit in commits[:3]:
        log.append(commit)
    log.close()
    again = open_log(tmp_path)
    (segment,) = tmp_path.iterdir()
    data = segment.read_bytes()
    place = data.index(commits[1].digest)
    segment.write_bytes(data[:place] + bytes(32) + data[place + 32 :])
    assert again.read(commits[0].index) == commits[0]
    assert again.read(commits[1].index) is None
    segment.unlink()
    assert again.read(commits[0].index) is None
