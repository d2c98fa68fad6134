"""Packs that real git accepts, and how many become few."""

import errno
import hashlib
import os
import random
import threading
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import files, packindex, packs
from gitstate.engine.objects import FILE, GitObject, Tree, TreeEntry
from gitstate.engine.packfile import PackFile
from gitstate.engine.packfolder import PackFolder
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from gitstate.engine.scratch import Scratch
from gitstate.errors import CorruptionError
from tests.engine.conftest import OpenEngine, blobs, git, packs_of, save
from tests.handles import open_below


def folder_of(repository: Repository) -> Path:
    return repository.objects / "pack"


def write(folder: Path, objects: list[GitObject]) -> packs.NewPack:
    return packs.place(folder, packs.build(objects), keep=packs.keeper(folder.parents[1]))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
    assert packs.is_sound(again.base)
    write(folder_of(repository), blobs(0, 3)).release()  # what kept it is still there, as after a kill
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


def test_a_pack_or_an_index_alone_is_a_leftover_if_it_is_ours(repository: Repository) -> None:
    folder = folder_of(repository)
    no_index, no_pack, torn, theirs = (write(folder, blobs(n, 2)) for n in range(0, 8, 2))
    for pack in (no_index, no_pack, theirs):
        pack.release()
    for base, suffix in ((no_index.base, ".idx"), (no_pack.base, ".pack"), (torn.base, ".idx"), (theirs.base, ".idx")):
        Path(base + suffix).unlink()
    cut_short(torn.base + ".pack")  # by its checksum it is nobody's, but what keeps it is ours
    os.rename(theirs.base + ".pack", folder / "pack-of-theirs.pack")
    (folder / "pack-of-theirs-too.idx").write_bytes(Path(no_pack.base + ".idx").read_bytes())
    names = [no_index.base + ".pack", no_pack.base + ".idx", torn.base + ".pack", torn.base + ".keep"]
    found = packs.leftovers(folder)
    assert sorted(found) == sorted(map(os.path.basename, names))
    assert found[-1].endswith(".keep")
    packs.remove_leftovers(folder)
    assert names_in(folder) == ["pack-of-theirs-too.idx", "pack-of-theirs.pack"]


def cut_short(path: str) -> None:
    data = Path(path).read_bytes()
    os.chmod(path, 0o644)
    Path(path).write_bytes(data[: len(data) // 2])


def refusing(monkeypatch: pytest.MonkeyPatch, suffix: str, error: BaseException) -> None:
    """Let no file be given a name that ends so."""
    rename = os.rename

    def refuse(source: str, target: str) -> None:
        if target.endswith(suffix):
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)


@pytest.mark.parametrize(("existed", "killed_at"), [(False, ".idx"), (True, ".pack"), (True, ".idx")])
def test_what_a_kill_leaves_of_a_pack_is_a_leftover(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, existed: bool, killed_at: str
) -> None:
    folder = folder_of(repository)
    if existed:
        write(folder, blobs(0, 3)).release()
    before = names_in(folder)
    with monkeypatch.context() as patch:
        refusing(patch, killed_at, KeyboardInterrupt())
        patch.setattr(files, "remove", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            write(folder, blobs(0, 3))
    assert names_in(folder) != before
    packs.remove_leftovers(folder)
    assert names_in(folder) == before


@pytest.mark.parametrize("refused", [".pack", ".idx"])
def test_a_pack_that_was_there_stays_when_it_cannot_be_written_anew(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    folder = folder_of(repository)
    write(folder, blobs(0, 3)).release()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refusing(monkeypatch, refused, OSError(errno.ENOSPC, "no room"))
    with pytest.raises(OSError, match="no room"):
        packs.place(folder, packs.build(blobs(0, 3)))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_of_a_pack_that_cannot_be_placed_nothing_is_left(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, ".idx", OSError(errno.ENOSPC, "no room"))
    with pytest.raises(OSError, match="no room"):
        write(folder_of(repository), blobs(0, 3))
    assert names_in(folder_of(repository)) == []


@pytest.mark.parametrize("times", [2, 3])
def test_a_file_that_git_cleans_away_before_it_has_its_name_is_written_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    rename, taken = os.rename, list[str]()

    def clean_away(source: str, target: str) -> None:
        if len(taken) < times:
            taken.append(source)
            os.unlink(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", clean_away)
    if times == 2:
        assert packs.is_sound(write(folder_of(repository), blobs(0, 3)).base)
    else:
        with pytest.raises(FileNotFoundError):
            write(folder_of(repository), blobs(0, 3))
        assert names_in(folder_of(repository)) == []
    assert len(taken) == times


@pytest.mark.parametrize("durable", [False, True])
def test_each_file_is_on_the_disk_before_it_has_its_name_where_that_is_waited_for(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    folder, pack, waited = folder_of(repository), packs.build(blobs(0, 3)), list[object]()
    monkeypatch.setattr(files, "sync", lambda fd: waited.append(os.fstat(fd).st_size))
    monkeypatch.setattr(files, "sync_directory", waited.append)
    expected: list[object] = [len(pack.data), len(pack.index), folder] if durable else []
    for already in ("nothing", "all", "a pack that is torn"):
        if already == "a pack that is torn":
            (folder / f"{pack.name}.idx").unlink()  # comes last, so it is not there yet
            cut_short(f"{folder}/{pack.name}.pack")
        packs.place(folder, pack, durable=durable)
        assert waited == expected, already
        assert packs.is_sound(f"{folder}/{pack.name}")
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
        waited.clear()


def test_what_keeps_new_packs_is_one_file_that_is_made_again_if_it_is_another(tmp_path: Path) -> None:
    path = packs.keeper(tmp_path)
    assert (names_in(tmp_path), Path(path).read_bytes()) == (["keep"], packs.KEEP)
    made = os.stat(path).st_ino
    (tmp_path / "link").hardlink_to(path)
    assert (packs.keeper(tmp_path), os.stat(path).st_ino) == (path, made)
    Path(path).write_bytes(b"torn")
    assert (packs.keeper(tmp_path), Path(path).read_bytes()) == (path, packs.KEEP)
    assert (tmp_path / "link").read_bytes() == b"torn", "what is linked to a pack is not written to"


def test_a_discarded_pack_takes_along_what_git_made_of_it(repository: Repository) -> None:
    folder = folder_of(repository)
    pack = write(folder, blobs(0, 1))
    for suffix in (".rev", ".bitmap"):
        Path(pack.base + suffix).touch()
    pack.discard()
    assert names_in(folder) == []


def test_nothing_but_a_whole_pack_is_read() -> None:
    good = packs.build(blobs(0, 2))
    assert packs.read(good.data) == good

    def signed(body: bytes) -> bytes:
        return body + hashlib.sha1(body).digest()

    flipped = [good.data[:at] + bytes([good.data[at] ^ 1]) + good.data[at + 1 :] for at in range(len(good.data))]
    of_another_version = signed(good.data[:7] + b"\3" + good.data[8:-20])
    for bad in (*flipped, b"", good.data[:-1], of_another_version, signed(packs.header(0))):
        with pytest.raises(CorruptionError):
            packs.read(bad)


@pytest.mark.parametrize("missing", [".pack", ".idx"])
def test_a_pack_of_which_a_file_is_gone_is_not_sound(repository: Repository, missing: str) -> None:
    base = write(folder_of(repository), blobs(0, 1)).base
    assert packs.is_sound(base)
    Path(base + missing).unlink()
    assert not packs.is_sound(base)
    assert packs.read_entries(base) is None


def test_the_name_of_a_pack_says_of_what_kind_it_is(repository: Repository) -> None:
    base = write(folder_of(repository), blobs(0, 1)).base
    checksum = Path(base + ".pack").read_bytes()[-20:]
    names = {kind: packs.pack_name(checksum, kind) for kind in ("plain", "deltas")}
    assert len(set(names.values())) == 2
    for name in (*names.values(), "pack-of-theirs"):
        (folder_of(repository) / f"{name}.pack").write_bytes(b"PACK" + checksum)
    found = [packs.kind_of(f"{folder_of(repository)}/{name}") for name in (*names.values(), "pack-of-theirs", "none")]
    assert found == ["plain", "deltas", None, None]


@given(st.binary(max_size=3000), st.integers(0, 9))
def test_zlib_makes_no_more_of_bytes_than_is_said(data: bytes, level: int) -> None:
    assert len(zlib.compress(data, level)) <= packs.deflated_at_most(len(data)) <= len(data) * 1.2 + 32


def test_a_keep_for_work_that_ended_is_left_and_no_other_is(repository: Repository) -> None:
    alive, ended = Scratch(repository, "incoming"), Scratch(repository, "incoming")
    ended.close()
    notes = {
        "ended": packs.keep_note(ended.path.name),
        "alive": packs.keep_note(alive.path.name),
        "nobody": b"gitstate for \xff\n",
        "elsewhere": packs.keep_note(f"../gitstate/{ended.path.name}"),
        "publish": packs.KEEP,
        "person": b"a person keeps this\n",
    }
    for name, note in notes.items():
        (folder_of(repository) / f"{name}.keep").write_bytes(note)
    (folder_of(repository) / "ended.pack").write_bytes(b"on its way")
    for pack, work in ((packs.build(blobs(0, 1)), alive), (packs.build(blobs(1, 1)), ended)):
        (folder_of(repository) / f"{pack.name}.keep").write_bytes(packs.keep_note(work.path.name))
        (folder_of(repository) / f"{pack.name}.pack").write_bytes(pack.data)
    assert [name for name in notes if packs.is_left_keep(f"{folder_of(repository)}/{name}.keep")] == ["ended", "nobody"]
    left = {f"{pack.name}.keep", f"{pack.name}.pack", "ended.keep", "ended.pack", "nobody.keep", "publish.keep"}
    assert set(packs.leftovers(folder_of(repository))) == left
    assert not packs.is_left_keep(f"{folder_of(repository)}/none.keep")
    alive.close()


def test_what_a_persons_git_takes_away_meanwhile_is_no_leftover(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(repository)
    for name in (".tmp-12-pack-1.idx", "pack-1.idx"):
        (folder / name).write_bytes(b"an index")
    read = files.read

    def renamed_meanwhile(path: str) -> bytes:
        if path.endswith(".idx"):
            Path(path).unlink()
        return read(path)

    monkeypatch.setattr(files, "read", renamed_meanwhile)
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
        assert len(open_below(tmp_path)) < 200, "of some 150 packs that are gone"
        for one in (engine, reader):
            assert one.find("0" * 12) == []  # looks for packs anew
        assert not [name for name in open_below(tmp_path) if name.endswith("(deleted)")]


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
        assert len(open_below(tmp_path)) <= 2 * 3 + 2 * len(packs_of(tmp_path / "store"))
    reader.close()
    engine.close()
    if os.path.isdir("/proc/self/fd"):
        assert not open_below(tmp_path)
