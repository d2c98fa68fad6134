"""How many packs become few, and which are left alone."""

import random
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import pytest

from gitstate.engine import files, folding, packindex, packs, upkeep
from gitstate.engine.folding import FOLD_AT
from gitstate.engine.objects import GitObject
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from tests.engine.conftest import OpenEngine, blobs, git, packs_of, save


def folder_of(repository: Repository) -> Path:
    return repository.objects / "pack"


def write(folder: Path, objects: list[GitObject]) -> str:
    return packs.place(folder, packs.build(objects)).base


def fold(repository: Repository) -> int:
    """Tidy up, and return how many packs became fewer."""
    before = len(list(folder_of(repository).glob("*.pack")))
    upkeep.tidy(repository, nullcontext)
    return before - len(list(folder_of(repository).glob("*.pack")))


def test_folding_keeps_every_object_in_one_pack(repository: Repository) -> None:
    folder = folder_of(repository)
    for n in range(FOLD_AT):
        assert fold(repository) == 0
        write(folder, blobs(5 * n, 7))  # neighbours share two objects
    assert repository.worktree is not None
    git(repository.worktree, "multi-pack-index", "write")
    assert fold(repository) == FOLD_AT - 1
    (left,) = packs_of(repository.worktree)
    git(repository.worktree, "verify-pack", str(left.with_suffix(".idx")))
    assert not (folder / "multi-pack-index").exists()
    reader = ObjectReader(repository)
    for item in blobs(0, 5 * FOLD_AT + 2):
        assert reader.read(item.id, "blob") == item.body
    reader.close()
    assert fold(repository) == 0


def test_many_bytes_are_joined_like_few(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = folder_of(repository), []
    for most in (1 << 20, 0):
        monkeypatch.setattr(folding, "_IN_MEMORY", most)
        for n in range(FOLD_AT):
            write(folder, blobs(5 * n, 7, size=500))
        assert fold(repository) == FOLD_AT - 1
        (pack,) = folder.glob("*.pack")
        made.append((pack.name, pack.read_bytes(), pack.stat().st_mode, pack.with_suffix(".idx").read_bytes()))
        assert packs.is_sound(str(pack.with_suffix("")))
        for path in list(folder.iterdir()):
            path.unlink()
    assert made[0] == made[1]


def test_a_damaged_pack_is_not_joined_when_bytes_are_many(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "_IN_MEMORY", 0)
    folder = folder_of(repository)
    for n in range(FOLD_AT + 1):
        write(folder, blobs(n, 1))
    damaged = sorted(folder.glob("*.pack"))[0]
    good = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(good[:20] + bytes([good[20] ^ 1]) + good[21:])
    assert fold(repository) == FOLD_AT - 1
    assert damaged.exists()
    damaged.write_bytes(good)
    reader = ObjectReader(repository)
    for item in blobs(0, FOLD_AT + 1):
        assert reader.read(item.id, "blob") == item.body
    reader.close()


def test_to_join_big_packs_takes_little_memory(repository: Repository) -> None:
    folder = folder_of(repository)
    for n in range(16):
        write(folder, blobs(100 * n, 100, size=15_000))
    tracemalloc.start()
    try:
        assert fold(repository) == 15
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 << 20  # of 24 MB


def test_so_many_bytes_are_joined_in_one_go(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_AT_ONCE", 500)
    folder = folder_of(repository)
    for n in range(FOLD_AT):
        write(folder, blobs(n, 1, size=200))
    assert [len(tier.bases) for tier in folding.due(folder)] == [3]
    assert fold(repository) == 2
    assert not folding.due(folder)


def test_big_packs_are_not_copied_again_with_small_ones(repository: Repository) -> None:
    folder = folder_of(repository)
    write(folder, [GitObject("blob", random.Random(1).randbytes(200_000))])
    (big,) = folder.glob("*.pack")
    inode = big.stat().st_ino
    for n in range(FOLD_AT):
        write(folder, blobs(n, 1))
    fold(repository)
    assert len(list(folder.glob("*.pack"))) == 2
    assert big.stat().st_ino == inode


def test_other_people_s_and_damaged_packs_are_left_alone(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(tmp_path / "store", "repack", "-a", "-d", "-q")
    repository = open_repository(tmp_path / "store")
    folder = folder_of(repository)
    (theirs,) = folder.glob("*.pack")
    damaged = Path(write(folder, blobs(1000, 1)) + ".pack")
    good = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(good[:20] + bytes([good[20] ^ 255]) + good[21:])
    for n in range(FOLD_AT):
        write(folder, blobs(n, 1))
    assert fold(repository) == FOLD_AT - 1
    assert len(packs_of(tmp_path / "store")) == 3
    assert theirs.exists()
    assert damaged.exists()
    damaged.write_bytes(good)  # for the check of the whole repository


@pytest.mark.parametrize("in_memory", [1 << 20, -1])
def test_packs_are_joined_if_enough_of_them_are_whole_and_there(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(folding, "_IN_MEMORY", in_memory)
    folder = folder_of(repository)
    old = [write(folder, blobs(n, 2)) for n in range(4)]
    damaged, gone = Path(old[1] + ".pack"), Path(old[2])
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0\0")
    for suffix in (".idx", ".pack"):
        gone.with_suffix(suffix).unlink()
    if in_memory < 0:  # it goes right after it was looked at
        real = packs.is_sound
        monkeypatch.setattr(packs, "is_sound", lambda base: base == str(gone) or real(base))
    for enough, replaced in ((3, 0), (2, 2)):
        before = sorted(path.name for path in folder.iterdir())
        with folding.workshop(repository, "fold", nullcontext) as shop:
            assert folding.join(folder, shop, folding.Tier(old, enough), nullcontext, "deltas") == replaced
            if not replaced:
                assert before == sorted(path.name for path in folder.iterdir())
        assert not folding.place(repository, "fold").exists()
    (made,) = [path for path in folder.glob("*.pack") if path != damaged]
    assert packs.kind_of(str(made.with_suffix(""))) == "deltas"
    assert {path.stat().st_mode & 0o777 for path in (made, made.with_suffix(".idx"))} == {0o444}
    index = str(made.with_suffix(".idx"))
    assert packindex.ids(index) == {bytes.fromhex(item.id) for n in (0, 3) for item in blobs(n, 2)}


def test_what_a_dead_process_was_about_to_remove_goes_and_nothing_else(repository: Repository) -> None:
    folder = folder_of(repository)
    half, whole, unnamed = (Path(write(folder, blobs(n, 2))) for n in (0, 2, 4))
    half.with_suffix(".rev").touch()
    for base in (half, unnamed):
        base.with_suffix(".idx").unlink()
    shop = folding.place(repository, "fold")
    shop.mkdir()
    (shop / "going").write_text(f"{half.name}.idx\n{whole.name}.idx\n{'pack-' + '0' * 40}.idx")
    folding.remove_leftovers(repository, "other", nullcontext)
    assert shop.exists() and half.with_suffix(".pack").exists()
    folding.remove_leftovers(repository, "fold", nullcontext)
    assert not shop.exists()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{whole.name}.idx", f"{whole.name}.pack", f"{unnamed.name}.pack"]
    )


def test_what_is_about_to_be_removed_is_noted_first(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, noted = folder_of(repository), list[str]()
    old = [write(folder, blobs(n, 2)) for n in range(2)]

    def killed(folder: Path, bases: list[str]) -> int:
        noted.append((shop / "going").read_text())
        for base in bases:
            Path(base + ".idx").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(folding, "forget", killed)
    monkeypatch.setattr("shutil.rmtree", lambda *paths, **options: None)
    with pytest.raises(KeyboardInterrupt), folding.workshop(repository, "fold", nullcontext) as shop:
        folding.join(folder, shop, folding.Tier(old, 2), nullcontext)
    monkeypatch.undo()
    assert noted == ["\n".join(f"{Path(base).name}.idx" for base in old)]
    folding.remove_leftovers(repository, "fold", nullcontext)
    assert len(list(folder.glob("*.pack"))) == 1


def test_a_new_pack_that_somebody_cleaned_away_replaces_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = folder_of(repository), files.sync_directory
    old = [write(folder, blobs(n, 2)) for n in range(2)]

    def cleaned(path: Path) -> None:
        real(path)
        for found in folder.glob("*.idx"):
            if str(found.with_suffix("")) not in old:
                found.unlink()

    monkeypatch.setattr(files, "sync_directory", cleaned)
    with folding.workshop(repository, "fold", nullcontext) as shop:
        assert folding.join(folder, shop, folding.Tier(old, 2), nullcontext) == 0
    assert all(Path(base + suffix).exists() for base in old for suffix in (".idx", ".pack"))


@pytest.mark.parametrize("damage", ["lacks one", "no index", "cut index", "other index"])
def test_a_pack_whose_objects_are_not_known_to_be_in_the_new_one_stays(repository: Repository, damage: str) -> None:
    folder = folder_of(repository)
    old = [write(folder, blobs(0, 3)), write(folder, blobs(3, 3))]
    with folding.workshop(repository, "fold", nullcontext) as shop:
        made = write(shop, blobs(0, 5 if damage == "lacks one" else 6))
        index = Path(old[1] + ".idx")
        if damage == "no index":
            index.unlink()
        elif damage == "cut index":
            index.chmod(0o644)
            index.write_bytes(index.read_bytes()[:-50])
        elif damage == "other index":
            index.chmod(0o644)
            index.write_bytes(b"\0" * 2000)
        name = packs.pack_name(b"\1" * 20)
        assert folding.exchange(folder, shop, made, name, old, nullcontext) == 1
    assert sorted(path.name for path in folder.glob("*.pack")) == sorted([f"{name}.pack", Path(old[1] + ".pack").name])


def test_kept_packs_and_an_index_of_other_packs_stay(open_engine: OpenEngine, tmp_path: Path) -> None:
    save(open_engine(), {"a": b"1"})
    git(tmp_path / "store", "repack", "-a", "-d", "-q")
    git(tmp_path / "store", "multi-pack-index", "write")
    repository = open_repository(tmp_path / "store")
    folder = folder_of(repository)
    kept = write(folder, blobs(1000, 1))
    Path(kept + ".keep").write_text("a person keeps this")
    for n in range(FOLD_AT):
        write(folder, blobs(n, 1))
    assert fold(repository) == FOLD_AT - 1
    assert Path(kept + ".pack").exists()
    assert (folder / "multi-pack-index").exists()


def test_an_index_of_packs_that_are_gone_goes(repository: Repository) -> None:
    """As when git began to write it before the packs were joined, and ended after."""
    folder = folder_of(repository)
    for n in range(FOLD_AT):
        write(folder, blobs(n, 1))
    assert repository.worktree is not None
    git(repository.worktree, "multi-pack-index", "write")
    stale = (folder / "multi-pack-index").read_bytes()
    fold(repository)
    (folder / "multi-pack-index").write_bytes(stale)
    for n in range(FOLD_AT):
        write(folder, blobs(100 + n, 1))
    assert fold(repository) == FOLD_AT
    assert not (folder / "multi-pack-index").exists()


def test_git_s_indexes_of_many_packs_go_with_what_belongs_to_them(repository: Repository) -> None:
    folder = folder_of(repository)
    assert repository.worktree is not None
    assert not folding.forget_stale_index(repository), "there is none"
    old = write(folder, blobs(0, 2))
    write(folder, blobs(2, 2))
    git(repository.worktree, "multi-pack-index", "write")
    beside = folder / f"multi-pack-index-{'a' * 40}.bitmap"
    beside.touch()
    chain = folder / "multi-pack-index.d"
    chain.mkdir()
    (chain / "multi-pack-index-chain").touch()
    assert not folding.forget_stale_index(repository), "all packs that it names are there"
    assert beside.exists() and chain.exists()
    assert folding.forget(folder, [old]) == 1
    assert sorted({path.suffix for path in folder.iterdir()}) == [".idx", ".pack"]
    git(repository.worktree, "multi-pack-index", "write")
    beside.touch()
    for path in folder.glob("*.pack"):
        path.unlink()
    assert folding.forget_stale_index(repository)
    assert not list(folder.glob("multi-pack-index*"))


@pytest.mark.parametrize(("most", "count"), [(1, 2), (250, 2), (251, 3), (10**9, 5)])
def test_of_packs_that_are_many_bytes_some_are_joined_and_two_at_least(
    monkeypatch: pytest.MonkeyPatch, most: int, count: int
) -> None:
    monkeypatch.setattr(folding, "_AT_ONCE", most)
    bases = [f"pack-{number}" for number in range(5)]
    assert folding._at_once(bases, dict.fromkeys(bases, 125)) == bases[:count]


def test_packs_that_have_no_name_yet_are_none(repository: Repository) -> None:
    folder = folder_of(repository)
    base = write(folder, blobs(0, 2))
    (folder / ".tmp-1-pack-x.pack").write_bytes(b"PACK")
    assert folding.packs_in(folder) == {base: Path(base + ".pack").stat().st_size}
