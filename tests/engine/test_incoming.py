"""What others send becomes part of a store whole and checked, or not at all."""

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import files, folding, locks, packs, scratch, upkeep
from gitstate.engine.objects import ObjectId
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from gitstate.engine.transfer import incoming
from gitstate.engine.transfer.incoming import Incoming
from gitstate.engine.transfer.outgoing import beyond_pack
from gitstate.errors import CorruptionError, StorageError, StorageFullError, UntrustedError
from tests.engine.arriving import WAYS, choose, everything, owned, take_in
from tests.engine.conftest import OpenEngine, fake_git, git, real_git, save
from tests.engine.histories import History, Item, pack_of, random_history, store, tag, write


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store", bare=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 25), way=st.sampled_from(WAYS), data=st.data())
def test_what_is_sent_arrives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, way: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("incoming")
    sender, receiver = (open_repository(folder / name, bare=True) for name in ("sender", "receiver"))
    history, commits = random_history(seed, count)
    store(sender, history)
    known: list[ObjectId] = []
    with pytest.MonkeyPatch.context() as patch, closing(ObjectReader(sender)) as here:
        choose(way, patch)
        for _ in range(2):
            tips = data.draw(st.lists(st.sampled_from(commits), min_size=1, max_size=3))
            with beyond_pack(sender, here, tips, known) as source:
                take_in(receiver, b"".join(source.chunks()), tips, known, piece=data.draw(st.integers(1, 5000)))
            known += tips
    for number, tip in enumerate(known):
        git(receiver.git_dir, "update-ref", f"refs/heads/b{number}", tip)
    report = git(receiver.git_dir, "fsck", "--strict", "--full")
    assert not [line for line in report.splitlines() if not line.startswith(("dangling", "notice"))], report
    assert not list(receiver.private.iterdir())
    assert not list((receiver.objects / "pack").glob("*.keep"))


@pytest.mark.parametrize("thin", [True, False])
def test_packs_of_git_arrive(repository: Repository, tmp_path: Path, way: str, thin: bool) -> None:
    history, commits = random_history(7, 40)
    sender = open_repository(tmp_path / "sender", bare=True)
    store(sender, history)
    git(sender.git_dir, "update-ref", "refs/heads/main", commits[-1])
    base = commits[-10] if thin else None
    for tips, known in (([commits[-10]], []), ([commits[-1]], [base])):
        wanted = "".join([*(f"{tip}\n" for tip in tips), *(f"^{each}\n" for each in known if each)])
        data = subprocess.run(
            ["git", "-C", str(sender.git_dir), "pack-objects", "--revs", "--stdout", "--thin", "-q", "--window=50"],
            input=wanted.encode(),
            check=True,
            capture_output=True,
        ).stdout
        take_in(repository, data, tips, [each for each in known if each])
    git(repository.git_dir, "update-ref", "refs/heads/main", commits[-1])
    git(repository.git_dir, "fsck", "--strict", "--full")
    kinds = {packs.kind_of(str(path)[:-5]) for path in (repository.objects / "pack").glob("*.pack")}
    assert kinds == ({"plain"} if way == "few" else {"deltas"})


def test_deltas_of_what_is_here_arrive(repository: Repository, tmp_path: Path, way: str) -> None:
    work, draw = tmp_path / "sender", random.Random(1)
    git(tmp_path, "init", "-q", str(work))
    packed, made = [], []
    for number in range(3):
        (work / "large").write_bytes(draw.randbytes(4000) if not number else (work / "large").read_bytes() + b"more")
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", str(number))
        made.append(git(work, "rev-parse", "HEAD").strip())
        command = ["git", "-C", str(work), "pack-objects", "--revs", "--stdout", "--thin", "-q"]
        wanted = f"{made[-1]}\n" + "".join(f"^{each}\n" for each in made[:-1])
        packed.append(subprocess.run(command, input=wanted.encode(), check=True, capture_output=True).stdout)
        take_in(repository, packed[-1], made[-1:], made[:-1])
    assert len(packed[0]) > 4000 > 10 * len(packed[2]), "it says how the file differs"
    git(repository.git_dir, "update-ref", "refs/heads/main", made[-1])
    git(repository.git_dir, "fsck", "--strict", "--full")
    assert git(repository.git_dir, "cat-file", "-s", "main:large") == "4008\n"


def test_an_object_that_comes_twice_is_no_pack_of_git_s(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("no git", monkeypatch)
    with pytest.raises(UntrustedError, match="twice"):
        take_in(repository, pack_of([Item("blob", b"same")] * 2), [])
    assert not list((repository.objects / "pack").iterdir())


def test_readers_see_it_when_it_is_admitted_and_not_before(repository: Repository, way: str) -> None:
    history, commits = random_history(1, 10)
    tip = commits[-1]
    reader = ObjectReader(repository)
    with Incoming(repository, below=reader) as arriving:
        arriving.write(history.pack())
        arriving.index()
        arriving.check([tip], [], owned)
        assert arriving.source.read(tip, "commit") == history.objects[tip][1]
        with pytest.raises(CorruptionError):
            reader.read(tip, "commit")
        arriving.admit()
        assert reader.read(tip, "commit") == arriving.source.read(tip, "commit")
        for name, (kind, body) in history.objects.items():
            assert arriving.source.read(name, kind) == body  # type: ignore[arg-type]
    assert reader.read(tip, "commit") == history.objects[tip][1]
    reader.close()


def test_nothing_arrived(repository: Repository) -> None:
    store(repository, (made := random_history(1, 3))[0])
    for data in (b"", pack_of([])):
        take_in(repository, data, made[1], [])
    assert len(list((repository.objects / "pack").glob("*.pack"))) == 1


def test_tags_arrive_with_their_commits(repository: Repository, way: str) -> None:
    history, commits = random_history(2, 3)
    outer = history.add("tag", tag(history.add("tag", tag(commits[-1])), "tag"))
    take_in(repository, history.pack(), [outer])
    git(repository.git_dir, "update-ref", "refs/tags/v1", outer)
    git(repository.git_dir, "fsck", "--strict", "--full")
    assert git(repository.git_dir, "rev-parse", f"{outer}^{{commit}}").strip() == commits[-1]
    blob = history.add("tag", tag(history.blob(b"1"), "blob"))
    with pytest.raises(UntrustedError, match="leads to no commit"):
        take_in(repository, history.pack(), [blob])


def test_gc_and_folding_leave_alone_what_no_ref_reaches_yet(repository: Repository, way: str) -> None:
    history, commits = random_history(3, 5)
    with Incoming(repository) as arriving:
        arriving.write(history.pack())
        arriving.index()
        arriving.admit()
        kept = list((repository.objects / "pack").glob("*.keep"))
        assert len(kept) == 1
        assert folding.kept(str(kept[0])[:-5])
        packs.remove_leftovers(repository.objects / "pack")  # as somebody does who takes the store's lock
        scratch.remove_leftovers(repository)
        git(repository.git_dir, "gc", "--prune=now", "-q")
        git(repository.git_dir, "repack", "-adq")
        git(repository.git_dir, "prune", "--expire=now")
        git(repository.git_dir, "cat-file", "-e", commits[-1] + "^{tree}")
        arriving.release()
        assert not list((repository.objects / "pack").glob("*.keep"))
    git(repository.git_dir, "cat-file", "-e", commits[-1] + "^{tree}")


def test_somebody_elses_keep_stays(repository: Repository, way: str) -> None:
    history, commits = random_history(3, 5)
    take_in(repository, history.pack(), commits[-1:])
    base = next((repository.objects / "pack").glob("*.pack")).with_suffix("")
    base.with_suffix(".keep").write_text("a person wants that\n")
    take_in(repository, history.pack(), commits[-1:])
    assert base.with_suffix(".keep").read_text() == "a person wants that\n"
    git(repository.git_dir, "fsck", "--full", commits[-1])


def test_many_small_fetches_are_few_packs(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    repository = open_repository(tmp_path / "store")
    history, commits = random_history(4, 80)
    for number, commit in enumerate(commits):
        sent = History({commit: history.objects[commit]})
        for name, item in list(history.objects.items())[number * 4 : number * 4 + 4]:
            sent.objects[name] = item
        with Incoming(repository) as arriving:
            arriving.write(sent.pack())
            arriving.index()
            arriving.admit()
        upkeep.tidy(repository, engine.lock)
    assert len(list((repository.objects / "pack").glob("*.pack"))) < folding.FOLD_AT + 5


_TAKE_IN = """
import sys
from pathlib import Path
from gitstate.engine.transfer import arrivals, incoming
from gitstate.engine.repository import open_repository

store, pack, tip, few = sys.argv[1:]
incoming._FEW = int(few)
print("ready", flush=True)
while True:
    with incoming.Incoming(open_repository(Path(store))) as arriving, open(pack, "rb") as file:
        while piece := file.read(5000):
            arriving.write(piece)
        arriving.index()
        arriving.check([tip], [], lambda path: True)
        arriving.admit()
    for path in Path(store, ".git/objects/pack").iterdir():
        path.unlink()
"""


@pytest.mark.parametrize("few", [0, 500])
def test_killed_at_any_moment_nothing_or_all_of_it_is_there(open_engine: OpenEngine, tmp_path: Path, few: int) -> None:
    history, commits = random_history(1, 40)
    pack = write(tmp_path, history.pack())
    store = tmp_path / "store"
    repository = open_repository(store)
    draw = random.Random(few)
    for _ in range(12):
        command = [sys.executable, "-c", _TAKE_IN, os.fspath(store), os.fspath(pack), commits[-1], str(few)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, 0.15))
            process.kill()
    _wait_for(lambda: not any(map(locks.is_held, repository.private.glob("incoming-*"))))
    engine = open_engine()
    left = [problem.place for problem in engine.check()]
    assert all(place.startswith(("gitstate/incoming-", "objects/pack/pack-")) for place in left), left
    save(engine, {"a": b"1"})
    assert [problem.place for problem in engine.check()] == []
    names = {path.name for path in (repository.objects / "pack").iterdir()}
    assert not [name for name in names if not name.endswith((".pack", ".idx"))], names
    assert {name[:-4] for name in names if name.endswith(".idx")} == {
        name[:-5] for name in names if name.endswith(".pack")
    }
    assert not list(repository.private.glob("incoming-*"))


def _wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a git that outlives its parent by a moment."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("cut", ["keep", "pack", "index"])
def test_what_a_death_in_the_middle_of_admitting_leaves_is_cleared(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    repository = open_repository(tmp_path / "store")
    before = sorted(path.name for path in (repository.objects / "pack").iterdir())
    history, _ = random_history(1, 5)
    moved: list[str] = []

    class DeadError(Exception):
        pass

    def move(source: str, target: str, folder: Path) -> None:
        if len(moved) == ["keep", "pack", "index"].index(cut):
            raise DeadError
        moved.append(target)
        os.rename(source, target)

    monkeypatch.setattr(incoming, "_move", move)
    arriving = Incoming(repository)
    arriving.write(history.pack())
    arriving.index()
    if cut == "index":
        arriving.admit()
    else:
        with pytest.raises(DeadError):
            arriving.admit()
    assert all("incoming" not in problem.place for problem in engine.check()), "somebody is at work"
    with engine.lock():
        packs.remove_leftovers(repository.objects / "pack")
    assert [path for path in moved if not os.path.exists(path)] == [], "what somebody is about to admit was taken"
    locks.let_go(arriving._scratch.fd)
    arriving._scratch.fd = -1
    places = [problem.place for problem in engine.check(repair=True)]
    assert any(place.startswith("gitstate/incoming-") for place in places)
    assert any(place.endswith(".keep") for place in places)
    assert engine.check() == []
    after = sorted(path.name for path in (repository.objects / "pack").iterdir())
    whole = sorted(os.path.basename(path) for path in moved) if cut == "index" else []
    assert after == sorted(before + whole)
    arriving.close()


def test_the_folder_of_objects_may_be_on_another_disk(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    history, commits = random_history(1, 5)
    rename = os.rename

    def refuse(source: str, target: str) -> None:
        if "/incoming-" in str(source) and "/objects/pack/pack-" in str(target) and "/incoming-" not in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    take_in(repository, history.pack(), commits[-1:])
    git(repository.git_dir, "fsck", "--full", commits[-1])
    assert {path.suffix for path in (repository.objects / "pack").iterdir()} == {".pack", ".idx"}


def test_a_full_disk_is_told_and_leaves_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    history, commits = random_history(1, 5)
    before = everything(repository)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "sync_file", full)
    with pytest.raises(StorageFullError):
        take_in(repository, history.pack(), commits[-1:])
    assert everything(repository) == before


def test_git_says_that_the_disk_is_full(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(incoming, "_FEW", 0)
    script = 'echo "fatal: write error: No space left on device" >&2; exit 128'
    fake_git(tmp_path, monkeypatch, script)
    history, commits = random_history(1, 5)
    with pytest.raises(StorageFullError, match="write error: No space left"):
        take_in(repository, history.pack(), commits[-1:])
    assert not list(repository.private.iterdir())


def test_a_git_that_dies_is_told_of(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(incoming, "_FEW", 0)
    fake_git(tmp_path, monkeypatch, "kill -9 $$")
    history, commits = random_history(1, 5)
    with pytest.raises(StorageError, match="exit status -9"):
        take_in(repository, history.pack(), commits[-1:])


def test_progress_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(incoming, "_FEW", 0)
    script = 'cat >/dev/null; printf "Resolving deltas: 50%% (7/14)\\r" >&2; sleep 0.3; exec ' + real_git() + ' "$@"'
    fake_git(tmp_path, monkeypatch, script)
    history, _ = random_history(1, 5)
    told: list[tuple[str, int, int | None]] = []
    with Incoming(repository) as arriving, pytest.raises(UntrustedError):
        arriving.write(history.pack())
        arriving.index(lambda *step: told.append(step))
    assert told[0] == ("indexing", 7, 14)


def test_an_incoming_that_is_given_up_leaves_neither_process_nor_folder(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_FEW", 0)
    history, _ = random_history(1, 30)
    with Incoming(repository) as arriving:
        arriving.write(history.pack()[:3000])
        assert arriving._indexer is not None
        process = arriving._indexer._process  # type: ignore[attr-defined]
    assert process.poll() is not None
    assert not list(repository.private.iterdir())
    arriving.close()
