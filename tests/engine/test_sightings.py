"""When a remote was seen last."""

import os
from pathlib import Path

import pytest

from gitstate.engine import reflog, sightings
from gitstate.engine.remotes import Remote
from gitstate.engine.repository import Repository, open_repository
from tests.git import git

NOON = 1_772_366_400
ORIGIN = Remote("origin", "https://example.org/state.git/", "https://example.org/state.git/")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store", branch="main", create=True, bare=False)


def fetched(repository: Repository, text: str, at: float = NOON) -> None:
    """Let git have fetched something."""
    path = repository.git_dir / "FETCH_HEAD"
    path.write_text(text)
    os.utime(path, (at, at))


def test_nobody_knows(repository: Repository) -> None:
    assert sightings.last(repository, ORIGIN) is None


def test_what_was_noted_counts(repository: Repository, tmp_path: Path) -> None:
    before = (tmp_path / "store").stat().st_ctime - 1
    sightings.note(repository, ORIGIN)
    found = sightings.last(repository, ORIGIN)
    assert found is not None and found >= before
    assert sightings.last(repository, ORIGIN._replace(name="backup", url="elsewhere")) is None


def test_names_that_hold_slashes_are_kept_apart(repository: Repository) -> None:
    names = ["a/b", "a%2Fb", "a", "a/b/c"]
    for number, name in enumerate(names):
        remote = ORIGIN._replace(name=name, url="")
        sightings.note(repository, remote)
        path = sightings._path(repository, remote)
        os.utime(path, (number, number))
    assert [sightings.last(repository, ORIGIN._replace(name=name, url="")) for name in names] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("0" * 40 + "\t\tbranch 'main' of https://example.org/state\n", True),
        ("0" * 40 + "\tnot-for-merge\tbranch 'main' of https://example.org/state\n", True),
        ("0" * 40 + "\t\tbranch 'other' of https://example.org/state\n", False),
        ("0" * 40 + "\t\tbranch 'main' of https://example.org/another\n", False),
        ("0" * 40 + "\t\tbranch 'main' of xhttps://example.org/state\n", False),
        ("\xff\n", False),
        ("", False),
    ],
)
def test_what_git_fetched_last_counts_if_it_is_the_branch(repository: Repository, text: str, counts: bool) -> None:
    fetched(repository, text)
    assert sightings.last(repository, ORIGIN) == (NOON if counts else None)


def test_where_the_ref_moved_last_counts(repository: Repository) -> None:
    log = Path(repository.path("logs/refs/remotes/origin/main"))
    log.parent.mkdir(parents=True)
    line = f"{'0' * 40} {'1' * 40} A > Tester <a@b> {NOON} +0100\tfetch: > 12 +0000\n"
    log.write_text(f"{'0' * 40} {'1' * 40} A <a@b> 5 +0000\tfetch\n{line}")
    assert sightings.last(repository, ORIGIN) == NOON
    fetched(repository, "0" * 40 + "\t\tbranch 'main' of https://example.org/state\n", NOON - 60)
    assert sightings.last(repository, ORIGIN) == NOON, "the latest counts"
    log.write_text("torn")
    assert sightings.last(repository, ORIGIN) == NOON - 60


def test_a_log_that_is_empty_or_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert reflog.last_time(str(tmp_path / "nowhere")) is None
    (tmp_path / "log").write_text("")
    assert reflog.last_time(str(tmp_path / "log")) is None


def test_it_is_the_time_that_git_gives(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "store")
    git(tmp_path / "store", "commit", "-q", "--allow-empty", "-m", "a")
    time = int(git(tmp_path / "store", "log", "-g", "-1", "--format=%ct").strip())
    assert reflog.last_time(str(tmp_path / "store/.git/logs/HEAD")) == time


def test_where_nobody_may_write_nothing_is_noted(repository: Repository) -> None:
    repository.private.mkdir(parents=True, exist_ok=True)
    (repository.private / "seen").write_text("in the way")
    sightings.note(repository, ORIGIN)
    assert sightings.last(repository, ORIGIN) is None
