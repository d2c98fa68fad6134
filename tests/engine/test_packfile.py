"""Packs that are written object by object are as those that are made at once."""

import os
import struct
from pathlib import Path

import pytest

from gitstate.engine import packfile, packs
from gitstate.engine.objects import GitObject
from gitstate.engine.packfile import PackFile
from gitstate.engine.packs import PackKind
from gitstate.engine.repository import Repository
from tests.engine.conftest import blobs, git, synced_while

KINDS: list[PackKind] = ["plain", "deltas"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 40])
def test_what_was_added_is_in_a_pack_that_git_reads(repository: Repository, count: int, kind: PackKind) -> None:
    folder = repository.objects / "pack"
    objects = [*blobs(0, count, size=2000), GitObject("tree", b"")]
    pack = PackFile(folder)
    for item in objects:
        assert pack.add(item.kind, item.body) == item.id
    size = os.stat(folder / "growing.pack").st_size
    assert pack.add(objects[0].kind, objects[0].body) == objects[0].id, "it is in there once"
    assert len(pack) == len(objects)
    base = pack.finish(kind)
    pack.close()
    data = Path(base + ".pack").read_bytes()
    assert (data[:4], *struct.unpack(">II", data[4:12])) == (b"PACK", 2, len(objects))
    assert base == f"{folder}/{packs.pack_name(data[-20:], kind)}" and packs.kind_of(base) == kind
    assert size <= len(data) and packs.is_sound(base)
    assert {os.stat(base + suffix).st_mode & 0o777 for suffix in (".pack", ".idx")} == {0o444}
    assert sorted(os.listdir(folder)) == sorted(os.path.basename(base) + suffix for suffix in (".idx", ".pack"))
    assert repository.worktree is not None
    listed = git(repository.worktree, "verify-pack", "-v", base + ".idx")
    assert sorted(line.split()[:3] for line in listed.splitlines()[: len(objects)]) == sorted(
        [item.id, item.kind, str(len(item.body))] for item in objects
    )


def test_both_files_are_on_the_disk_before_the_pack_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = synced_while(monkeypatch, lambda: not list(tmp_path.glob("pack-*.pack")))
    monkeypatch.setattr(packfile, "_CHUNK", 100)  # it is summed in pieces
    pack = PackFile(tmp_path)
    for item in blobs(0, 3):
        pack.add(item.kind, item.body)
    base = pack.finish()
    assert packs.is_sound(base) and packs.kind_of(base) == "plain"
    assert synced == [os.stat(base + suffix).st_ino for suffix in (".pack", ".idx")]


def test_one_that_is_given_up_has_no_name(tmp_path: Path) -> None:
    pack = PackFile(tmp_path)
    pack.add("blob", b"x")
    pack.close()
    pack.close()
    assert os.listdir(tmp_path) == ["growing.pack"]
