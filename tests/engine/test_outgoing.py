"""A push sends all that the remote lacks, and hardly more."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import cgit
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from gitstate.engine.transfer import outgoing
from gitstate.engine.transfer.outgoing import PackSource, beyond_pack
from gitstate.errors import CorruptionError
from tests.engine.conftest import git
from tests.engine.histories import History, entry, object_id, random_history, store, tag


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store", bare=True)


@pytest.fixture(params=["near", "far", "by git"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to find what is to be sent."""
    if request.param != "near":
        monkeypatch.setattr(outgoing, "_NEAR", 0)
    if request.param == "by git":
        monkeypatch.setattr(outgoing, "_FEW_COMMITS", 0)
    return str(request.param)


def sent(source: PackSource) -> set[str]:
    """Return the ids of what is sent; for a finished pack git is asked."""
    assert source.path is None
    ids = [object_id(kind, body) for kind, body in source.objects()]
    assert len(ids) == len(set(ids)) == source.count
    return set(ids)


def wanted(folder: Path, tips: list[str], known: list[str]) -> set[str]:
    lines = git(folder, "rev-list", "--objects", *tips, "--not", *known, "--").splitlines()
    return {line.split()[0] for line in lines}


def receive(folder: Path, source: PackSource, tips: list[str]) -> None:
    """Let a repository take a pack in as git does, and check that all is there."""
    data = b"".join(source.chunks())
    assert b"".join(source.chunks()) == data
    subprocess.run(
        ["git", "-C", str(folder), "index-pack", "--stdin", "--fix-thin", "--strict"],
        input=data,
        check=True,
        capture_output=True,
    )
    git(folder, "fsck", "--connectivity-only", *tips)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_what_git_would_send_is_sent(tmp_path_factory: pytest.TempPathFactory, seed: int, data: st.DataObject) -> None:
    repository = open_repository(tmp_path_factory.mktemp("outgoing") / "store", bare=True)
    history, commits = random_history(seed, data.draw(st.integers(1, 25)))
    store(repository, history)
    tips = data.draw(st.lists(st.sampled_from(commits), min_size=1, max_size=3, unique=True))
    known = data.draw(st.lists(st.sampled_from(commits), max_size=3, unique=True))
    reader = ObjectReader(repository)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outgoing, "_NEAR", data.draw(st.sampled_from([0, 3, 64])))
        with beyond_pack(repository, reader, tips, known) as source:
            found = sent(source)
    reader.close()
    assert wanted(repository.git_dir, tips, known) <= found <= set(history.objects)


@pytest.mark.parametrize("seed", range(6))
def test_a_remote_that_has_the_known_takes_it(repository: Repository, tmp_path: Path, seed: int, way: str) -> None:
    draw = random.Random(seed)
    history, commits = random_history(seed, 20)
    store(repository, history)
    tips, known = draw.sample(commits, 2), draw.sample(commits, seed % 3)
    remote = open_repository(tmp_path / "remote", bare=True)
    reader = ObjectReader(repository)
    with beyond_pack(repository, reader, known, []) as source:
        if source.count:
            receive(remote.git_dir, source, known)
    with beyond_pack(repository, reader, tips, [*known, "1" * 40]) as source:
        assert (source.path is None) == (way != "by git")
        if source.count:
            receive(remote.git_dir, source, tips)
    reader.close()
    assert not list(repository.private.glob("outgoing-*"))


def test_a_tree_that_comes_back_is_sent_whole_the_first_time(repository: Repository) -> None:
    history = History()
    first = history.commit(history.files({"a": b"0", "b": b"1"}), time=10)
    second = history.commit(history.files({"a": b"0", "b": b"2"}), first, time=20)
    third = history.commit(history.files({"a": b"0", "b": b"1"}), second, time=30)
    store(repository, history)
    reader = ObjectReader(repository)
    with beyond_pack(repository, reader, [third], []) as source:
        assert sent(source) == set(history.objects)
    reader.close()


def test_tags_go_with_their_commits(repository: Repository, tmp_path: Path, way: str) -> None:
    history, commits = random_history(1, 5)
    inner = history.add("tag", tag(commits[-1]))
    outer = history.add("tag", tag(inner, "tag"))
    store(repository, history)
    remote = open_repository(tmp_path / "remote", bare=True)
    reader = ObjectReader(repository)
    with beyond_pack(repository, reader, [outer], [commits[0]]) as source:
        if source.path is None:
            assert {outer, inner, commits[-1]} <= sent(source)
    with beyond_pack(repository, reader, [outer], []) as source:
        receive(remote.git_dir, source, [outer])
    with beyond_pack(repository, reader, [outer], [inner]) as source:
        if source.path is None:
            assert sent(source) == {outer}
    with beyond_pack(repository, reader, [commits[-1]], [outer]) as source:
        assert source.count == 0 or way == "near"
    reader.close()


def test_nothing_new_is_an_empty_pack(repository: Repository) -> None:
    history, commits = random_history(3, 5)
    store(repository, history)
    reader = ObjectReader(repository)
    with beyond_pack(repository, reader, [commits[-1]], [commits[-1]]) as source:
        assert source.count == 0
        assert b"".join(source.chunks())[:12] == b"PACK\0\0\0\2\0\0\0\0"
    reader.close()


@pytest.mark.parametrize("lost", ["commit", "tree", "blob"])
def test_what_is_missing_here_is_named_and_nothing_is_sent(repository: Repository, lost: str, way: str) -> None:
    history = History()
    first = history.commit(history.files({"a/b/c": b"1"}), time=10)
    second = history.commit(history.files({"a/b/c": b"2", "d": b"3"}), first, time=20)
    third = history.commit(history.files({"a/b/c": b"2", "d": b"3", "e": b"4"}), second, time=30)
    gone = {"commit": second, "tree": history.files({"b/c": b"2"}), "blob": history.blob(b"3")}[lost]
    store(repository, history, without=[gone])
    reader = ObjectReader(repository)
    with pytest.raises(CorruptionError, match=gone[:12]), beyond_pack(repository, reader, [third], [first]) as source:
        list(source.chunks())
    reader.close()
    assert not list(repository.private.glob("outgoing-*"))


def test_submodules_and_links_of_ours_are_sent_as_they_are(repository: Repository) -> None:
    history = History()
    link = history.blob("target")
    tree = history.tree(entry("120000", "link", link), entry("160000", "module", "1" * 40))
    commit = history.commit(tree)
    store(repository, history)
    reader = ObjectReader(repository)
    with beyond_pack(repository, reader, [commit], []) as source:
        assert sent(source) == {link, tree, commit}
    reader.close()


@pytest.mark.parametrize("thin", [True, False])
def test_a_pack_has_all_that_its_deltas_are_of_where_the_remote_asks_for_that(tmp_path: Path, thin: bool) -> None:
    folder = tmp_path / "work"
    git(tmp_path, "init", "-q", "work")
    commits = []
    for number in range(2):
        (folder / "file").write_text("".join(f"line {line} of a file\n" for line in range(number, 500)))
        git(folder, "add", "-A")
        git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", f"{number}")
        commits.append(git(folder, "rev-parse", "HEAD").strip())
    repository = open_repository(folder, create=False)
    reader = ObjectReader(repository)
    search = outgoing._Search(repository, reader, thin=thin)
    source = search._packed(commits[1:], commits[:1])
    assert source is not None
    git(tmp_path, "init", "-q", "--bare", "apart.git")
    with source:
        words = ["git", "-C", str(tmp_path / "apart.git"), "index-pack", "--stdin"]
        taken = subprocess.run(words, input=b"".join(source.chunks()), capture_output=True)
    reader.close()
    assert (taken.returncode == 0) == (not thin), taken.stderr


def test_without_git_a_long_history_is_walked(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    history, commits = random_history(5, 30)
    store(repository, history)
    expected = wanted(repository.git_dir, commits[-1:], [])
    monkeypatch.setattr(outgoing, "_NEAR", 0)
    monkeypatch.setattr(outgoing, "_FEW_COMMITS", 3)
    monkeypatch.setattr(outgoing, "_FEW_OBJECTS", 10)
    monkeypatch.setattr(cgit, "find", lambda **_: None)
    reader = ObjectReader(repository)
    with beyond_pack(repository, reader, commits[-1:], []) as source:
        assert expected == sent(source)
    reader.close()
