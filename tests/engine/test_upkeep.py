"""Upkeep makes a store small, loses nothing, runs nothing that the store names, and is in nobody's way."""

import gc
import os
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from gitstate.engine import cgit, packs, upkeep
from gitstate.engine.folding import FOLD_AT
from gitstate.engine.locks import alone
from gitstate.engine.objects import GitObject
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from gitstate.errors import BusyError, StorageError
from tests.engine.conftest import OpenEngine, fake_git, git, packs_of, real_git, save

BIG = 1_100_000  # bytes of a pack that is worth to be packed with deltas
# The children run nothing but the engine, which takes no lock of another thread of this process.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def folder_of(repository: Repository) -> Path:
    return repository.objects / "pack"


def write(repository: Repository, *bodies: bytes) -> Path:
    """Write a pack without deltas, which no ref reaches; return its path."""
    objects = [GitObject("blob", body) for body in bodies]
    return Path(packs.place(folder_of(repository), packs.build(objects)).base + ".pack")


def big(repository: Repository, seed: int) -> list[bytes]:
    """Write a big pack of two versions of one text, and return them."""
    text = random.Random(seed).randbytes(BIG // 2)
    bodies = [text, text[:-1] + b"!"]
    write(repository, *bodies)
    return bodies


def check_whole(repository: Repository, *bodies: bytes) -> None:
    reader = ObjectReader(repository)
    for body in bodies:
        assert reader.read(GitObject("blob", body).id, "blob") == body
    reader.close()
    assert repository.worktree is not None
    report = git(repository.worktree, "fsck", "--full", "--strict")
    assert not [line for line in report.splitlines() if not line.startswith(("dangling", "notice"))], report
    assert "garbage: 0" in git(repository.worktree, "count-objects", "-v")
    assert not list(repository.objects.glob("gitstate-*"))


def sizes_of(repository: Repository) -> list[int]:
    return sorted(path.stat().st_size for path in folder_of(repository).glob("*.pack"))


def pack_now(repository: Repository) -> bool:
    """Let a packer do what is due; return whether it had begun."""
    packer = upkeep.Packer(repository, nullcontext)
    packer.start_if_due()
    began = packer._thread is not None
    if packer._thread is not None:
        packer._thread.join()
    return began


def test_gc_makes_one_pack_of_all_and_drops_nothing(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    store = tmp_path / "store"
    repository = open_repository(store)
    heads = [save(engine, {f"f{n}": b"%d" % n * 200}) for n in range(5)]
    git(store, "repack", "-q", "-a", "-d")
    heads += [save(engine, {f"f{n}": b"%d" % n * 201}) for n in range(5)]
    (store / "loose").write_text("loose")
    git(store, "hash-object", "-w", "loose")
    unreached = write(repository, b"reached by nothing")
    os.utime(unreached, (0, 0))
    kept = write(repository, b"kept by a person")
    kept.with_suffix(".keep").write_text("because")
    report = engine.gc()
    assert len(packs_of(store)) == 2
    assert kept in packs_of(store)
    assert (report.packs_before, report.packs_after) == (8, 2)
    assert report.bytes_after < report.bytes_before
    assert "with deltas" in str(report)
    assert "1 loose objects" in str(report)
    assert "8 packs before, 2 after" in str(report)
    check_whole(repository, b"loose", b"reached by nothing", b"kept by a person")
    assert "count: 0" in git(store, "count-objects", "-v")
    git(store, "commit-graph", "verify")
    assert set(heads) <= set(git(store, "rev-list", "main").split())
    assert all(engine.read(head, "commit") for head in heads), "an engine that was open reads on"
    kept.with_suffix(".keep").unlink()


def test_the_graph_of_the_commits_has_those_of_every_ref_and_no_others(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    store = tmp_path / "store"
    save(engine, {"a": b"1"})
    git(store, "tag", "-a", "-m", "a tag", "v1", "main")
    git(store, "update-ref", "refs/heads/other", git(store, "commit-tree", "-m", "x", "main^{tree}").strip())
    save(engine, {"a": b"2"})
    engine.gc()
    assert graph_of(store) == set(git(store, "rev-list", "--all").split())
    git(store, "update-ref", "-d", "refs/heads/other")
    git(store, "-c", "gc.writeCommitGraph=false", "gc", "-q", "--prune=now")
    engine.gc()
    assert graph_of(store) == set(git(store, "rev-list", "--all").split())
    git(store, "commit-graph", "verify")
    (store / ".git/refs/heads/other").write_text("1" * 40 + "\n")
    assert "wrote no graph of the commits" in str(engine.gc())
    (store / ".git/refs/heads/other").unlink()


def graph_of(store: Path) -> set[str]:
    """Return the commits in git's graph of them (https://git-scm.com/docs/gitformat-commit-graph)."""
    data = (store / ".git/objects/info/commit-graph").read_bytes()
    starts = {data[n : n + 4]: int.from_bytes(data[n + 4 : n + 12], "big") for n in range(8, 8 + 12 * data[6], 12)}
    count = int.from_bytes(data[starts[b"OIDL"] - 4 : starts[b"OIDL"]], "big")
    return {data[n : n + 20].hex() for n in range(starts[b"OIDL"], starts[b"OIDL"] + 20 * count, 20)}


def test_gc_again_finds_nothing_to_do(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    engine.gc()
    (pack,) = packs_of(tmp_path / "store")
    inode = pack.stat().st_ino
    report = engine.gc()
    assert pack.stat().st_ino == inode
    assert not [line for line in report.done if "packed" in line]


def test_nothing_that_a_repository_names_is_run(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    save(engine, {"a": b"2"})
    ran = tmp_path / "ran"
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {ran}\n")
    trap.chmod(0o755)
    store = tmp_path / "store"
    names = ("core.fsmonitor", "core.alternateRefsCommand", "core.sshCommand", "core.gitProxy", "core.pager")
    for name in (*names, "gc.recentObjectsHook", "uploadpack.packObjectsHook", "alias.pack-objects"):
        git(store, "config", name, str(trap))
    hooks = store / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-auto-gc", "reference-transaction", "post-index-change", "post-rewrite"):
        (hooks / name).symlink_to(trap)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_EXEC_PATH"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    report = engine.gc()
    assert "with deltas" in str(report)
    assert not ran.exists()
    assert not (tmp_path / "elsewhere").exists()
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_EXEC_PATH"):
        monkeypatch.delenv(name)
    (store / ".git/config").write_text("[core]\n\trepositoryformatversion = 0\n")


@pytest.mark.parametrize("what", ["none", "old"])
def test_without_a_git_packs_are_joined_all_the_same(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for n in range(5):
        write(repository, b"%d" % n)
    with monkeypatch.context() as patch:
        if what == "none":
            patch.setenv("PATH", str(tmp_path))
        else:
            fake_git(tmp_path, patch, "exit 99", version="2.25.1")
        report = upkeep.gc(repository, nullcontext)
    assert (report.packs_before, report.packs_after) == (5, 1)
    assert ("there is no git here" if what == "none" else "git 2.25.1 is too old") in str(report)
    check_whole(repository, *[b"%d" % n for n in range(5)])


def test_a_git_that_fails_is_quoted_and_changes_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = [body for seed in range(4) for body in big(repository, seed)]
    with monkeypatch.context() as patch:
        fake_git(tmp_path, patch, 'echo "fatal: out of luck" >&2; exit 128')
        with pytest.raises(StorageError, match="out of luck"):
            upkeep.gc(repository, nullcontext)
        packer = upkeep.Packer(repository, nullcontext)
        packer.start_if_due()
        assert packer._thread is not None
        packer._thread.join()
        packer.stop()
        assert "out of luck" in caplog.text
    check_whole(repository, *bodies)
    assert len(sizes_of(repository)) == 4


def test_what_failed_is_not_tried_again_at_once(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        big(repository, seed)
    calls = tmp_path / "calls"
    fake_git(tmp_path, monkeypatch, f"echo called >> {calls}; exit 1")
    packer = upkeep.Packer(repository, nullcontext)
    for _ in range(3):
        packer.start_if_due()
        if packer._thread is not None:
            packer._thread.join()
    packer.stop()
    assert calls.read_text() == "called\n"


def test_a_git_that_makes_less_than_it_was_asked_for_takes_nothing_away(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pack replaces is looked up in its index, whatever made it."""
    bodies = [body for seed in range(4) for body in big(repository, seed)]
    with monkeypatch.context() as patch:
        fake_git(
            tmp_path,
            patch,
            f'if [ "$1" = pack-objects ]; then head -n 2 | {real_git()} "$@"; else {real_git()} "$@"; fi',
        )
        assert pack_now(repository)
    assert len(sizes_of(repository)) == 3, "two were replaced by one"
    check_whole(repository, *bodies)


def test_packs_that_were_fetched_become_few(repository: Repository) -> None:
    bodies = [random.Random(seed).randbytes(4000 + (seed == 0) * 100_000) for seed in range(8)]
    for number, body in enumerate(bodies):
        assert not pack_now(repository)
        made = packs.build([GitObject("blob", body), GitObject("blob", body + b"!")])
        base = folder_of(repository) / packs.pack_name(made.data[-20:], "deltas")
        base.with_suffix(".pack").write_bytes(made.data)
        base.with_suffix(".idx").write_bytes(made.index)
        assert len(packs_of(repository.git_dir.parent)) == number + 1
    assert pack_now(repository)
    assert not pack_now(repository)
    sizes = sizes_of(repository)
    assert len(sizes) == 2
    assert sizes[0] < 50_000 < sizes[1]
    check_whole(repository, *bodies)


def test_big_packs_are_packed_with_deltas_when_there_are_some(repository: Repository) -> None:
    bodies = [body for seed in range(3) for body in big(repository, seed)]
    assert not pack_now(repository)
    bodies += big(repository, 3)
    assert pack_now(repository)
    (size,) = sizes_of(repository)
    assert size < 4 * BIG * 0.6, "one of two versions is a delta"
    check_whole(repository, *bodies)
    for seed in range(4, 8):
        bodies += big(repository, seed)
    assert pack_now(repository)
    (size,) = sizes_of(repository)
    for seed in range(8, 12):
        bodies += big(repository, seed)
    upkeep.gc(repository, nullcontext)
    large = write(repository, random.Random(99).randbytes(9 * BIG))
    upkeep.gc(repository, nullcontext)
    assert not large.exists()
    for seed in range(12, 16):
        bodies += big(repository, seed)
    assert pack_now(repository)
    assert len(sizes_of(repository)) == 2, "what is bigger than all that came stays as it is"
    check_whole(repository, *bodies)


def test_a_damaged_pack_does_not_keep_the_others_from_being_packed(repository: Repository) -> None:
    for seed in range(5):
        big(repository, seed)
    damaged = min(folder_of(repository).glob("*.pack"))
    damaged.chmod(0o644)
    with open(damaged, "r+b") as file:
        file.seek(1000)
        file.write(b"nonsense")
    assert pack_now(repository)
    assert len(sizes_of(repository)) == 2
    assert damaged.exists()
    assert not pack_now(repository)


def test_who_stops_a_packer_does_not_wait_for_git(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [body for seed in range(4) for body in big(repository, seed)]
    with monkeypatch.context() as patch:
        fake_git(tmp_path, patch, f"echo $$ > {tmp_path / 'pid'}; exec sleep 60")
        packer = upkeep.Packer(repository, nullcontext)
        packer.start_if_due()
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        began = time.monotonic()
        packer.stop()
        assert time.monotonic() - began < 5
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
    packer.start_if_due()
    assert len(sizes_of(repository)) == 4, "one that was stopped begins nothing more"
    assert pack_now(repository)
    check_whole(repository, *bodies)


def test_one_at_a_time(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(FOLD_AT):
        write(repository, b"%d" % n)
    for seed in range(4):
        big(repository, seed)
    monkeypatch.setattr(upkeep, "_PATIENCE", 0.05)
    with alone(repository.private / "upkeep", 0), alone(repository.private / "fold", 0):
        upkeep.tidy(repository, nullcontext)
        pack_now(repository)
        with pytest.raises(BusyError):
            upkeep.gc(repository, nullcontext)
        assert len(sizes_of(repository)) == FOLD_AT + 4
        shop = repository.objects / "gitstate-upkeep"
        shop.mkdir()
        assert not upkeep.leftovers(repository)
        upkeep.remove_leftovers(repository, nullcontext)
        assert shop.exists(), "somebody is at work there"
        shop.rmdir()
    with alone(repository.private / "upkeep", 0):
        upkeep.tidy(repository, nullcontext)
    assert len(sizes_of(repository)) == 1 + 4, "small packs do not wait for big ones"
    with alone(repository.private / "fold", 0):
        assert pack_now(repository)
    assert len(sizes_of(repository)) == 1 + 1, "nor big ones for small ones"


def test_packs_that_a_store_keeps_while_they_are_joined_stay(repository: Repository) -> None:
    """A writer may publish what was published before, and keep it until its ref is there."""
    paths = [write(repository, b"%d" % n) for n in range(FOLD_AT)]

    class Lock(nullcontext[None]):
        def __enter__(self) -> None:
            paths[0].with_suffix(".keep").write_bytes(packs.KEEP)

    upkeep.tidy(repository, Lock)
    assert paths[0].exists()
    assert len(sizes_of(repository)) == 2


def die_at(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``real``, with the death of the process before its ``number``-th call."""
    calls = 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os._exit(9)
        return real(*args, **options)

    return wrapped


@pytest.mark.parametrize("step", ["rename", "unlink", "mkdir", "fsync"])
@pytest.mark.parametrize("work", ["tidy", "gc"])
def test_a_death_in_the_middle_blocks_nobody_and_leaves_nothing(repository: Repository, work: str, step: str) -> None:
    died = 0
    bodies = []
    numbers = [1, 2, 3, 4, 5, 8] if work == "gc" else [1, 2, 3, 10, 40, 67]
    for number in numbers:
        added = [b"%d of %d" % (n, number) for n in range(FOLD_AT if work == "tidy" else 3)]
        bodies += added
        for body in added:
            write(repository, body)
        if work == "gc":  # packs of others, too
            assert repository.worktree is not None
            (repository.worktree / "f").write_bytes(b"theirs %d" % number)
            git(repository.worktree, "add", "f")
            git(repository.worktree, "commit", "-q", "-m", "f")
            git(repository.worktree, "repack", "-q")
            bodies.append(b"theirs %d" % number)
        child = os.fork()
        if child == 0:
            gc.disable()  # it would look through, and so copy, all that the tests before have left in memory
            setattr(os, step, die_at(number, getattr(os, step)))
            try:
                if work == "tidy":
                    upkeep.tidy(repository, nullcontext)
                else:
                    upkeep.gc(repository, nullcontext)
            finally:
                os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9:
            died += 1
            assert len(upkeep.leftovers(repository)) == len(list(repository.objects.glob("gitstate-*")))
        upkeep.remove_leftovers(repository, nullcontext)
        packs.remove_leftovers(folder_of(repository))
        assert not upkeep.leftovers(repository)
        check_whole(repository, *bodies)
    assert died >= 1
    upkeep.gc(repository, nullcontext)
    assert len(sizes_of(repository)) == 1
    check_whole(repository, *bodies)


def test_a_git_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    found = cgit.find(timeout=0.2)
    assert found is not None
    with pytest.raises(StorageError, match=r"`git pack-objects` took more than 0\.2 s"):
        found.pack_objects(tmp_path, [])
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("script", ["exit 1", "echo none", "kill -9 $$"])
def test_a_git_that_does_not_work_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cgit.find(timeout=1) is None


def test_a_graph_in_parts_is_left_to_those_who_keep_it(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    for number in range(3):
        save(engine, {"a": b"%d" % number})
    git(tmp_path / "store", "commit-graph", "write", "--reachable", "--split")
    parts = tmp_path / "store/.git/objects/info/commit-graphs"
    before = {path.name: path.read_bytes() for path in parts.iterdir()}
    assert any("which is in parts" in what for what in engine.gc().done)
    assert {path.name: path.read_bytes() for path in parts.iterdir()} == before
