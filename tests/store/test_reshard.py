"""Documents under other numbers of folders: what moves, what stays, and that nothing is lost on the way."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gitstate import errors
from gitstate.engine import graph, trees
from gitstate.format import names
from gitstate.format.message import Message
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.reshard import Resharded
from gitstate.store.store import Store
from tests.git import fsck, git
from tests.store.test_store import value_of, write
from tests.stores import NOTES

IDS = ["a", "b", "c", "2", "a/b", ".", "x" * 300, "\ud800", *(f"note {n}" for n in range(40))]


@pytest.fixture
def store(store: Store) -> Store:
    """A store of many notes."""
    for document in IDS:
        store.submit(NOTES, document, write({"id": document, "n": 1}))
    store.flush()
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a note, as a folder to work in with plain git."""
    with Store.open(tmp_path / "store") as store:
        store.submit(NOTES, "a", write({"id": "a"})).result()
    return tmp_path / "store"


def commit(path: Path, **files: str) -> None:
    for name, content in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    git(path, "add", "-A")
    git(path, "commit", "-qm", "by hand")


def values(store: Store, at: str | None = None) -> dict[str, dict[str, Any] | None]:
    return {snapshot.document: value_of(store, snapshot.document, at) for snapshot in store.documents(NOTES, at)}


@pytest.mark.parametrize("steps", [[1], [2, 0], [4, 1, 3], [1, 2, 0]])
def test_every_document_is_found_at_each_fanout(store: Store, steps: list[int]) -> None:
    before, revision = values(store), store.head()
    flat = sorted(store.paths())
    assert set(before) == set(IDS)
    for levels in steps:
        made = store.reshard(levels, NOTES)
        assert made is not None and made.revision is not None and made.revision.parents == (revision,)
        assert (made.after, made.moved) == (levels, len(IDS))
        revision = made.revision.id
        assert values(store) == before
        for document in IDS:
            fan = "".join(f"{digit}/" for digit in names.fan(document, levels) if digit != "/")
            assert f"notes/{fan}{names.encode(document)}/job.json" in set(store.paths())
        assert store.verify(NOTES).problems == ()
    if steps[-1] == 0:
        assert sorted(store.paths()) == flat


def test_nothing_happens_when_they_lie_so_already(store: Store) -> None:
    head = store.head()
    assert store.reshard(0, NOTES) is None
    assert store.reshard(2, NOTES) is not None
    again = store.head()
    assert store.reshard(2, NOTES) is None
    assert store.head() == again != head


@pytest.mark.parametrize("levels", [-1, 5, True, "2", None])
def test_numbers_that_cannot_be_are_refused(store: Store, levels: Any) -> None:
    head = store.head()
    with pytest.raises(errors.InvalidInputError, match="0 to 4"):
        store.reshard(levels, NOTES)
    assert store.head() == head


def test_history_goes_on_across_it(store: Store) -> None:
    first = store.head()
    store.reshard(2, NOTES)
    resharded = store.head()
    store.submit(NOTES, "b", write({"id": "b", "n": 2}, "second")).result()
    store.reshard(1, NOTES)
    store.submit(NOTES, "b", lambda _: Draft(Message("gone"), delete=True)).result()
    assert value_of(store, "b", first) == value_of(store, "b", resharded) == {"id": "b", "n": 1}
    assert len(list(store.documents(NOTES, first))) == len(list(store.documents(NOTES, resharded))) == len(IDS)
    assert [revision.message.subject for revision in store.history(NOTES, "b")] == ["gone", "second", "write"]
    assert [revision.message.subject for revision in store.history(NOTES, "a")] == ["write"]


def test_the_commit_says_what_it_is(store: Store) -> None:
    made = store.reshard(2, NOTES)
    assert made is not None and made.revision is not None
    assert made.revision.message.subject == "moved all documents: the fanout was 0 and is 2"
    assert made.revision.message.trailers == (("Gitstate-Event", "resharded"),)


def test_a_dry_run_tells_what_would_be_done_and_does_nothing(store: Store) -> None:
    head = store.head()
    assert store.reshard(2, NOTES, dry_run=True) == Resharded(before=0, after=2, moved=len(IDS))
    assert store.reshard(0, NOTES, dry_run=True) is None
    with pytest.raises(errors.InvalidInputError, match="0 to 4"):
        store.reshard(5, NOTES, dry_run=True)
    assert store.head() == head


def test_it_adds_no_files_but_the_format(store: Store) -> None:
    first = store.head()
    store.reshard(2, NOTES)
    engine = store._engine

    def blobs(commit_id: str) -> set[str]:
        return {entry.id for _, entry in trees.files(engine, graph.read(engine, commit_id).tree)}

    assert len(blobs(store.head()) - blobs(first)) == 1


def test_all_that_is_in_a_folder_moves_with_it_and_other_files_stay(folder: Path) -> None:
    commit(folder, notes__a__executions__1="x", notes__a__mine="y", notes__readme="z", notes__other__b="u", top="v")
    with Store.open(folder) as store:
        store.reshard(2, NOTES)
        assert sorted(store.paths()) == [
            "gitstate.json",
            "notes/c/a/a/executions/1",
            "notes/c/a/a/job.json",
            "notes/c/a/a/mine",
            "notes/other/b",
            "notes/readme",
            "top",
        ]
        store.reshard(0, NOTES)
    assert git(folder, "diff", "--stat", "HEAD~2", "HEAD") == ""
    assert git(folder, "status", "--porcelain") == ""


def test_other_keys_of_the_format_are_kept(folder: Path) -> None:
    commit(folder, **{"gitstate.json": '{"format": 1, "fanout": 0, "newer": [1]}'})
    with Store.open(folder) as store:
        store.reshard(3, NOTES)
    assert json.loads((folder / "gitstate.json").read_text()) == {"format": 1, "fanout": 3, "newer": [1]}


@pytest.mark.parametrize("file", ["notes/c", "notes/c/a/a", "notes/c/a/a/mine"])
def test_what_is_in_the_way_is_neither_lost_nor_taken_for_a_part_of_a_document(folder: Path, file: str) -> None:
    commit(folder, **{file: "mine"})
    with Store.open(folder) as store:
        head = store.head()
        with pytest.raises(errors.ExistsError, match="notes/c/a/a"):
            store.reshard(2, NOTES)
        assert store.head() == head
        store.reshard(0, NOTES)
        assert value_of(store, "a") == {"id": "a"}


def test_a_folder_of_others_is_shared(folder: Path) -> None:
    commit(folder, notes__c__mine="mine")
    with Store.open(folder) as store:
        store.reshard(2, NOTES)
        assert value_of(store, "a") == {"id": "a"}
        assert (folder / "notes/c/mine").read_text() == "mine"
        assert store.verify(NOTES).problems == ()


def test_a_copy_in_the_wrong_place_is_no_document(folder: Path) -> None:
    with Store.open(folder) as store:
        store.reshard(2, NOTES)
        store.flush()
        commit(folder, notes__x__y__b__job_json="")
        git(folder, "mv", "notes/x/y/b/job_json", "notes/x/y/b/job.json")
        git(folder, "commit", "-qm", "a copy")
        assert list(values(store)) == ["a"]
        report = store.verify(NOTES)
        assert report.ok and [problem.place.split()[0] for problem in report.problems] == ["notes/x/y/b"]
        store.reshard(0, NOTES)
        assert (folder / "notes/x/y/b/job.json").exists()


def test_a_long_id_that_cannot_be_read_stops_it(folder: Path) -> None:
    long = "x" * 300
    with Store.open(folder) as store:
        store.submit(NOTES, long, write({"id": long})).result()
        store.flush()
        commit(folder, **{f"notes/{names.encode(long)}/job.json": "{"})
        head = store.head()
        with pytest.raises(errors.CorruptionError, match="%~"):
            store.reshard(2, NOTES)
        assert store.head() == head
        git(folder, "reset", "-q", "--hard", "HEAD^")


def test_the_worktree_follows(folder: Path) -> None:
    with Store.open(folder) as store:
        store.reshard(2, NOTES)
        store.flush()
        assert (folder / "notes/c/a/a/job.json").is_file() and not (folder / "notes/a").exists()
    assert git(folder, "status", "--porcelain") == ""


def test_writers_at_work_stay_right(tmp_path: Path) -> None:
    """Two objects on one store, as in two processes: one writes, one moves the folders."""
    path = tmp_path / "store"

    def count(current: Snapshot | None) -> Draft:
        number = 0 if current is None else int(str(current.value()["n"]))
        return Draft(Message("count"), value={"id": "a", "n": number + 1})

    def many() -> None:
        for _ in range(30):
            mine.submit(NOTES, "a", count).result()

    with Store.open(path) as mine, Store.open(path) as other:
        thread = threading.Thread(target=many)
        thread.start()
        moved = [other.reshard(levels, NOTES) for levels in (1, 2, 0, 3, 2)]
        thread.join()
        assert all(moved)
        assert value_of(mine, "a") == value_of(other, "a") == {"id": "a", "n": 30}
        assert [snapshot.document for snapshot in mine.documents(NOTES)] == ["a"]
        assert len(list(mine.history(NOTES, "a"))) == 30
    fsck(path)
