"""What a process that reads for weeks has open, and in memory, of packs that come and go."""

import errno
import os
import random
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from dulwich.objects import ObjectID

from gitstate.engine import openpacks, packfolder, packs, upkeep
from gitstate.engine.folding import FOLD_AT
from gitstate.engine.objects import GitObject
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.errors import CorruptionError, StorageError
from tests.engine.conftest import git
from tests.handles import open_below

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has open")


@pytest.fixture
def reader(repository: Repository) -> Iterator[ObjectReader]:
    reader = ObjectReader(repository, cache_bytes=8)  # so that everything is read from packs
    yield reader
    reader.close()


def blobs(start: int, count: int, size: int = 100) -> list[GitObject]:
    return [GitObject("blob", random.Random(n).randbytes(size)) for n in range(start, start + count)]


def write(repository: Repository, objects: list[GitObject]) -> None:
    packs.place(repository.objects / "pack", packs.build(objects))


def open_files(repository: Repository) -> list[str]:
    return open_below(repository.objects / "pack")


def mapped(repository: Repository) -> int:
    """Return how many bytes of the packs and their indexes are in this process's memory."""
    folder, total, is_pack = os.fspath(repository.objects / "pack"), 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            is_pack = folder in line
        elif is_pack and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@needs_proc
def test_packs_that_were_joined_are_closed(repository: Repository, reader: ObjectReader) -> None:
    with reader_in_two(reader):
        for start in range(0, 4 * FOLD_AT, FOLD_AT):
            for n in range(start, start + FOLD_AT):
                write(repository, blobs(n, 1))
            for item in blobs(start, FOLD_AT):
                assert reader.read(item.id, "blob") == item.body
            upkeep.tidy(repository, nullcontext)
            reader.tidy()
            left = open_files(repository)
            assert not [path for path in left if path.endswith("(deleted)")]
            assert len(left) <= 3 * 2 * len(list((repository.objects / "pack").glob("*.pack")))


class reader_in_two:  # noqa: N801 - it reads as a function
    """Let both of the reader's stores have the same packs open, as when two threads read."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    def __enter__(self) -> None:
        one, two = self._reader._borrow(), self._reader._borrow()
        for store in (one, two):
            list(store)  # looks into every pack
            self._reader._give_back(store)

    def __exit__(self, *_: object) -> None:
        assert len(self._reader._idle) == 2


@needs_proc
def test_who_reads_and_never_saves_closes_packs_that_others_joined(
    repository: Repository, reader: ObjectReader
) -> None:
    for n in range(FOLD_AT):
        write(repository, blobs(n, 1))
    with reader_in_two(reader):
        upkeep.tidy(repository, nullcontext)
        assert open_files(repository)
        write(repository, blobs(500, 1))
        reader.read(blobs(500, 1)[0].id, "blob")  # it is in no pack that is known
    assert not [path for path in open_files(repository) if path.endswith("(deleted)")]


@needs_proc
def test_what_nobody_reads_any_more_is_closed(repository: Repository, reader: ObjectReader) -> None:
    write(repository, blobs(0, 3))
    reader.read(blobs(0, 1)[0].id, "blob")
    assert len(open_files(repository)) == 2  # a pack and its index, once each
    reader.tidy()
    assert len(open_files(repository)) == 2
    reader.tidy()
    assert not open_files(repository)
    assert reader.read(blobs(1, 1)[0].id, "blob") == blobs(1, 1)[0].body


@needs_proc
def test_dulwich_has_a_file_open_once_and_closes_it_in_the_end(repository: Repository, reader: ObjectReader) -> None:
    write(repository, items := blobs(0, 3))
    store = reader._borrow()
    store.get_raw(ObjectID(items[0].id.encode()))
    reader._give_back(store)
    for _ in range(openpacks._UNUSED):
        assert len(open_files(repository)) == 2
        reader.tidy()
    reader.tidy()
    assert not open_files(repository)


@needs_proc
@pytest.mark.parametrize("by_dulwich", [False, True])
def test_of_a_large_pack_little_stays_in_memory(
    repository: Repository, reader: ObjectReader, monkeypatch: pytest.MonkeyPatch, by_dulwich: bool
) -> None:
    for module in (openpacks, packfolder):
        monkeypatch.setattr(module, "_MOST", 1 << 20)
    write(repository, items := blobs(0, 400, 20_000))
    most = 0
    for number, item in enumerate(items):
        if by_dulwich:
            store = reader._borrow()
            assert store.get_raw(ObjectID(item.id.encode()))[1] == item.body
            reader._give_back(store)
        else:
            assert reader.read(item.id, "blob") == item.body
        if number % 5 == 0:  # to ask takes 20 ms; all is closed after seven objects, so each of their sums is met
            most = max(most, mapped(repository))
    assert 0 < most < 3 << 20  # of 8 MB


def test_of_objects_that_others_are_made_of_little_is_kept(
    repository: Repository, reader: ObjectReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packfolder, "_HELD", 1 << 17)
    monkeypatch.setattr(openpacks, "_MOST", 1 << 20)
    monkeypatch.setattr(openpacks, "_BASES", 1 << 17)
    assert repository.worktree is not None
    text = random.Random(1).randbytes(20_000)
    write(repository, items := [GitObject("blob", text + b"%d" % n) for n in range(80)])
    git(repository.worktree, "repack", "-a", "-d", "-q", "-f", "--keep-unreachable")
    kept = held = 0
    for item in items:
        assert reader.read(item.id, "blob") == item.body
        held = max(held, *(pack._held for pack in reader._packs._packs))
        store = reader._borrow()
        assert store.get_raw(ObjectID(item.id.encode()))[1] == item.body
        reader._give_back(store)
        kept = max(kept, sum(p._data._offset_cache._value_size for p in store._pack_cache.values() if p._data))
    assert 0 < held <= 1 << 17
    assert 0 < kept <= 1 << 18


def test_object_stores_that_could_not_be_opened_are_asked_for_again(
    repository: Repository, reader: ObjectReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as refusing:
        refusing.setattr("gitstate.engine.reader.OpenPacks", refuse)
        for _ in range(3):  # more than are open at a time
            with pytest.raises(StorageError):
                reader.read("1" * 40, "blob")
    with pytest.raises(CorruptionError, match="missing"):
        reader.read("1" * 40, "blob")
