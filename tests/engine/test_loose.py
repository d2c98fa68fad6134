"""Objects in files of their own: what is kept so, git reads."""

import os
from pathlib import Path

import pytest

from gitstate.engine import loose
from gitstate.engine.objects import GitObject
from gitstate.engine.repository import Repository
from tests.engine.conftest import git


@pytest.mark.parametrize("data", [b"", b"what a file held\n", os.urandom(100_000)], ids=["empty", "small", "large"])
def test_what_is_kept_is_a_blob_of_git_that_nobody_may_write_to(repository: Repository, data: bytes) -> None:
    loose.keep(repository.objects, data)
    blob = GitObject("blob", data).id
    path = repository.objects / blob[:2] / blob[2:]
    assert path.stat().st_mode & 0o777 == 0o444
    assert repository.worktree is not None
    assert git(repository.worktree, "cat-file", "-t", blob) == "blob\n"
    assert git(repository.worktree, "cat-file", "-s", blob) == f"{len(data)}\n"
    assert git(repository.worktree, "fsck", "--strict").strip() in ("", f"dangling blob {blob}", NO_HEAD + blob)
    assert os.listdir(path.parent) == [blob[2:]], "nothing is left beside it"


NO_HEAD = "notice: HEAD points to an unborn branch (main)\nnotice: No default references\ndangling blob "


def test_what_is_there_is_not_written_again_and_its_folder_may_be(repository: Repository) -> None:
    first = GitObject("blob", b"1")
    beside = next(data for data in map(b"%d".__mod__, range(2, 9999)) if GitObject("blob", data).id[:2] == first.id[:2])
    for _ in range(2):
        for data in (first.body, beside):
            loose.keep(repository.objects, data)
        folder = repository.objects / first.id[:2]
        inodes = {path.name: path.stat().st_ino for path in folder.iterdir()}
        assert sorted(inodes) == sorted({first.id[2:], GitObject("blob", beside).id[2:]})
    path = Path(folder / first.id[2:])
    before = path.stat().st_mtime_ns
    loose.keep(repository.objects, first.body)
    assert {each.name: each.stat().st_ino for each in folder.iterdir()} == inodes
    assert path.stat().st_mtime_ns == before


def test_nothing_is_left_where_the_disk_refuses(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        loose.keep(repository.objects, b"1")
    monkeypatch.undo()
    assert not list(repository.objects.glob("??/*"))
