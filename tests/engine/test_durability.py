"""What a cut of the power leaves: nothing is named before its content is on the disk, nothing goes before it is safe.

The system calls of an engine are watched in their order. A file system may carry out what was not synced in any order,
or never; so each rule below is one that a cut at the worst moment would punish.
"""

import os
from pathlib import Path

import pytest

from gitstate.engine import packs
from gitstate.engine.objects import GitObject
from gitstate.engine.repository import open_repository
from tests.engine.conftest import OpenEngine, save

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="tells what a descriptor is open on")


class Watch:
    """Checks each call against the rules, and remembers what is not on the disk yet."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.named: list[str] = []
        self.unsynced_folders: set[str] = set()
        self._synced: set[str] = set()
        fsync, rename, link, unlink = os.fsync, os.rename, os.link, os.unlink

        def watched_fsync(fd: int) -> None:
            path = os.readlink(f"/proc/self/fd/{fd}")
            fsync(fd)
            self._synced.add(path)
            self.unsynced_folders.discard(path)

        def watched_rename(source: str, target: str) -> None:
            assert source in self._synced or target.endswith(".keep"), f"{target} is named before it is synced"
            if "/refs/" in target:
                assert not self.unsynced_folders, "the ref moves before what it needs is there to stay"
            rename(source, target)
            self.named.append(target)
            self.unsynced_folders.add(os.path.dirname(target))

        def watched_link(source: str, target: str) -> None:
            assert source in self._synced, f"{target} is named before it is synced"
            link(source, target)
            self._synced.add(target)

        def watched_unlink(path: str) -> None:
            if path.endswith((".pack", ".idx")):
                assert not self.unsynced_folders, f"{path} goes before what replaces it is there to stay"
            unlink(path)

        patch.setattr(os, "fsync", watched_fsync)
        patch.setattr(os, "rename", watched_rename)
        patch.setattr(os, "link", watched_link)
        patch.setattr(os, "unlink", watched_unlink)


def test_a_publish_is_on_the_disk_before_the_branch_moves_and_when_it_returns(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    with monkeypatch.context() as patch:
        watch = Watch(patch)
        save(engine, {"a": b"2"})
    assert [Path(name).suffix for name in watch.named] == [".keep", ".pack", ".idx", ""]
    assert watch.named[-1] == str(tmp_path / "store/.git/refs/heads/main")
    assert not watch.unsynced_folders


def test_packs_go_when_the_one_that_replaces_them_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_repository(tmp_path / "store").objects / "pack"
    for number in range(packs.FOLD_AT):
        packs.place(folder, packs.build([GitObject("blob", b"%d" % number)]))
    with monkeypatch.context() as patch:
        watch = Watch(patch)
        assert packs.fold(folder) == packs.FOLD_AT - 1
    assert [Path(name).suffix for name in watch.named] == [".pack", ".idx"]
    assert not watch.unsynced_folders
