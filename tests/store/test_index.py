"""The index answers as a walk does, or not at all, whatever becomes of its file and of the history."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate import errors
from gitstate.engine import graph, trees
from gitstate.engine.base import NotAtHandError
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, Signature
from gitstate.format.version import FormatVersion
from gitstate.store import history
from gitstate.store.documents import Collection, Revision
from gitstate.store.index import database, indexes, line, revisions, rows
from gitstate.store.index.indexes import Index
from gitstate.store.reader import Reader
from gitstate.store.store import Store
from gitstate.store.trails import Life, Trail
from tests.git import git
from tests.store.test_naming import put
from tests.stores import NOTES

DOCUMENTS = ("a", "b/c", "x" * 200)


@pytest.fixture(autouse=True)
def _soon_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_ONE_BY_ONE", 5)
    monkeypatch.setattr(revisions, "_PAGE", 4)
    monkeypatch.setattr(rows, "_AT_ONCE", 7)


def walked(reader: Reader, document: str, start: str, collection: Collection = NOTES) -> list[str]:
    """The history as it is found without an index."""
    plain = Reader(reader.engine)
    return [revision.id for revision in history.walked(plain, Trail(collection, document, start))]


def spans(lives: list[Life]) -> list[tuple[str, str, bool]]:
    return [(life.end, life.began.id, life.ended) for life in lives]


def stand(reader: Reader, document: str, revision: Revision) -> None:
    """Compare what the index says that a revision made of a document with what is there."""
    there = reader.snapshot(NOTES, document, revision.id)
    assert revision.tree == (None if there is None else there.tree)
    files = {} if there is None else there.files()
    assert revision.attached is not None
    assert dict(revision.attached) == {path: files[path].id for path in revision.attached}


def agree(store: Store, *documents: str, starts: list[str] | None = None) -> int:
    """Compare what the index says with a walk; return how often it said anything."""
    answers = 0
    for start in starts or [store.head()]:
        for document in documents:
            found = store._indexes.of(NOTES).revisions.revisions(Trail(NOTES, document, start, attached=True))
            if found is not None:
                told = list(found)
                assert [each.id for each in told] == walked(store._reader, document, start)
                for each in told:
                    assert each.removed is (store.snapshot(NOTES, document, each.id) is None)
                    stand(store._reader, document, each)
                answers += 1
            assert [each.id for each in store.history(NOTES, document, start)] == walked(store._reader, document, start)
            plain, trail = Reader(store._reader.engine), Trail(NOTES, document, start)
            assert spans(history.lives(store._reader, trail)) == spans(history.lives(plain, trail))
            with suppress(NotAtHandError):
                assert store.answers.life(NOTES, document, start, "Gitstate-Event") == store.life(
                    NOTES, document, start, "Gitstate-Event"
                )
            for key, value in (("Gitstate-Event", None), ("Gitstate-Event", "execution"), ("Gitstate-Note", None)):
                trail = Trail(NOTES, document, start, None, key, value)
                expected = [each.id for each in history.walked(plain, trail)]
                assert [each.id for each in history.revisions(store._reader, trail)] == expected
                if value is None:
                    keys = [key, "Gitstate-Event", "Gitstate-Execution"]
                    lives, walked_lives = (history.lives(each, trail, keys) for each in (store._reader, plain))
                    assert [life.said for life in lives] == [life.said for life in walked_lives]
    return answers


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b/c", "nobody's"]),
        st.integers(0, 3) | st.none(),
        st.sampled_from(["true", "lies", "silent", "nothing", "foreign"]),
        st.integers(0, 30),
        st.sampled_from(["after", "after", "merge", "merge", "merged", "reset"]),
        st.sampled_from([0, 0, 1, 1, 5, -3]),
    ),
    max_size=25,
)


@given(_STEPS, st.sets(st.integers(0, 25), max_size=4), st.integers(0, 24))
def test_it_says_what_a_look_at_every_commit_says(
    steps: list[tuple[str, int | None, str, int, str, int]], asked: set[int], reshard: int
) -> None:
    engine = MemoryEngine()
    reader = Reader(engine)
    known = Index(None, reader, NOTES)
    made = [_commit(engine, [], {"gitstate.json": FormatVersion().to_bytes()}, "")]
    time = 0
    for number, (document, text, way, other, kind, tick) in enumerate(steps):
        if number in asked:
            _compare(reader, known, [made[-1], made[number // 2]])
        time += tick
        beside = made[other % len(made)]
        parents = {"after": made[-1:], "merge": [made[-1], beside], "merged": [beside, made[-1]], "reset": [beside]}[
            kind
        ]
        fanout = reader.format(_tree(engine, made[-1])).fanout
        folder = NOTES.folder(document, fanout)
        files: dict[str, bytes | None] = {f"{folder}/job.json": None if text is None else b'{"n": %d}' % text}
        files[f"{folder}/executions/0001/output.txt"] = b"%d" % (other // 2) if other % 3 else None
        if way == "foreign":
            files = {f"{folder}/README": b"%d" % number}
        elif way == "nothing":
            files = {}
        elif number == reshard:
            files["gitstate.json"] = FormatVersion(fanout=1 - fanout).to_bytes()
        says = {"true": document, "nothing": document, "lies": "b/c" if document == "a" else "a"}.get(way, "")
        made.append(_commit(engine, list(dict.fromkeys(parents)), files, says, time))
    _compare(reader, known, [*made[-4:], made[0]])
    if not any(way == "lies" for _, _, way, *_ in steps):
        for document in ("a", "b/c"):
            found = known.revisions.revisions(Trail(NOTES, document, reader.head()))
            assert found is not None
            assert [revision.id for revision in found] == walked(reader, document, reader.head())
    known.database.close()


def _compare(reader: Reader, known: Index, starts: list[str]) -> None:
    for start in starts:
        for document in ("a", "b/c", "nobody's", "never"):
            found = known.revisions.revisions(Trail(NOTES, document, start, attached=True))
            assert found is not None or start != reader.head()
            if found is not None:
                told = list(found)
                assert [revision.id for revision in told] == _exact(reader, document, start)
                for revision in told:
                    stand(reader, document, revision)
                _compare_trailers(reader, known, document, start, [*starts, reader.head()])
    known_gone = known.revisions.deleted()
    if known_gone is not None:
        tellers = {document: _exact(reader, document, reader.head()) for document in ("a", "b/c", "nobody's")}
        gone = [name for name in tellers if tellers[name] and reader.snapshot(NOTES, name, reader.head()) is None]
        assert sorted(name for name, _ in known_gone) == [
            name for name in gone if any(reader.snapshot(NOTES, name, each) for each in tellers[name])
        ]


def _compare_trailers(reader: Reader, known: Index, document: str, start: str, made: list[str]) -> None:
    silent = Reader(reader.engine)
    exact = [Revision.of(each, graph.read(reader.engine, each)) for each in _exact(reader, document, start)]
    removed = any(
        silent.snapshot(NOTES, document, each) is None and _exact(reader, document, each)
        for head in made
        for each, _ in graph.walk(reader.engine, head)
    )
    for until in [None, *(revision.id for revision in exact[1:3])]:
        reached = exact[: 1 + [each.id for each in exact].index(until)] if until else exact
        for key, value in (("Gitstate-Count", None), ("Gitstate-Count", "1"), ("Gitstate-Count", "9"), ("Other", None)):
            trail = Trail(NOTES, document, start, until, key, value)
            saying = [each for each in reached if trail.holds(each.message)]
            found = known.revisions.revisions(trail)
            if found is None:
                assert until is not None
                assert removed
                continue
            assert [each.id for each in found] == [each.id for each in saying]
    last = dict.fromkeys(_exact(reader, document, start, in_one_life=True))
    life = [each for each in exact if each.id in last and silent.snapshot(NOTES, document, each.id) is not None]
    keys = ["Gitstate-Count", "Other"]
    found_lives = known.revisions.lives(Trail(NOTES, document, start), keys)
    if found_lives is None:
        assert removed, "else the order tells where the life began"
        return
    is_there = silent.snapshot(NOTES, document, start) is not None
    assert spans(found_lives) == ([(start if is_there else life[0].id, life[-1].id, not is_there)] if life else [])
    holding = Trail(NOTES, document, start, key=keys[0])
    for each in found_lives:
        assert each.said == [one.message.first(keys) for one in life if holding.holds(one.message)]


def _exact(reader: Reader, document: str, start: str, *, in_one_life: bool = False) -> list[str]:
    """The history without a word believed that a commit says of another document."""
    silent = Collection("notes", NOTES.layout, id_field="id", trailer="Gitstate-Note")
    plain = Reader(reader.engine)
    place = graph.Place(
        lambda root: plain.locate(root, silent, document),
        claims=lambda commit: f"Gitstate-Note: {document}\n".encode() in commit.message,
        in_one_life=in_one_life,
    )
    return [commit_id for commit_id, _ in graph.history(reader.engine, start, place)]


def _tree(engine: MemoryEngine, commit_id: str) -> str:
    return graph.read(engine, commit_id).tree


def _commit(engine: MemoryEngine, parents: list[str], files: dict[str, bytes | None], says: str, time: int = 0) -> str:
    edited = trees.edit(engine, _tree(engine, parents[0]) if parents else None, files)
    who = Signature("a", "a@example.org", 1_700_000_000 + time)
    count = len(engine._objects) % 3
    told = f"change\n\nGitstate-Note: {says}\nGitstate-Count: {count}\nGitstate-Count: 9\n" if says else "change\n"
    made = Commit(edited.id, tuple(parents), who, who, told.encode()).to_object()
    engine.publish([*edited.objects, made], expected=engine.head(), new=made.id, note="")
    return made.id


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def fill(store: Store, count: int = 12) -> None:
    for number in range(count):
        put(store, None, DOCUMENTS[number % 3], number)
        if number % 4 == 1:
            put(store, None, DOCUMENTS[number % 3], number, "execution")


def test_executions_deletions_moves_and_other_people_s_files(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    assert agree(store, *DOCUMENTS, "never") == 4
    attached = [each.attached for each in store.history(NOTES, "b/c", key="Gitstate-Event", attached=True)]
    assert sum(map(bool, attached)) == 1, "as many as executions"
    put(store, None, "a", None, "deleted")
    fill(store)
    store.reshard(2, NOTES)
    fill(store)
    store.flush()
    (folder / "README.md").write_text("mine\n")
    (folder / "notes/mine").mkdir()
    (folder / "notes/mine/file").write_text("no document\n")
    odd = folder / "notes" / "\x02" / ("1" * 40)
    odd.parent.mkdir()
    odd.write_text("a name that parts commits\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "my files")
    fill(store)
    assert agree(store, *DOCUMENTS, "mine", "never") == 5
    starts = git(folder, "rev-list", "--first-parent", "main").split()
    assert agree(store, "a", "b/c", starts=starts) == 2 * len(starts)


def test_a_document_that_a_merge_changed_is_known_from_the_head(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    store.flush()
    git(folder, "checkout", "-qb", "side", "HEAD~4")
    (folder / "notes/a/job.json").write_text('{"id": "a", "n": 100}\n')
    git(folder, "commit", "-qam", "by hand")
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "-X", "theirs", "--no-edit", "side")
    assert agree(store, *DOCUMENTS) == 3
    fill(store, 6)
    assert agree(store, *DOCUMENTS) == 3
    merge = git(folder, "rev-list", "--merges", "-1", "HEAD").strip()
    between, base, side = (git(folder, "rev-parse", f"{merge}{way}").strip() for way in ("^1~1", "^2^", "^2"))
    assert agree(store, *DOCUMENTS, starts=[merge, base]) == 6
    assert agree(store, *DOCUMENTS, starts=[between, side]) == 0, "there it is walked"


def test_a_store_that_goes_on_from_another_s_merge_weaves_in_its_own_side(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    fill(store, 24)
    git(folder, "clone", "-q", ".", "../other")
    assert agree(store, *DOCUMENTS) == 3
    with Store.open(tmp_path / "other") as other:
        for number in range(8):
            put(other, None, DOCUMENTS[number % 2], 100 + number)
    fill(store, 6)
    assert agree(store, *DOCUMENTS) == 3
    store.flush()
    git(tmp_path / "other", "fetch", "-q")
    git(tmp_path / "other", "merge", "-q", "-X", "ours", "--no-edit", "origin/main")
    git(folder, "pull", "-q", "--ff-only", "../other", "main")
    with monkeypatch.context() as patch:
        patch.setattr(revisions, "_EMPTY", ["SELECT nothing_of_this_name"])  # it is not made anew
        assert agree(store, *DOCUMENTS) == 3
    fill(store, 6)
    assert agree(store, *DOCUMENTS) == 3


@pytest.mark.parametrize("move", [["reset", "-q", "--hard", "HEAD~5"], ["commit", "-q", "--amend", "-m", "mine"]])
def test_a_history_that_a_person_rewrote(store: Store, tmp_path: Path, move: list[str]) -> None:
    fill(store)
    agree(store, *DOCUMENTS)
    store.flush()
    git(tmp_path / "store", *move)
    assert agree(store, *DOCUMENTS) == 3
    fill(store)
    assert agree(store, *DOCUMENTS) == 3


def test_another_process_s_commits_are_taken_in(store: Store, tmp_path: Path) -> None:
    fill(store)
    assert agree(store, *DOCUMENTS) == 3
    with Store.open(tmp_path / "store") as other:
        fill(other, 20)
        assert agree(other, *DOCUMENTS) == 3
    assert agree(store, *DOCUMENTS) == 3


def _removed(path: Path) -> None:
    path.unlink()


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def _without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE touched")
    database.close()


@pytest.mark.parametrize("damage", [_removed, _garbage, _emptied, _torn, _newer, _without_a_table])
@pytest.mark.parametrize("in_use", [True, False])
def test_whatever_becomes_of_the_file_the_answers_stay(
    tmp_path: Path, damage: Callable[[Path], None], in_use: bool
) -> None:
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    with Store.open(tmp_path / "store") as store:
        fill(store)
        agree(store, *DOCUMENTS)
        if in_use:
            damage(path)
            agree(store, *DOCUMENTS)
            put(store, None, "a", 50)
            agree(store, *DOCUMENTS)
    if not in_use:
        damage(path)
    with Store.open(tmp_path / "store") as store:
        agree(store, *DOCUMENTS)
        put(store, None, "a", 51)
        agree(store, *DOCUMENTS)
    with Store.open(tmp_path / "store") as store:
        assert agree(store, *DOCUMENTS) == 3, "it was made anew"


def test_a_file_that_somebody_holds_is_not_waited_for_long(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    fill(store)
    agree(store, "a")
    put(store, None, "a", 50)
    store._indexes.of(NOTES).database.close()
    holder = sqlite3.connect(tmp_path / "store/.git/gitstate/index-main-notes.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert agree(store, *DOCUMENTS) == 0
    holder.execute("ROLLBACK")
    holder.close()
    assert agree(store, *DOCUMENTS) == 3


def test_without_git_it_is_made_too(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 20)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert agree(store, *DOCUMENTS) == 3


def test_what_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        fill(store)
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    path.unlink(missing_ok=True)
    path.mkdir()
    with Store.open(tmp_path / "store") as store:
        assert agree(store, *DOCUMENTS) == 0
    path.rmdir()


def _indexed(folder: Path) -> int:
    """How many revisions are in it by now."""
    with closing(sqlite3.connect(folder / ".git/gitstate/index-main-notes.db")) as database:
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            return 0  # it is only about to be made
        count: int = database.execute("SELECT count(*) FROM revisions").fetchone()[0]
        return count


def test_a_store_that_writes_brings_it_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store"
    monkeypatch.setattr(indexes, "_DELAY", 0.01)
    with Store.open(folder) as store:
        fill(store)
        end = time.monotonic() + 20
        while _indexed(folder) < 16 and time.monotonic() < end:
            time.sleep(0.01)
        assert _indexed(folder) == 16, "nobody asked, and nobody closed the store"


def test_what_was_written_last_is_in_it_when_the_store_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        fill(store)
    assert _indexed(folder) == 16
    with Store.open(folder) as store:
        assert agree(store, *DOCUMENTS) == 3


def test_what_takes_long_is_left_to_who_asks_and_not_tried_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        fill(store)
    monkeypatch.setattr(indexes, "_AT_MOST", 10)
    with Store.open(folder) as store:
        fill(store)
    assert _indexed(folder) == 16
    with monkeypatch.context() as patch, Store.open(folder) as store:
        patch.setattr(line, "steps", None)  # raises when it is called
        put(store, None, "a", 1)
    with Store.open(folder) as store:
        assert agree(store, *DOCUMENTS) == 3
        put(store, None, "a", 2)
    assert _indexed(folder) == 33


def test_a_forked_child_leaves_it_to_the_parent(store: Store) -> None:
    fill(store)
    agree(store, "a")
    child = os.fork()
    if child == 0:
        os._exit(0 if store._indexes.of(NOTES).revisions.revisions(Trail(NOTES, "a", "1" * 40)) is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert agree(store, *DOCUMENTS) == 3


_WRITER = """
import sys
from gitstate.store.store import Store
from tests.store.test_naming import put
from tests.stores import NOTES
with Store.open(sys.argv[1]) as store:
    for number in range(25):
        put(store, None, sys.argv[2], number)
        list(store.history(NOTES, "a"))
"""


def test_writers_readers_and_somebody_who_removes_it(tmp_path: Path) -> None:
    folder, path = tmp_path / "store", tmp_path / "store/.git/gitstate/index-main-notes.db"
    with Store.open(folder) as store:
        fill(store)
        command = [sys.executable, "-c", textwrap.dedent(_WRITER), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        writers = [subprocess.Popen([*command, document], env=environment) for document in ("a", "b/c")]
        dice = random.Random(1)
        while any(writer.poll() is None for writer in writers):
            if dice.random() < 0.1:
                for suffix in dice.sample(["", "-wal", "-shm"], 2):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            start = store.head()
            for document in DOCUMENTS[:2]:
                found = [revision.id for revision in store.history(NOTES, document, start)]
                assert found == walked(store._reader, document, start)
        assert [writer.wait() for writer in writers] == [0, 0]
        agree(store, *DOCUMENTS)


def test_threads_share_it(store: Store) -> None:
    fill(store)
    wrong: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                agree(store, *DOCUMENTS)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        put(store, None, "a", number)
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("damage", [_removed, _garbage, _torn, _without_a_table])
def test_what_becomes_of_it_between_two_pages_changes_nothing(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    with Store.open(tmp_path / "store") as store:
        fill(store, 45)
        expected = walked(store._reader, "a", store.head())
        found = store.history(NOTES, "a")
        read = [next(found).id, next(found).id]
        store._indexes.of(NOTES).database.close()
        damage(path)
        read += [revision.id for revision in found]
        assert read == expected
        found = store.history(NOTES, "a")
        read = [next(found).id]
        git(tmp_path / "store", "update-ref", "refs/heads/main", "HEAD~9")
        list(store.history(NOTES, "a"))  # makes it anew
        assert read + [revision.id for revision in found] == expected


def test_names_that_look_like_what_git_says_between_them(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    store.flush()
    (folder / "notes/a/job.json\n").write_text("not the root file\n")
    (folder / "notes/mine").mkdir()
    (folder / "notes/mine/job.json\n").write_text("no document\n")
    for odd in ("\x02é", "\x02abc", "\x02" + "1" * 40, "D", "\x02" + "1" * 39 + "\n"):
        (folder / "notes" / odd).write_text("a name that parts commits\n")
        (folder / "notes/a/job.json").write_text(f'{{"id": "a", "n": {len(odd)}00}}\n')
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "by hand")
    (folder / "notes/a/job.json\n").unlink()
    git(folder, "commit", "-qam", "by hand")
    assert agree(store, *DOCUMENTS, "mine") == 4


@pytest.mark.parametrize("size", [150, 330, 800])
def test_a_git_that_dies_while_it_speaks(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    fill(store, 20)
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    real = shutil.which("git")
    program.write_text(f'#!/bin/sh\n[ "$1" = log ] || exec {real} "$@"\n{real} "$@" | head -c {size}\nkill -9 $$\n')
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        assert agree(store, *DOCUMENTS) == 3


def test_an_answer_is_of_one_moment(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    start = store.head()
    expected = walked(store._reader, "a", start)
    bounds = revisions._bounds

    def and_then_somebody_rewrites_history(connection: sqlite3.Connection, *asked: Any) -> object:
        found = bounds(connection, *asked)
        with monkeypatch.context() as patch:
            patch.setattr(revisions, "_bounds", bounds)
            git(tmp_path / "store", "update-ref", "refs/heads/main", "HEAD~9")
            with Store.open(tmp_path / "store") as other:
                fill(other)
                agree(other, "a")
        return found

    agree(store, "a")
    with monkeypatch.context() as patch:
        patch.setattr(revisions, "_bounds", and_then_somebody_rewrites_history)
        assert [each.id for each in store.history(NOTES, "a", start)] == expected
    agree(store, *DOCUMENTS)


def test_nobody_waits_again_for_a_file_that_is_held(store: Store, tmp_path: Path) -> None:
    fill(store)
    agree(store, "a")
    put(store, None, "a", 50)
    store.flush()
    with closing(sqlite3.connect(tmp_path / "store/.git/gitstate/index-main-notes.db", isolation_level=None)) as holder:
        store._indexes._keeper.stop()
        holder.execute("BEGIN IMMEDIATE")
        put(store, None, "a", 51)
        began = time.monotonic()
        agree(store, *DOCUMENTS)  # many questions
        assert time.monotonic() - began < 6, "2 s, and then no more"
        holder.execute("ROLLBACK")
    assert agree(store, *DOCUMENTS) == 3


def test_a_document_that_went_with_a_change_of_the_format_file(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    store.flush()
    (folder / "gitstate.json").write_bytes((folder / "gitstate.json").read_bytes() + b"\n")
    git(folder, "rm", "-q", "notes/a/job.json")
    git(folder, "commit", "-qam", "by hand")
    for number in range(2):
        (folder / "notes/a").mkdir(exist_ok=True)
        (folder / "notes/a/README").write_text(f"{number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "by hand")
    assert agree(store, *DOCUMENTS) == 3


@pytest.mark.parametrize("hint", ["0" * 40, "a blob"])
def test_where_the_tree_that_it_names_is_none_the_way_to_it_is_gone(store: Store, tmp_path: Path, hint: str) -> None:
    fill(store)
    blob = git(tmp_path / "store", "rev-parse", "HEAD:gitstate.json").strip()
    newest = next(store.history(NOTES, "a"))
    assert newest.tree is not None
    lying = replace(newest, tree=blob if hint == "a blob" else hint)
    there = store.snapshot(NOTES, "a", newest.id)
    assert store.after(NOTES, "a", newest) == store.after(NOTES, "a", lying) == there is not None


def test_a_store_that_is_closed_tells_of_no_deleted_documents(store: Store) -> None:
    store.close()
    with pytest.raises(errors.ClosedError):
        store.deleted(NOTES)


@pytest.mark.parametrize("wrong", ["{", '{"id": "a"}'])
def test_a_document_whose_cut_folder_does_not_tell_its_id(store: Store, tmp_path: Path, wrong: str) -> None:
    folder, long = tmp_path / "store", DOCUMENTS[2]
    fill(store)
    store.flush()
    root = folder / NOTES.folder(long, 0) / "job.json"
    right = root.read_text()
    for text in (wrong, f"{wrong}\n", right):
        root.write_text(text)
        git(folder, "commit", "-qam", "by hand")
    assert agree(store, *DOCUMENTS) == 2
    before = git(folder, "rev-parse", "HEAD~1").strip()
    assert [snapshot.document for snapshot in store.documents(NOTES, before)].count("a") == 1


def test_a_forked_child_that_opens_the_store_again_does_without_it(store: Store, tmp_path: Path) -> None:
    fill(store)
    agree(store, "a")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Store.open(tmp_path / "store") as own:
                code = agree(own, *DOCUMENTS)
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert agree(store, *DOCUMENTS) == 3


@pytest.mark.parametrize("suffixes", [["-wal"], ["-shm"], ["-wal", "-shm"], [""]])
def test_files_that_are_removed_while_they_are_in_use_are_noticed(
    store: Store, tmp_path: Path, suffixes: list[str]
) -> None:
    fill(store)
    agree(store, *DOCUMENTS)
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink()
    assert agree(store, *DOCUMENTS) == 3
    assert all(path.with_name(path.name + suffix).exists() for suffix in ("", "-wal", "-shm"))
    with Store.open(tmp_path / "store") as other:
        put(other, None, "a", 1)
        assert agree(other, *DOCUMENTS) == 3
    assert agree(store, *DOCUMENTS) == 3


def test_who_goes_on_to_read_a_history_when_the_store_is_closed_opens_no_file(store: Store) -> None:
    fill(store, 45)
    expected = walked(store._reader, "a", store.head())
    found = store.history(NOTES, "a")
    read = [next(found).id]
    store.close()
    assert read + [revision.id for revision in found] == expected
    assert store._indexes.of(NOTES).database._connection is None


def test_a_clone_that_nobody_wrote_to_has_one_too(store: Store, tmp_path: Path) -> None:
    fill(store)
    git(tmp_path, "clone", "-q", "store", "clone")
    with Store.open(tmp_path / "clone", create=False) as clone:
        assert agree(clone, *DOCUMENTS) == 3
