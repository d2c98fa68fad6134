"""What is left behind or damaged beside the history is named, and mended when asked for; what is not ours stays."""

import os
from pathlib import Path

import pytest

from gitstate.engine.locks import LockFile
from gitstate.engine.repository import open_repository
from tests.engine.conftest import OpenEngine, content, git, packs_of, save


@pytest.fixture
def git_dir(open_engine: OpenEngine, tmp_path: Path) -> Path:
    """A repository with a commit, which the journal still stands for."""
    save(open_engine(), {"f": b"1"})
    save(open_engine(), {"f": b"2"})
    return tmp_path / "store/.git"


def test_a_repository_that_is_in_order_has_no_problems(open_engine: OpenEngine, git_dir: Path) -> None:
    assert open_engine().check() == open_engine().check(repair=True) == []


LEFT = {
    "a pack that was being written": "objects/pack/tmp_pack_gitstate_1_1",
    "an index that was being written": "objects/pack/tmp_idx_gitstate_1_1",
    "a private file": "gitstate/own-1-1",
}


@pytest.mark.parametrize("name", LEFT.values(), ids=LEFT)
def test_what_dead_processes_left_is_named_and_goes_when_asked_for(
    open_engine: OpenEngine, git_dir: Path, name: str
) -> None:
    (git_dir / name).write_bytes(b"x")
    (problem,) = open_engine().check()
    assert (problem.kind, problem.place, problem.severity, problem.repaired) == ("leftover", name, "warning", False)
    assert (git_dir / name).exists()
    (problem,) = open_engine().check(repair=True)
    assert problem.repaired
    assert not (git_dir / name).exists()
    assert open_engine().check() == []


def test_a_lock_file_of_a_dead_process_is_a_leftover(open_engine: OpenEngine, git_dir: Path) -> None:
    repository = open_repository(git_dir.parent)
    child = os.fork()
    if child == 0:
        LockFile(repository.private, git_dir / repository.ref, b"x").__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    engine = open_engine()
    assert [problem.place for problem in engine.check()] == ["refs/heads/main.lock"]
    assert [problem.repaired for problem in engine.check(repair=True)] == [True]
    assert engine.check() == []
    assert not (git_dir / "refs/heads/main.lock").exists()
    assert not list((git_dir / "gitstate").glob("own-*"))


def test_what_belongs_to_others_is_no_problem_and_stays(open_engine: OpenEngine, git_dir: Path) -> None:
    others = [git_dir / name for name in ("refs/heads/main.lock", "objects/pack/tmp_pack_Xy12", "gitstate/mine")]
    for path in others:
        path.write_bytes(b"a person's")
    assert open_engine().check(repair=True) == []
    for path in others:
        path.unlink()


@pytest.mark.parametrize("suffix", ["cut", "flipped"])
def test_a_pack_that_the_journal_has_is_written_anew(open_engine: OpenEngine, git_dir: Path, suffix: str) -> None:
    engine = open_engine()
    save(engine, {"f": b"3"})
    newest = max(packs_of(git_dir.parent), key=lambda path: path.stat().st_mtime_ns)
    good = newest.read_bytes()
    newest.chmod(0o644)
    other = open_engine()
    newest.write_bytes(good[:-30] if suffix == "cut" else good[:-30] + bytes([good[-30] ^ 1]) + good[-29:])
    (problem,) = other.check()
    assert (problem.kind, problem.place, problem.severity) == ("pack", f"objects/pack/{newest.name}", "error")
    assert [problem.repaired for problem in other.check(repair=True)] == [True]
    assert newest.read_bytes() == good
    assert content(open_engine(), "f") == b"3"


def test_a_journal_that_cannot_be_read_is_begun_anew(open_engine: OpenEngine, git_dir: Path) -> None:
    journal = git_dir / "gitstate/journal"
    journal.write_bytes(b"\1" * 8192 + bytes(journal.stat().st_size - 8192))
    assert [(problem.kind, problem.severity) for problem in open_engine().check()] == [("journal", "warning")]
    assert [problem.repaired for problem in open_engine().check(repair=True)] == [True]
    assert open_engine().check() == []
    save(open_engine(), {"f": b"4"})
    assert git(git_dir.parent, "show", "main:f") == "4"


def test_what_was_set_aside_is_named_as_long_as_it_is_there(open_engine: OpenEngine, git_dir: Path) -> None:
    (git_dir / "gitstate/damaged").mkdir()
    (git_dir / "gitstate/damaged/pack-1.pack").write_bytes(b"half of one")
    for repair in (False, True, False):
        (problem,) = open_engine().check(repair=repair)
        assert (problem.kind, problem.repaired) == ("damaged", False)
