"""Upkeep beside that of a person's git: whatever it does in the middle of ours, nothing is lost and gc ends well."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate.engine import upkeep
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import GitObject
from gitstate.engine.repository import open_repository
from tests.engine.conftest import OpenEngine, content, fake_git, git, packs_of, real_git, save

# The children run nothing but the engine, which takes no lock of another thread of this process.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def test_gc_begins_again_when_a_person_s_git_took_what_it_was_packing(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    store = tmp_path / "store"
    for n in range(3):
        save(engine, {"a": b"%d" % n})
    git(store, "repack", "-adq")
    head = save(engine, {"a": b"last"})
    done = tmp_path / "done"
    meanwhile = f"touch {done}; unset GIT_DIR; {real_git()} -C {store} repack -adq; exit 128"
    with monkeypatch.context() as patch:
        fake_git(tmp_path, patch, f'if [ ! -e {done} ]; then {meanwhile}; else exec {real_git()} "$@"; fi')
        report = engine.gc()
    assert done.exists()
    assert report.packs_after == 1
    assert engine.read(head, "commit")


def test_gc_begins_again_when_only_the_index_of_a_pack_is_gone_yet(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    store = tmp_path / "store"
    head = save(engine, {"a": b"1"})
    git(store, "repack", "-adq")
    (theirs,) = (store / ".git/objects/pack").glob("*.idx")
    save(engine, {"a": b"2"})
    away = tmp_path / "away.idx"
    with monkeypatch.context() as patch:
        fake_git(
            tmp_path, patch, f'if [ ! -e {away} ]; then mv {theirs} {away}; exit 128; else exec {real_git()} "$@"; fi'
        )
        engine.gc()
    away.rename(theirs)
    assert engine.read(head, "commit")


def test_gc_reads_well_beside_an_index_of_packs_that_are_gone(open_engine: OpenEngine, tmp_path: Path) -> None:
    """As when git began to write it before packs were joined, and ended after: it misses what the joined pack has."""
    engine = open_engine()
    store = tmp_path / "store"
    head = save(engine, {"a": b"1"})
    small = {path: path.read_bytes() for path in (store / ".git/objects/pack").iterdir()}
    save(engine, {"a": b"2"})
    git(store, "repack", "-adq")
    joined = packs_of(store)
    for path, written in small.items():
        path.write_bytes(written)
    for path in joined:
        os.utime(path, (1, 1))  # so the index finds the objects in the small ones
    git(store, "multi-pack-index", "write")
    for path in small:
        path.unlink()
    assert subprocess.run(["git", "cat-file", "-e", head], cwd=store, check=False, capture_output=True).returncode
    engine.gc()
    git(store, "cat-file", "-e", head)
    assert not (store / ".git/objects/pack/multi-pack-index").exists()


def test_gc_leaves_a_pack_that_git_is_about_to_rename(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(tmp_path / "store", "repack", "-adq")
    (theirs,) = packs_of(tmp_path / "store")
    unnamed = [theirs.with_name(f".tmp-1-{theirs.stem}{suffix}") for suffix in (".pack", ".idx")]
    for path in unnamed:
        shutil.copy(theirs.with_suffix(path.suffix), path)
    save(engine, {"a": b"2"})
    assert engine.gc().packs_after == 1
    assert all(path.exists() for path in unnamed)


def work_until_told(said: Path, work: Callable[[int], str | None], stop: Path) -> int:
    """Start a process that works until ``stop`` exists and writes down what each turn says; return its id."""
    child = os.fork()
    if child == 0:
        try:
            with open(said, "w", buffering=1) as file:
                turn = 0
                while not stop.exists():
                    file.write(f"{work(turn)}\n")
                    turn += 1
        except BaseException as error:
            Path(f"{said}.failed").write_text(repr(error))
            os._exit(1)
        os._exit(0)
    return child


def test_everybody_s_upkeep_at_once_loses_nothing(open_engine: OpenEngine, tmp_path: Path) -> None:
    """Two writers and a reader, while we and a person's git pack, prune and index under them."""
    store = tmp_path / "store"
    first = open_engine()
    for n in range(40):
        save(first, {"first": b"%d" % n})
    first.close()
    repository = open_repository(store)
    stop = tmp_path / "stop"
    engines: dict[str, GitEngine] = {}

    def engine(name: str) -> GitEngine:
        return engines.setdefault(name, GitEngine(repository))

    def write_as(name: str) -> Callable[[int], str]:
        return lambda turn: save(engine(name), {f"{name}/{turn % 7}": b"%d" % turn * 50})

    def read_all(turn: int) -> None:
        assert content(engine("reader"), "first") == b"39"
        old = GitObject("blob", b"%d" % (turn % 40))
        assert engine("reader").read(old.id, "blob") == old.body

    workers = {name: work_until_told(tmp_path / name, write_as(name), stop) for name in ("one", "two")}
    workers["reader"] = work_until_told(tmp_path / "reader", lambda turn: read_all(turn), stop)
    try:
        lock = engine("gc").lock
        for _ in range(4):
            upkeep.gc(repository, lock)
            git(store, "multi-pack-index", "write")
            upkeep.tidy(repository, lock)
            run_leniently(store, "repack", "-adq")
            git(store, "pack-refs", "--all")
            run_leniently(store, "gc", "--prune=now", "-q")
            upkeep.tidy(repository, lock)
            upkeep.gc(repository, lock)
    finally:
        stop.touch()
        statuses = {name: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for name, child in workers.items()}
    engine("gc").close()
    assert statuses == dict.fromkeys(workers, 0), [path.read_text() for path in tmp_path.glob("*.failed")]
    acknowledged = {line for name in ("one", "two") for line in (tmp_path / name).read_text().split()}
    assert len(acknowledged) > 50
    assert acknowledged <= set(git(store, "rev-list", "main").split())


def run_leniently(store: Path, *arguments: str) -> None:
    """Run a person's git, which may find that a pack went while it read; that is no loss."""
    subprocess.run(["git", *arguments], cwd=store, check=False, capture_output=True)
