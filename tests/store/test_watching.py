"""A watcher tells of each revision once, wherever it stops and goes on, whatever becomes of the history."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import graph, trees
from gitstate.engine.objects import Commit, ObjectId, Signature
from gitstate.errors import InvalidInputError, RevisionNotFoundError
from gitstate.store.store import Store
from gitstate.store.watching import Cursor, NewRevision, Watcher
from tests.git import git
from tests.store.test_naming import put
from tests.stores import NOTES

_NOTES = st.sets(st.sampled_from("abc"), max_size=3)
_SHAPES = st.lists(st.tuples(st.lists(st.integers(1, 6), max_size=3, unique=True), _NOTES), min_size=1, max_size=10)


class History:
    """Commits of any shape on top of a store's own first one; each writes its number into some notes."""

    def __init__(self, store: Store, shape: list[tuple[list[int], set[str]]]) -> None:
        self.engine = store._engine
        self.made = [store.head()]
        self.ancestors = {self.made[0]: {self.made[0]}}
        for number, (back, notes) in enumerate(shape, start=1):
            parents = [self.made[number - each] for each in back if each <= number] or [self.made[0]]
            self.made.append(self.commit(number, parents, notes))
            self.ancestors[self.made[-1]] = {self.made[-1]}.union(*(self.ancestors[parent] for parent in parents))

    def commit(self, number: int, parents: list[ObjectId], notes: set[str]) -> ObjectId:
        root = graph.read(self.engine, parents[0]).tree
        files = {f"notes/{note}/root.json": b'{"id":"%s","n":%d}' % (note.encode(), number) for note in notes}
        files = {path.replace("root.json", NOTES.layout.root): text for path, text in files.items()}
        edited = trees.edit(self.engine, root, files | {"number": b"%d" % number})
        who = Signature("a", "a@example.org", 1_700_000_000 + number)
        made = Commit(edited.id, tuple(parents), who, who, b"commit %d\n" % number).to_object()
        self.move(made.id, [*edited.objects, made])
        return made.id

    def move(self, head: ObjectId, objects: object = ()) -> None:
        self.engine.publish(objects, expected=self.engine.head(), new=head, note="")  # type: ignore[arg-type]

    def changed(self, commit_id: ObjectId) -> set[str]:
        """Return the notes that are as in no parent of a commit."""
        trees_of = [self.notes(parent) for parent in graph.read(self.engine, commit_id).parents]
        here = self.notes(commit_id)
        return {note for note in "abc" if all(here.get(note) != there.get(note) for there in trees_of)}

    def notes(self, commit_id: ObjectId) -> dict[str, ObjectId]:
        root = graph.read(self.engine, commit_id).tree
        found = {note: trees.find(self.engine, root, f"notes/{note}") for note in "abc"}
        return {note: entry.id for note, entry in found.items() if entry is not None}

    def expected(self, commit_ids: set[ObjectId]) -> set[tuple[ObjectId, str]]:
        return {(commit_id, note) for commit_id in commit_ids for note in self.changed(commit_id)}


def pairs(news: list[NewRevision]) -> list[tuple[ObjectId, str]]:
    return [(each.revision.id, each.document) for each in news]


def watcher(store: Store, since: str) -> Watcher:
    return store.watch(NOTES, since)


@settings(max_examples=150)
@given(_SHAPES, st.data())
def test_who_goes_on_at_any_point_is_told_exactly_the_rest(
    shape: list[tuple[list[int], set[str]]], data: st.DataObject
) -> None:
    with Store.in_memory() as store:
        history = History(store, shape)
        since, first, second = (data.draw(st.sampled_from(history.made)) for _ in range(3))
        known = history.ancestors[since]
        told = list(watcher(store, since).news(first))
        assert len(set(pairs(told))) == len(told)
        assert set(pairs(told)) == history.expected(history.ancestors[first] - known)
        everything = history.expected((history.ancestors[first] | history.ancestors[second]) - known)
        for stop in range(len(told)):
            cursor = str(told[stop].cursor)
            rest = list(watcher(store, cursor).news(first))
            assert pairs(rest) == pairs(told[stop + 1 :]) or set(pairs(rest)) == set(pairs(told[stop + 1 :]))
            # The branch was moved elsewhere meanwhile.
            elsewhere = pairs(list(watcher(store, cursor).news(second)))
            before = pairs(told[: stop + 1])
            assert len(elsewhere) == len(set(elsewhere)) and not set(before) & set(elsewhere)
            assert history.expected(history.ancestors[second] - known) <= {*before, *elsewhere} <= everything


@given(_SHAPES, st.lists(st.integers(0, 10), min_size=2, max_size=6))
def test_a_branch_that_is_put_here_and_there_brings_each_commit_once(
    shape: list[tuple[list[int], set[str]]], moves: list[int]
) -> None:
    with Store.in_memory() as store:
        history = History(store, shape)
        heads = [history.made[move % len(history.made)] for move in moves]
        watching = watcher(store, heads[0])
        told: list[tuple[ObjectId, str]] = []
        resumed: list[tuple[ObjectId, str]] = []
        cursor = heads[0]
        for head in heads[1:]:
            told += pairs(list(watching.news(head)))
            for each in watcher(store, cursor).news(head):
                resumed.append((each.revision.id, each.document))
                cursor = str(each.cursor)
        reached = set().union(*(history.ancestors[head] for head in heads)) - history.ancestors[heads[0]]
        assert len(told) == len(set(told)) and set(told) == set(resumed) == history.expected(reached)
        assert len(resumed) == len(told)


def test_a_commit_that_changed_several_documents_is_told_to_the_end(tmp_path: Path) -> None:
    with Store.in_memory() as store:
        history = History(store, [([1], {"a", "b", "c"}), ([1], {"a"})])
        told = list(watcher(store, history.made[0]).news(history.made[2]))
        assert [each.document for each in told] == ["a", "b", "c", "a"]
        assert str(told[0].cursor) == f"{history.made[0]}:{history.made[1]}:1"
        assert [str(each.cursor) for each in told[2:]] == history.made[1:]
        assert [each.document for each in watcher(store, str(told[1].cursor)).news(history.made[2])] == ["c", "a"]
        lone = list(watcher(store, str(told[1].cursor)).news(history.made[0]))
        assert [each.document for each in lone] == ["c"], "it was begun, so it is ended, although it was reset away"


def test_a_cursor_that_nobody_gave_loses_and_doubles_nothing() -> None:
    with Store.in_memory() as store:
        history = History(store, [([1], {"a"}), ([1], {"b"}), ([1], {"c"})])
        one, two, three = history.made[1:]
        assert pairs(list(watcher(store, f"{one}+{two}").news(three))) == [(three, "c")]
        assert pairs(list(watcher(store, f"{two}:{one}:0").news(three))) == [(three, "c")]
        assert pairs(list(watcher(store, f"{one}:{two}:7").news(three))) == [(three, "c")]


@given(st.lists(st.text("0123456789abcdef", min_size=40, max_size=40), min_size=1, max_size=3), st.integers(1, 99))
def test_a_cursor_reads_what_it_wrote(seen: list[str], told: int) -> None:
    for cursor in (Cursor(tuple(seen)), Cursor(tuple(seen), seen[0], told)):
        assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.parse("~1") is None and Cursor.parse(seen[0][1:]) is None


def test_executions_without_files_count_and_claims_of_others_do_not(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        since = put(store, None, "a", 1)
        told = "Record\n\nGitstate-Note: a\nGitstate-Event: execution\n"
        store.flush()
        git(tmp_path / "store", "commit", "-q", "--allow-empty", "-m", told)
        (tmp_path / "store/notes/b").mkdir(parents=True)
        (tmp_path / "store/notes/b" / NOTES.layout.root).write_text('{"id": "b"}')
        git(tmp_path / "store", "add", ".")
        git(tmp_path / "store", "commit", "-q", "-m", "It lies\n\nGitstate-Note: a\n")
        news = list(store.watch(NOTES, since).news(store.head()))
        assert [each.document for each in news] == ["a", "b"]
        store.reshard(2, NOTES)
        assert list(store.watch(NOTES, str(news[-1].cursor)).news(store.head())) == []


def test_deletions_are_told_and_names_of_a_document_are_known(tmp_path: Path) -> None:
    with Store.in_memory() as store:
        made = [put(store, None, "a", number) for number in range(3)]
        gone = put(store, None, "a", None, "deleted")
        for since, expected in ((None, []), (made[1][:12], [made[2], gone])):
            assert [each.revision.id for each in store.watch(NOTES, since).news(gone)] == expected
        named = store.watch(NOTES, "~1", "a")
        assert [each.revision.id for each in named.news(gone)] == [gone]
        with pytest.raises(InvalidInputError, match="counts the revisions of one document"):
            store.watch(NOTES, "~1")
        with pytest.raises(RevisionNotFoundError):
            store.watch(NOTES, f"{made[0]}+{'0' * 40}")


def test_what_a_merge_took_from_one_side_is_told_where_it_was_made(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        since = put(store, None, "a", 1)
        store.flush()
        git(folder, "checkout", "-q", "-b", "side")
        (folder / "notes/a/more.txt").write_text("beside")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "Beside")
        git(folder, "checkout", "-q", "main")
        put(store, None, "b", 1)
        store.flush()
        git(folder, "merge", "-q", "--no-edit", "side")
        news = list(store.watch(NOTES, since).news(store.head()))
        assert [(each.document, each.revision.message.subject) for each in news] == [("b", "b is 1"), ("a", "Beside")]
        inner = news[0].cursor
        assert all(len(each.cursor.seen) <= 2 for each in news)
        assert [each.document for each in store.watch(NOTES, str(inner)).news(store.head())] == ["a"]
        assert [len(later.cursor.seen) >= len(earlier.cursor.seen) for earlier, later in pairwise(news)] == [True]
