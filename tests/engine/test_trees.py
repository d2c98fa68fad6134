"""Trees against the simplest model there is: a dictionary of paths to contents."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import trees
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import (
    Commit,
    GitObject,
    ObjectId,
    Signature,
    Tree,
    TreeEntry,
    parse_commit,
    parse_tree,
)
from gitstate.errors import CorruptionError

NAMES = st.sampled_from(["a", "a-b", "a.b", "ab", "b", "jobs", "\udcff", "ü"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=3), max_size=8)


class Folder:
    """An engine, and the tree of some files in it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.engine = MemoryEngine()
        self.tree: ObjectId | None = None
        self.change(dict(files))

    def change(self, changes: dict[str, bytes | None]) -> None:
        self.keep(trees.edit(self.engine, self.tree, changes))

    def keep(self, edited: trees.Edited) -> None:
        self.engine.publish(edited.objects, expected=self.engine.head(), new=edited.id, note="")
        self.tree = edited.id

    def files(self) -> dict[str, bytes]:
        found = trees.files(self.engine, self.tree)
        return {path: self.engine.read(entry.id, "blob") for path, entry in found}


def compatible(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out what would have to be a file and a folder at once."""
    return {path: data for path, data in files.items() if not any(other.startswith(path + "/") for other in files)}


@given(FILES, st.dictionaries(PATHS, st.none() | st.binary(max_size=3), max_size=6))
def test_edit_does_what_a_dictionary_does(files: dict[str, bytes], changes: dict[str, bytes | None]) -> None:
    files = compatible(files)
    written = compatible({path: data for path, data in changes.items() if data is not None})
    removed = [path for path, data in changes.items() if data is None]
    folder = Folder(files)
    folder.change({**dict.fromkeys(removed), **written})
    expected = {path: data for path, data in files.items() if path not in removed}
    # A removed path takes a whole folder of this name along, a written one replaces whatever stands in its way.
    for path in [*removed, *written]:
        parents = {path[:place] for place, letter in enumerate(path) if letter == "/"}
        in_the_way = set() if path in removed else parents
        expected = {
            other: data
            for other, data in expected.items()
            if not other.startswith(path + "/") and other not in in_the_way
        }
    assert folder.files() == expected | written
    assert Folder(folder.files()).tree == folder.tree  # equal files give equal trees, whatever the way there


@given(FILES, FILES)
def test_diff_names_what_differs_and_nothing_else(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    before, after = compatible(before), compatible(after)
    old, new = Folder(before), Folder(after)
    old.engine.publish(list(new.engine._objects.values()), expected=old.tree, new=old.tree or "", note="")
    found = {change.path: change for change in trees.diff(old.engine, old.tree, new.tree)}
    assert set(found) == {path for path in before | after if before.get(path) != after.get(path)}
    for path, change in found.items():
        assert (change.before is None) == (path not in before)
        assert (change.after is None) == (path not in after)


ENTRIES = st.dictionaries(
    st.sampled_from(["a", "b", "a.b", "\udcff"]),
    st.builds(TreeEntry, st.sampled_from([0o100644, 0o100755, 0o40000]), st.sampled_from(["00" * 20, "ab" * 20])),
)


@given(ENTRIES, ENTRIES)
def test_names_differ_where_their_entries_do(before: dict[str, TreeEntry], after: dict[str, TreeEntry]) -> None:
    differing = sorted(name for name in before | after if before.get(name) != after.get(name))
    old, new, spliced = Tree.of(before), Tree.of(after), Tree.of(before).with_entries(dict.fromkeys(before) | after)
    assert old.differing(new) == new.differing(old) == old.differing(spliced) == differing


@given(ENTRIES)
def test_a_tree_of_plain_files_alone_gives_them_at_once(entries: dict[str, TreeEntry]) -> None:
    plain = all(entry.mode == 0o100644 for entry in entries.values())
    tree = parse_tree(Tree.of(entries).body)
    assert tree.files() == ({name: entry.id for name, entry in entries.items()} if plain else None)
    assert dict(tree) == entries


@pytest.mark.parametrize("other", [b"0100644 a\0", b"100644 a\0", b"120000 c\0", b"160000 c\0", b"40000 c\0"])
def test_a_tree_with_anything_else_does_not(other: bytes) -> None:
    known = b"100644 a\0" + b"\0" * 20
    assert parse_tree(known).files() == {"a": "00" * 20}
    assert parse_tree(known + other + b"100644 b\0xxxxxxxxxxx").files() is None


def test_of_names_that_stand_twice_in_a_tree_the_last_counts() -> None:
    entries = [b"100644 a\0" + bytes([byte]) * 20 for byte in range(4)]
    other = b"100644 b\0" + bytes(20)
    old, new = parse_tree(entries[0] + other + entries[1]), parse_tree(entries[2] + other + entries[3])
    assert old.differing(new) == ["a"]
    assert old.differing(parse_tree(entries[3] + other + entries[1])) == []


@given(FILES, PATHS, FILES)
def test_graft_replaces_one_folder(files: dict[str, bytes], path: str, inner: dict[str, bytes]) -> None:
    files, inner = compatible(files), compatible(inner)
    folder, subtree = Folder(files), Folder(inner)
    folder.engine.publish(list(subtree.engine._objects.values()), expected=folder.tree, new=folder.tree or "", note="")
    folder.keep(trees.graft(folder.engine, folder.tree, path, subtree.tree if inner else None))
    parents = {path[:place] for place, letter in enumerate(path) if letter == "/"} if inner else set()
    kept = {other: data for other, data in files.items() if other != path and not other.startswith(path + "/")}
    kept = {other: data for other, data in kept.items() if other not in parents}
    assert folder.files() == kept | {f"{path}/{name}": data for name, data in inner.items()}


@given(FILES)
def test_find_finds_files_and_folders(files: dict[str, bytes]) -> None:
    files = compatible(files)
    folder = Folder(files)
    for path, data in files.items():
        found = trees.find(folder.engine, folder.tree, path)
        assert found is not None
        assert folder.engine.read(found.id, "blob") == data
        assert trees.find(folder.engine, folder.tree, path + "/x") is None
        above = path.rpartition("/")[0]
        if above:
            entry = trees.find(folder.engine, folder.tree, above)
            assert entry is not None
            assert entry.is_directory


@pytest.mark.parametrize(("mode", "kept"), [(0o100755, 0o100755), (0o120000, 0o100644)])
def test_a_link_of_the_same_bytes_becomes_a_file(mode: int, kept: int) -> None:
    folder = Folder({"a": b"1"})
    entry = trees.read(folder.engine, folder.tree)["a"]
    made = Tree.of({"a": TreeEntry(mode, entry.id)}).to_object()
    folder.keep(trees.Edited(made.id, [made]))
    folder.change({"a": b"1"})
    assert trees.read(folder.engine, folder.tree)["a"] == TreeEntry(kept, entry.id)


def test_ids_and_order_are_gits_own(tmp_path: Path) -> None:
    names = ["a", "a-b", "a.b", "ab", "a0", "ü"]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "a=").mkdir()
    (tmp_path / "a=" / "x").write_text("x")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    theirs = subprocess.run(["git", "write-tree"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    ours = Folder({**{name: name.encode() for name in names}, "a=/x": b"x"})
    assert ours.tree == theirs.strip()


@pytest.mark.parametrize("body", [b"100644", b"100644 a", b"100644 a\0short", b"10x644 a\0" + b"0" * 20])
def test_a_damaged_tree_is_an_error(body: bytes) -> None:
    with pytest.raises(CorruptionError):
        parse_tree(body)


def test_a_tree_is_read_back() -> None:
    tree = {"a": TreeEntry(0o100644, "1" * 40), "b": TreeEntry(0o040000, "2" * 40)}
    assert parse_tree(Tree.of(tree).body) == tree


@given(
    st.text(max_size=20), st.text(max_size=20), st.integers(0, 2**40), st.integers(-720, 840), st.binary(max_size=30)
)
def test_a_commit_is_read_back(name: str, email: str, time: int, offset: int, message: bytes) -> None:
    who = Signature(name.encode("utf-8", "replace").decode(), email.encode("utf-8", "replace").decode(), time, offset)
    commit = Commit("1" * 40, ("2" * 40, "3" * 40), who, who, message)
    found = parse_commit(commit.to_object().body)
    assert (found.tree, found.parents, found.message) == (commit.tree, commit.parents, message)
    assert (found.author.time, found.author.offset) == (time, offset)
    assert found.to_object() == commit.to_object()  # odd names are cleaned once


def test_a_hostile_name_forges_no_header() -> None:
    who = Signature("a\nparent 0", "<x>\0", 1)
    assert parse_commit(Commit("1" * 40, (), who, who, b"").to_object().body).parents == ()


@pytest.mark.parametrize(
    "who", [b"A <a@b> 1700000000 +051800", b"A <a<b@c>> 1700000000 +0000", b"A 1700000000 +0000", b"", b"A <a@b> 17 +0"]
)
def test_a_commit_with_an_odd_signature_is_a_commit(who: bytes) -> None:
    commit = parse_commit(b"tree " + b"1" * 40 + b"\nauthor " + who + b"\ncommitter " + who + b"\n\nwhy\n")
    assert (commit.tree, commit.message) == ("1" * 40, b"why\n")


@pytest.mark.parametrize("body", [b"", b"tree 1\n\nhi", b"tree 1\nauthor x\n\n", b"author x\ncommitter y\n\n"])
def test_a_damaged_commit_is_an_error(body: bytes) -> None:
    with pytest.raises(CorruptionError):
        parse_commit(body)


def test_object_ids_are_gits_own(tmp_path: Path) -> None:
    command = ["git", "hash-object", "--stdin"]
    theirs = subprocess.run(command, input=b"hello", capture_output=True, check=True, cwd=tmp_path).stdout
    assert GitObject("blob", b"hello").id == theirs.decode().strip()
