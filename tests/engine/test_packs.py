"""Packs that real git accepts, and how many become few."""

import os
import random
import threading
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import packindex, packs
from gitstate.engine.objects import FILE, GitObject, Tree, TreeEntry
from gitstate.engine.packfile import PackFile
from gitstate.engine.packfolder import PackFolder
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from gitstate.errors import CorruptionError
from tests.engine.conftest import OpenEngine, git, packs_of, save


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store")


def folder_of(repository: Repository) -> Path:
    return repository.objects / "pack"


def write(folder: Path, objects: list[GitObject]) -> packs.NewPack:
    return packs.place(folder, packs.build(objects), keep=packs.keeper(folder.parents[1]))


def blobs(start: int, count: int, size: int = 10) -> list[GitObject]:
    return [GitObject("blob", random.Random(n).randbytes(size)) for n in range(start, start + count)]


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=30))
def test_git_reads_every_object(tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]) -> None:
    repository = open_repository(tmp_path_factory.mktemp("packs") / "store")
    objects = [GitObject("blob", body) for body in bodies]
    pack = write(folder_of(repository), objects)
    pack.release()
    assert repository.worktree is not None
    git(repository.worktree, "verify-pack", pack.base + ".idx")
    reader = ObjectReader(repository)
    assert [reader.read(item.id, "blob") for item in objects] == bodies
    reader.close()


@pytest.mark.parametrize("size", [0, 15, 16, 2047, 2048, 2049, 300_000])
def test_sizes_at_the_edges_of_the_header(repository: Repository, size: int) -> None:
    item = GitObject("blob", b"x" * size)
    write(folder_of(repository), [item]).release()
    assert repository.worktree is not None
    assert git(repository.worktree, "cat-file", "-s", item.id) == f"{size}\n"


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071])
def test_a_tree_is_stored_as_it_is_in_blocks(repository: Repository, size: int) -> None:
    item = GitObject("tree", random.Random(size).randbytes(size))
    write(folder_of(repository), [item]).release()
    assert PackFolder(str(folder_of(repository))).read(item.id) == (2, item.body)
    assert size <= len(packs.build([item]).data) <= size + 60


def test_a_folder_of_thousands_of_files_is_read_by_git(repository: Repository) -> None:
    blob = GitObject("blob", b"")
    tree = Tree.of({f"{number:05d}.json": TreeEntry(FILE, blob.id) for number in range(4_000)}).to_object()
    pack = write(folder_of(repository), [blob, tree])
    pack.release()
    assert repository.worktree is not None
    git(repository.worktree, "verify-pack", pack.base + ".idx")
    assert git(repository.worktree, "ls-tree", "--name-only", tree.id).split()[-1] == "03999.json"


def test_far_offsets_go_to_a_table_of_64_bits() -> None:
    def index(start: int) -> bytes:
        return packs.index([(bytes([n]) * 20, 1, start + 7 * n) for n in range(3)], b"c" * 20)

    usual, far = index(12), index((1 << 31) - 7)
    assert len(far) == len(usual) + 2 * 8
    table = far[8 + 1024 + 3 * 24 :]
    assert table[:12] == bytes.fromhex("7ffffff9 80000000 80000001")
    assert table[12:28] == ((1 << 31).to_bytes(8, "big") + ((1 << 31) + 7).to_bytes(8, "big"))


def test_what_lies_far_in_a_pack_is_copied_from_there(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packindex, "FAR", 40)  # of 2 GB, beyond which a place is in the other table
    base = write(folder_of(repository), blobs(0, 20)).base
    with closing(PackFile(tmp_path)) as pack:
        for entry in packs.entries(base):
            pack.add_entry(entry.id, entry.data)
        pack.finish()
    assert next(tmp_path.glob("*.pack")).read_bytes()[12:-20] == Path(base + ".pack").read_bytes()[12:-20]


def test_a_kept_pack_outlives_gc_and_a_discarded_one_leaves_nothing(repository: Repository) -> None:
    items = blobs(0, 2)
    kept, discarded = (write(folder_of(repository), [item]) for item in items)
    discarded.discard()
    assert repository.worktree is not None
    git(repository.worktree, "gc", "--prune=now", "-q")
    assert git(repository.worktree, "cat-file", "-t", items[0].id) == "blob\n"
    kept.release()
    git(repository.worktree, "gc", "--prune=now", "-q")
    assert packs_of(repository.worktree) == []


def test_a_pack_that_was_there_is_not_discarded(repository: Repository) -> None:
    write(folder_of(repository), blobs(0, 3)).release()
    again = write(folder_of(repository), blobs(0, 3))
    again.discard()
    again.release()
    assert repository.worktree is not None
    assert git(repository.worktree, "cat-file", "-t", blobs(0, 1)[0].id) == "blob\n"


def test_leftovers_of_ours_go_and_those_of_others_stay(repository: Repository) -> None:
    folder = folder_of(repository)
    lost = write(folder, blobs(0, 1))
    Path(lost.base + ".idx").unlink()
    kept = write(folder, blobs(1, 1))
    for name in (
        "tmp_pack_gitstate_1_1",
        "tmp_idx_gitstate_1_1",
        "tmp_pack_AbCdEf",
        "pack-theirs.pack",
        "pack-theirs.keep",
    ):
        (folder / name).write_bytes(b"a person keeps this")
    packs.remove_leftovers(folder)
    base = os.path.basename(kept.base)
    assert sorted(os.listdir(folder)) == sorted(
        [base + ".idx", base + ".pack", "tmp_pack_AbCdEf", "pack-theirs.pack", "pack-theirs.keep"]
    )


def test_what_a_persons_git_takes_away_meanwhile_is_no_leftover(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(repository)
    for name in (".tmp-12-pack-1.idx", "pack-1.idx"):
        (folder / name).write_bytes(b"an index")
    read = packs.files.read

    def renamed_meanwhile(path: str) -> bytes:
        if path.endswith(".idx"):
            Path(path).unlink()
        return read(path)

    monkeypatch.setattr(packs.files, "read", renamed_meanwhile)
    assert packs.leftovers(folder) == []
    assert os.listdir(folder) == [".tmp-12-pack-1.idx"], "it was not looked at"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_pack_names_the_object(open_engine: OpenEngine, tmp_path: Path, damage: str) -> None:
    head = save(open_engine(check=False), {"a": bytes(range(256)) * 20})
    (pack,) = packs_of(tmp_path / "store")
    good = pack.read_bytes()
    pack.chmod(0o644)
    middle = len(good) // 2
    pack.write_bytes(
        {
            "truncated": good[:30],
            "flipped": good[:12] + bytes(b ^ 85 for b in good[12:middle]) + good[middle:],
            "empty": b"",
        }[damage]
    )
    fresh = open_engine(check=False)
    blob = GitObject("blob", bytes(range(256)) * 20)
    with pytest.raises(CorruptionError) as caught:
        fresh.read(blob.id, "blob")
        fresh.read(head, "commit")
    assert any(object_id in str(caught.value) for object_id in (head, blob.id))
    pack.write_bytes(good)
    assert open_engine(check=False).read(head, "commit")
    assert fresh.read(head, "commit"), "mended, the same engine reads on"


def test_a_damaged_loose_object_is_named(repository: Repository) -> None:
    assert repository.worktree is not None
    item = GitObject("blob", b"hello\n")
    (repository.worktree / "f").write_bytes(item.body)
    git(repository.worktree, "hash-object", "-w", "f")
    path = repository.objects / item.id[:2] / item.id[2:]
    reader = ObjectReader(repository)
    assert reader.read(item.id, "blob") == item.body
    good = path.read_bytes()
    path.chmod(0o644)
    for bad in (b"", good[:5], b"\0" * 30, zlib.compress(b"blob 6\0hellO\n")):
        path.write_bytes(bad)
        reader.forget()
        with pytest.raises(CorruptionError, match=item.id):
            reader.read(item.id, "blob")
    reader.close()


def test_readers_go_on_while_packs_come_and_go(open_engine: OpenEngine, tmp_path: Path) -> None:
    """Files of vanished packs are closed, and no read fails while git repacks under it."""
    engine = open_engine()
    reader = open_engine()
    save(engine, {"first": b"1"})
    stop = threading.Event()

    def repack() -> None:
        while not stop.is_set():
            git(tmp_path / "store", "repack", "-a", "-d", "-q")

    thread = threading.Thread(target=repack)
    thread.start()
    try:
        first = GitObject("blob", b"1").id
        for n in range(150):
            save(engine, {"a": b"%d" % n})
            assert reader.read(first, "blob") == b"1"
            assert reader.read(GitObject("blob", b"%d" % n).id, "blob") == b"%d" % n
    finally:
        stop.set()
        thread.join()
    if os.path.isdir("/proc/self/fd"):
        held = [name for name in map(readlink, os.listdir("/proc/self/fd")) if str(tmp_path) in name]
        assert len(held) < 200, "of some 150 packs that are gone"
        for one in (engine, reader):
            assert one.find("0000") == []  # looks for packs anew
        held = [name for name in map(readlink, os.listdir("/proc/self/fd")) if str(tmp_path) in name]
        assert not [name for name in held if name.endswith("(deleted)")]


def readlink(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""


def held(folder: Path) -> list[str]:
    """Return what this process has open in a folder."""
    return [name for name in map(readlink, os.listdir("/proc/self/fd")) if str(folder) in name]


def test_many_threads_hold_few_files(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    for n in range(20):
        save(engine, {"a": b"%d" % n})
    reader = open_engine()
    failures: list[str] = []

    def read_all() -> None:
        blobs = [GitObject("blob", b"%d" % n) for n in range(20)]
        failures.extend(item.id for item in blobs if reader.read(item.id, "blob") != item.body)

    threads = [threading.Thread(target=read_all) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    if os.path.isdir("/proc/self/fd"):
        assert len(held(tmp_path)) <= 2 * 3 + 2 * len(packs_of(tmp_path / "store"))
    reader.close()
    engine.close()
    if os.path.isdir("/proc/self/fd"):
        assert not held(tmp_path)
