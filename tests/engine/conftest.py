"""Repositories to try the engine on, and real git to judge what it left there."""

import itertools
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gitstate.engine import graph, journal, trees
from gitstate.engine.base import Engine
from gitstate.engine.git import GitEngine
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, GitObject, ObjectId
from gitstate.engine.repository import Repository, open_repository
from tests.engine.arriving import WAYS, choose


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it printed."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


def save(engine: Engine, files: Mapping[str, bytes | None], note: str = "a change") -> ObjectId:
    """Commit some files on top of the head."""
    with engine.lock():
        return save_locked(engine, files, note)


def save_locked(engine: Engine, files: Mapping[str, bytes | None], note: str = "a change") -> ObjectId:
    head = engine.head()
    root = None if head is None else graph.read(engine, head).tree
    edited = trees.edit(engine, root, files)
    who = engine.signature()
    commit = Commit(edited.id, () if head is None else (head,), who, who, note.encode() + b"\n").to_object()
    engine.publish([*edited.objects, commit], expected=head, new=commit.id, note=note)
    return commit.id


def content(engine: Engine, path: str) -> bytes:
    """Return a file at the head."""
    head = engine.head()
    assert head is not None
    entry = trees.find(engine, graph.read(engine, head).tree, path)
    assert entry is not None
    return engine.read(entry.id, "blob")


def packs_of(folder: Path) -> list[Path]:
    return sorted((folder / ".git" / "objects" / "pack").glob("*.pack"))


def synced_while(monkeypatch: pytest.MonkeyPatch, is_so: Callable[[], bool] = lambda: True) -> list[int]:
    """Return the inodes of what is synced from now on, in their order, as long as something is so."""
    synced, real = list[int](), os.fsync

    def sync(fd: int) -> None:
        if is_so():
            synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    return synced


def blobs(start: int, count: int, size: int = 10) -> list[GitObject]:
    """Return blobs by their numbers, the same ones each time."""
    return [GitObject("blob", random.Random(n).randbytes(size)) for n in range(start, start + count)]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository with a worktree."""
    return open_repository(tmp_path / "store")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the ways in which packs are taken in, chosen for the test."""
    choose(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, whose configuration is git's."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text((Path.home() / ".gitconfig").read_text())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


OpenEngine = Callable[..., GitEngine]


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[OpenEngine]:
    """Open engines on folders; at the end close them, and have git check every repository that they wrote to."""
    opened: list[tuple[Path, GitEngine]] = []

    def open_one(folder: Path = tmp_path / "store", *, check: bool = True, **options: Any) -> GitEngine:
        engine = GitEngine(open_repository(folder), **options)
        opened.append((folder if check else Path(), engine))
        return engine

    yield open_one
    for _, engine in opened:
        engine.close()
    for folder in {folder for folder, _ in opened if folder != Path()}:
        report = git(folder, "fsck", "--strict", "--full")
        assert not [line for line in report.splitlines() if not line.startswith(("dangling", "notice"))], report
        leftovers = git(folder, "count-objects", "-v")
        assert "garbage: 0" in leftovers, leftovers
        assert not list((folder / ".git").rglob("*.lock")), "a lock file was left"


@pytest.fixture(params=["memory", "git"])
def engine(request: pytest.FixtureRequest, open_engine: OpenEngine) -> Iterator[Engine]:
    """One engine of each kind, empty."""
    made = MemoryEngine() if request.param == "memory" else open_engine()
    yield made
    made.close()


Reboot = Callable[[], None]


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> Reboot:
    """Start the machine anew, as far as the engine can tell."""
    boots = itertools.count()

    def start() -> None:
        boot = f"boot {next(boots)}"
        monkeypatch.setattr(journal, "boot_id", lambda: boot)

    return start


def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, version: str = "2.39.5") -> None:
    """Let another program be the git that is found; see :func:`real_git`."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nif [ "$1" = version ]; then echo "git version {version}"; exit; fi\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def real_git() -> str:
    """Return the path of git."""
    return subprocess.check_output(["which", "git"], text=True).strip()
