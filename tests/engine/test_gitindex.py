"""Git's index, read and written by us, against the real git."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from gitstate.engine import gitindex
from gitstate.engine.gitindex import GitIndex
from gitstate.engine.objects import FILE, GitObject, TreeEntry
from gitstate.errors import CorruptionError, UnsupportedError

NAMES = ["a", "a-b", "a/b", "a/c", "a0", "jobs/nightly/job.json", "jobs/ü/job.json", "z" * 300]


def git(folder: Path, *arguments: str, data: bytes | None = None) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, input=data, check=True, capture_output=True, env=os.environ | {"LC_ALL": "C"}
    ).stdout.decode("utf-8", "surrogateescape")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with some files in its index and its head."""
    git(tmp_path, "init", "-q")
    for name in ["b.txt", "jobs/x/job.json", "jobs/x/sheets/1.json", "jobs/y/job.json", "ü"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def read(folder: Path) -> GitIndex:
    return gitindex.read(folder / ".git", folder, folder / ".git")


def write(folder: Path, index: GitIndex) -> None:
    (folder / ".git" / "index").write_bytes(index.to_bytes())


def listed(folder: Path) -> dict[str, tuple[str, str]]:
    """Return what git says of its index: mode and id by path."""
    lines = git(folder, "ls-files", "-s", "-z").split("\0")[:-1]
    return {line.split("\t")[1]: (line.split()[0], line.split()[1]) for line in lines}


def blob(folder: Path, content: bytes) -> TreeEntry:
    return TreeEntry(FILE, git(folder, "hash-object", "-w", "--stdin", data=content).strip())


def test_what_git_wrote_is_written_the_same_but_for_caches(repository: Path) -> None:
    data = (repository / ".git" / "index").read_bytes()
    index = GitIndex.parse(data)
    cached = data.index(b"TREE")
    assert index.to_bytes()[:-20] == data[:cached]
    assert len(index) == 5
    assert not index.changed and not index.conflicted


@pytest.mark.parametrize("version", [2, 3, 4])
def test_each_version_is_read_and_changed(repository: Path, version: int) -> None:
    git(repository, "update-index", "--index-version", str(version))
    if version == 3:  # git writes it only if an entry needs it
        (repository / "new").write_text("new")
        git(repository, "add", "-N", "new")
    assert (repository / ".git" / "index").read_bytes()[7] == version
    before = listed(repository)
    index = read(repository)
    assert {path: (f"{e.entry.mode:o}", e.entry.id) for path in before if (e := index.get(path))} == before
    put = blob(repository, b"more")
    index.put("jobs/x/more.json", put)
    index.remove("jobs/y/job.json")
    write(repository, index)
    del before["jobs/y/job.json"]
    assert listed(repository) == before | {"jobs/x/more.json": ("100644", put.id)}
    git(repository, "fsck", "--strict")
    # A stale cache of trees would show here.
    assert "jobs/y" not in git(repository, "ls-tree", "-r", git(repository, "write-tree").strip())


def test_entries_are_in_gits_order(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    index = GitIndex()
    for name in reversed([name for name in NAMES if name != "a"]):
        index.put(name, blob(tmp_path, name.encode()))
    write(tmp_path, index)
    assert list(listed(tmp_path)) == sorted((name for name in NAMES if name != "a"), key=str.encode)
    assert git(tmp_path, "write-tree")


def test_long_paths_are_read_and_written(repository: Path) -> None:
    names = ["a" * 200 + "/b", "a" * 200 + "/c", "c", "/".join(["d" * 250] * 20)]  # the last is longer than flags tell
    index = read(repository)
    for name in names:
        index.put(name, blob(repository, name.encode()))
    write(repository, index)
    assert set(names) < set(listed(repository))
    before = listed(repository)
    git(repository, "update-index", "--index-version", "4")
    write(repository, read(repository))
    assert listed(repository) == before


def test_what_is_put_as_it_was_is_no_change(repository: Path) -> None:
    index = read(repository)
    old = index.get("b.txt")
    assert old is not None
    index.put("b.txt", old.entry, os.lstat(repository / "b.txt"))
    index.remove("none")
    assert not index.changed


def test_how_conflicts_were_resolved_is_kept(repository: Path) -> None:
    conflict(repository)
    git(repository, "add", "b.txt")
    resolved = git(repository, "ls-files", "--resolve-undo")
    index = read(repository)
    assert resolved and not index.conflicted
    index.put("c", blob(repository, b"c"))
    write(repository, index)
    assert git(repository, "ls-files", "--resolve-undo") == resolved


def test_a_file_of_the_head_is_clean_by_its_stat(repository: Path) -> None:
    index = read(repository)
    old = index.get("b.txt")
    assert old is not None
    index.put("b.txt", old.entry)
    assert index.changed
    write(repository, index)
    assert git(repository, "diff-files", "--name-only") == "b.txt\n"  # plumbing: git has not looked yet
    index.put("b.txt", old.entry, os.lstat(repository / "b.txt"))
    assert index.get("b.txt") == old  # git and we keep the same numbers
    write(repository, index)
    assert git(repository, "diff-files", "--name-only") == ""


def test_flags_of_people_stay(repository: Path) -> None:
    git(repository, "update-index", "--assume-unchanged", "b.txt")
    git(repository, "update-index", "--skip-worktree", "jobs/y/job.json")
    (repository / "new").write_text("new")
    git(repository, "add", "-N", "new")
    flags = git(repository, "ls-files", "-v")
    index = read(repository)
    entry = index.get("jobs/y/job.json")
    assert entry is not None and entry.skips_worktree
    index.put("jobs/y/job.json", blob(repository, b"changed"))
    index.put("b.txt", blob(repository, b"changed"))
    write(repository, index)
    assert git(repository, "ls-files", "-v") == flags
    assert "h b.txt" in flags and "S jobs/y/job.json" in flags
    assert "new" not in git(repository, "ls-tree", "-r", git(repository, "write-tree").strip())  # only intended


def test_there_is_room_unless_a_file_is_where_a_directory_must_be(repository: Path) -> None:
    index = read(repository)
    assert index.has_room("jobs/x/job.json") and index.has_room("jobs/z") and index.has_room("b")
    assert not index.has_room("jobs") and not index.has_room("jobs/x") and not index.has_room("b.txt/c/d")
    index.remove("b.txt")
    index.remove("jobs/y/job.json")
    assert index.has_room("b.txt/c/d") and index.has_room("jobs/y")


def test_an_unfinished_merge_is_seen(repository: Path) -> None:
    conflict(repository)
    assert read(repository).conflicted


def conflict(repository: Path) -> None:
    """Leave a merge unfinished that conflicts in ``b.txt``."""
    git(repository, "checkout", "-q", "-b", "other")
    (repository / "b.txt").write_text("theirs")
    git(repository, "commit", "-qam", "theirs")
    git(repository, "checkout", "-q", "main")
    (repository / "b.txt").write_text("ours")
    git(repository, "commit", "-qam", "ours")
    subprocess.run(["git", "merge", "other"], cwd=repository, capture_output=True, check=False)


def test_a_split_index_is_read_with_the_help_of_git(repository: Path) -> None:
    before = listed(repository)
    git(repository, "update-index", "--split-index")
    assert b"link" in (repository / ".git" / "index").read_bytes()
    index = read(repository)
    assert len(index) == 5
    index.put("c", entry := blob(repository, b"c"))
    write(repository, index)
    assert listed(repository) == before | {"c": ("100644", entry.id)}


def test_a_sparse_index_is_read_with_the_help_of_git(repository: Path) -> None:
    before = listed(repository)
    git(repository, "sparse-checkout", "set", "--cone", "--sparse-index", "jobs/x")
    assert b"sdir" in (repository / ".git" / "index").read_bytes()
    index = read(repository)
    assert len(index) == 5
    entry = index.get("jobs/y/job.json")
    assert entry is not None and entry.skips_worktree
    write(repository, index)
    assert listed(repository) == before
    assert git(repository, "status", "--porcelain") == ""


def test_without_git_a_split_index_is_left_alone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "update-index", "--split-index")
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(UnsupportedError, match="split or sparse"):
        read(repository)


@pytest.mark.parametrize(
    ("does", "reason"), [("echo no >&2; exit 3", "in full: no "), ("exec sleep 5", "more than 0.2 s")]
)
def test_a_git_that_does_not_help_is_an_error(
    repository: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    git(repository, "update-index", "--split-index")
    program = repository / "git"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{repository}:{os.environ['PATH']}")
    monkeypatch.setattr(gitindex, "_GIT_TIMEOUT", 0.2)
    with pytest.raises(UnsupportedError, match=reason):
        read(repository)


def test_git_is_asked_about_this_index_whatever_the_environment_says(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "update-index", "--split-index")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(repository / "nowhere"))
    monkeypatch.setenv("GIT_COMMON_DIR", str(repository / "nowhere"))
    assert len(read(repository)) == 5


def test_a_hook_of_the_repository_is_not_run(repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    git(repository, "update-index", "--split-index")
    (repository / "ran").unlink()  # the hook works
    read(repository)
    assert not (repository / "ran").exists()


def test_a_missing_index_has_no_entries(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert len(read(tmp_path)) == 0


@pytest.mark.parametrize("damage", [b"", b"DIRC", b"DIRC\0\0\0\2\0\0\0\1" + bytes(30), b"x" * 100])
def test_damage_is_an_error(damage: bytes) -> None:
    with pytest.raises(CorruptionError):
        GitIndex.parse(damage)


def test_an_extension_that_is_cut_short_is_damage() -> None:
    body = b"DIRC" + bytes([0, 0, 0, 2, 0, 0, 0, 0]) + b"REUC" + bytes([0, 0, 0, 9]) + b"short"
    with pytest.raises(CorruptionError):
        GitIndex.parse(body + bytes(20))


def test_every_flipped_byte_is_noticed(repository: Path) -> None:
    data = bytearray((repository / ".git" / "index").read_bytes())
    for at in range(0, len(data), 7):
        data[at] ^= 0x20
        with pytest.raises(CorruptionError):
            GitIndex.parse(bytes(data))
        data[at] ^= 0x20


def test_an_index_without_checksum_is_read(repository: Path) -> None:
    data = (repository / ".git" / "index").read_bytes()
    assert len(GitIndex.parse(data[:-20] + bytes(20))) == 5  # index.skipHash


def test_an_index_without_checksum_that_is_out_of_order_is_damaged(repository: Path) -> None:
    data = (repository / ".git" / "index").read_bytes()
    swapped = data.replace(b"jobs/x/job", b"jobs/z/job")
    shorter = data.replace(b"jobs/x/job", b"jobs/x\0job")
    for damaged in (swapped, shorter):
        with pytest.raises(CorruptionError):
            GitIndex.parse(damaged[:-20] + bytes(20))


def test_the_version_is_the_one_that_is_needed(repository: Path) -> None:
    (repository / "new").write_text("new")
    git(repository, "add", "-N", "new")
    assert read(repository).to_bytes()[7] == 3
    index = read(repository)
    index.distrust("new")
    entry = index.get("new")
    assert entry is not None and entry.is_intended and index.to_bytes()[7] == 3
    index.put("new", blob(repository, b"new"))
    entry = index.get("new")
    assert entry is not None and not entry.is_intended and index.to_bytes()[7] == 2
    index = read(repository)
    index.remove("new")
    assert index.to_bytes()[7] == 2 and len(index) == 5


def test_cached_trees_of_other_entries_are_not_believed(repository: Path) -> None:
    data = (repository / ".git" / "index").read_bytes()
    assert len(GitIndex.parse(data).cached_trees()) == 5  # the root, jobs, x, its sheets, y
    for lie in (b"\x004 ", b"\x005x"):
        body = data[:-20].replace(b"\x005 ", lie)
        index = GitIndex.parse(body + hashlib.sha1(body).digest())
        assert index.cached_trees() == [] and len(index) == 5


def test_an_index_knows_its_entries_while_they_change(repository: Path) -> None:
    index = read(repository)
    index.mtime_ns = 0
    new = blob(repository, b"new")
    for path in ("b.txt", "a", "z"):
        index.put(path, new)
    index.remove("jobs/x/job.json")
    index.remove("z")
    index.put("jobs/x/job.json", new)
    index.remove("ü")
    expected = {"a": new.id, "b.txt": new.id, "jobs/x/job.json": new.id}
    found = {path: entry.entry.id for path, entry in index.items()}
    assert found.items() >= expected.items()
    assert sorted(found) == ["a", "b.txt", "jobs/x/job.json", "jobs/x/sheets/1.json", "jobs/y/job.json"]
    assert len(index) == 5
    again = GitIndex.parse(index.to_bytes())
    assert dict(again.items()) == dict(index.items())
    assert sorted(path for path, _ in again.racy()) == sorted(found)
    again.put("b.txt", TreeEntry(FILE, "1" * 40))
    assert sorted(path for path, _ in again.racy()) == sorted(found)


def test_racy_entries_are_those_as_young_as_the_index(repository: Path) -> None:
    index = repository / ".git" / "index"
    names = ["b.txt", "jobs/x/job.json"]
    second = 1_000_000_000
    for number, name in enumerate(names):
        os.utime(repository / name, ns=(0, (second + number) * second))
    git(repository, "update-index", "-q", "--refresh")
    for age, racy in [(2.0, set()), (1.9, {names[1]}), (1.0, {names[1]}), (0.9, set(names)), (0.0, set(names))]:
        os.utime(index, ns=(0, second * second + int(age * second)))
        assert {path for path, _ in read(repository).racy()} & set(names) == racy, age


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "..", "/x", "x/", "a//b", "a/../b", ".git", ".git/config", "x/.GIT/hooks", "GIT~1/x", ".git /x",
        ".git./x", ".git::$INDEX_ALLOCATION/x", ".g\u200cit/config", "a/.git\\hooks", "a\0b",
    ],
)  # fmt: skip
def test_unsafe_paths(path: str) -> None:
    assert not gitindex.is_safe(path)


@pytest.mark.parametrize(
    "path", ["a", "jobs/CON/job.json", ".gitignore", "a.git/b", "git", "jobs/%2Egit/x", "ü/\udcff"]
)
def test_safe_paths(path: str) -> None:
    assert gitindex.is_safe(path)


def test_names_that_are_no_unicode_stay(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    index = GitIndex()
    index.put("odd\udcff", TreeEntry(FILE, GitObject("blob", b"").id))
    assert [path for path, _ in GitIndex.parse(index.to_bytes()).racy()] == ["odd\udcff"]
    write(tmp_path, index)
    assert list(listed(tmp_path)) == ["odd\udcff"]


def test_an_index_that_a_cut_of_the_power_emptied_has_no_entries(repository: Path) -> None:
    for content in (b"", bytes(512)):
        (repository / ".git" / "index").write_bytes(content)
        assert len(read(repository)) == 0


def test_an_index_of_a_later_git_is_not_guessed_at(repository: Path) -> None:
    data = bytearray((repository / ".git" / "index").read_bytes()[:-20])
    data[7] = 5
    with pytest.raises(UnsupportedError, match="version 5"):
        GitIndex.parse(bytes(data) + hashlib.sha1(data).digest())


@pytest.mark.parametrize("tree", [b"", b"\0", b"\x001 0\n", b"\x001 1\n" + bytes(20), b"\x001 0\n" + bytes(25)])
def test_cached_trees_that_git_does_not_write_are_left_out(repository: Path, tree: bytes) -> None:
    entries = (repository / ".git" / "index").read_bytes()[:-20].partition(b"TREE")[0]
    body = entries + b"TREE" + len(tree).to_bytes(4, "big") + tree
    index = GitIndex.parse(body + hashlib.sha1(body).digest())
    assert len(index) == 5 and index.cached_trees() == []
