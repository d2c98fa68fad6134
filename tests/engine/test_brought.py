"""What each commit brought: C git and we say the same, of merges and of odd files too."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate.engine import cgit
from gitstate.engine.base import Arrival, Brought, Engine
from gitstate.engine.brought import arrivals
from gitstate.engine.git import GitEngine
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError
from tests.engine.conftest import git, save


def by_commit(found: list[Arrival]) -> dict[str, list[Brought]]:
    assert len({each.commit for each in found}) == len(found)
    return {each.commit: sorted(each.files) for each in found}


def test_each_file_of_each_commit(engine: Engine) -> None:
    one = save(engine, {"a": b"1", "d/b": b"2"})
    two = save(engine, {"a": b"3", "d/b": None, "c\n \xff".encode().decode("utf-8"): b"4"})
    three = save(engine, {"c": b"4"})
    found = list(engine.arrivals([three], []))
    assert [each.commit for each in found] == [three, two, one]
    assert {brought.path: (brought.after is None, len(brought.before)) for brought in found[1].files} == {
        "a": (False, 1),
        "c\n ÿ": (False, 0),
        "d/b": (True, 1),
    }
    assert [each.commit for each in engine.arrivals([three, two], [one])] == [three, two]
    assert list(engine.arrivals([two], [three])) == []
    assert list(engine.arrivals([], [])) == []


def test_a_missing_commit_is_named(engine: Engine) -> None:
    save(engine, {"a": b"1"})
    with pytest.raises(CorruptionError, match="1" * 40):
        list(engine.arrivals(["1" * 40], []))


@pytest.mark.parametrize("seed", range(4))
def test_c_git_and_we_say_the_same(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "link").symlink_to("a")
    for step in range(25):
        branch = rng.choice(["main", "one", "two"])
        if subprocess.run(
            ["git", "-C", tmp_path, "checkout", "-q", branch], capture_output=True, check=False
        ).returncode:
            git(tmp_path, "checkout", "-q", "-B", branch)
        for name in rng.sample(["a", "b", "d/c", "ä\t", "e"], 2):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            if path.exists() and rng.random() < 0.3:
                path.unlink()
            else:
                path.write_text(str(rng.randrange(4)))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", str(step))
        others = git(tmp_path, "branch", "--format=%(refname:short)").split()
        if step and rng.random() < 0.4:
            other = rng.choice(others)
            merge = ["git", "-C", str(tmp_path), "merge", "-q", "--no-ff", "-m", "m", other]
            if subprocess.run(merge, capture_output=True, check=False).returncode:
                git(tmp_path, "add", "-A")
                git(tmp_path, "commit", "-q", "--allow-empty", "-m", "joined")
    tips = git(tmp_path, "rev-parse", *git(tmp_path, "branch", "--format=%(refname:short)").split()).split()
    without = git(tmp_path, "rev-parse", "main~3").split()
    engine = GitEngine(open_repository(tmp_path, branch="main", create=False))
    try:
        for some in ([], without):
            ours = by_commit(list(arrivals(engine, tips, some)))
            theirs = [Arrival(*each) for each in cgit.arrivals(tmp_path / ".git/objects", tips, some)]
            assert by_commit(theirs) == ours
            assert by_commit(list(engine.arrivals(tips, some))) == ours
    finally:
        engine.close()


def test_a_submodule_is_no_file(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(tmp_path, "commit", "-q", "-m", "a submodule")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    engine = GitEngine(open_repository(tmp_path, branch="main", create=False))
    try:
        expected = [Arrival(head, [Brought("sub", None, ())])]
        assert list(engine.arrivals([head], [])) == list(arrivals(engine, [head], [])) == expected
    finally:
        engine.close()


def test_without_git(tmp_path: Path, open_engine: Callable[..., GitEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(tmp_path / "store")
    made = [save(engine, {"a": b"%d" % number}) for number in range(3)]
    monkeypatch.setenv("PATH", "")
    assert [each.commit for each in engine.arrivals([made[-1]], [])] == made[::-1]
