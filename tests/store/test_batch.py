"""Commits that are published together: what is in them, what observers learn, and what a batch does not take."""

from collections.abc import Sequence
from typing import Any

import pytest

from gitstate.engine import graph, trees
from gitstate.engine.limits import DEFAULT
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import GitObject, ObjectId
from gitstate.errors import StorageError, TooLargeError
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store import sizes
from gitstate.store.batch import Batch, Joined, Onward
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.store.reader import FORMAT_FILE, Reader
from tests.stores import NOTES


class Engine(MemoryEngine):
    """Can fail before it has moved the branch, or after."""

    before: BaseException | None = None
    after: BaseException | None = None

    def __init__(self) -> None:
        super().__init__()
        self.published: list[tuple[ObjectId | None, ObjectId, str]] = []

    def publish(self, objects: Sequence[GitObject], *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        if self.before is not None:
            raise self.before
        super().publish(objects, expected=expected, new=new, note=note)
        self.published.append((expected, new, note))
        if self.after is not None:
            raise self.after


class Observer:
    def __init__(self, name: str, told: list[Any]) -> None:
        self.name, self.told = name, told

    def applied(self, value_id: str, revision: ObjectId) -> None:
        self.told.append((self.name, value_id, revision))

    def withdrawn(self) -> None:
        self.told.append((self.name, "withdrawn"))

    def published(self) -> None:
        self.told.append((self.name, "published"))


@pytest.fixture
def engine() -> Engine:
    made = Engine()
    batch = Batch(made, Reader(made), None)
    first = trees.edit(made, None, {FORMAT_FILE: FormatVersion().to_bytes(), "README": b"a person's"})
    batch.commit(first.id, first.objects, Message("a new store"))
    batch.publish()
    return made


@pytest.fixture
def reader(engine: Engine) -> Reader:
    return Reader(engine)


@pytest.fixture
def batch(engine: Engine, reader: Reader) -> Batch:
    return Batch(engine, reader, engine.head())


def write(value: dict[str, Any] | Content | None, subject: str = "write", **more: Any) -> Edit:
    return lambda _: Draft(Message(subject), value=value, **more)


def files_of(source: Any, commit_id: ObjectId) -> dict[str, bytes]:
    return {path: source.read(entry.id, "blob") for path, entry in trees.files(source, graph.root(source, commit_id))}


def shown(batch: Batch) -> dict[str, Any] | None:
    """Return what a batch makes of a document."""
    found: list[dict[str, Any] | None] = []
    batch.write(NOTES, "a", lambda current: found.append(None if current is None else current.value()))
    return found[0]


def test_commits_follow_one_another_and_are_published_once(engine: Engine, batch: Batch) -> None:
    head = engine.head()
    one = batch.write(NOTES, "a", write({"id": "a", "n": 1}, "one"))
    two = batch.write(NOTES, "a", write({"id": "a", "n": 2}, "two"))
    assert one is not None
    assert two is not None
    assert (one.parents, two.parents, batch.tip) == ((head,), (one.id,), two.id)
    assert engine.head() == head
    batch.publish()
    assert engine.published[1:] == [(head, two.id, "two (and 1 more)")]
    assert files_of(engine, two.id)["notes/a/job.json"] == b'{\n  "id": "a",\n  "n": 2\n}\n'
    kinds = [item.kind for item in batch.objects]
    assert kinds.count("commit") == 2
    assert len({item.id for item in batch.objects}) == len(kinds)


def test_a_batch_without_a_commit_publishes_nothing(engine: Engine, batch: Batch) -> None:
    engine.before = AssertionError("it is not asked")
    batch.publish()
    Batch(engine, batch.reader, None).publish()
    assert batch.tip == engine.head()


def test_each_write_is_shown_what_the_one_before_it_made(batch: Batch) -> None:
    seen: list[object] = []

    def edit(current: Snapshot | None) -> Draft:
        seen.append(None if current is None else (current.document, current.revision, current.value()))
        return Draft(Message("write"), value={"id": "a", "n": len(seen)})

    first = batch.write(NOTES, "a", edit)
    assert first is not None
    batch.write(NOTES, "a", edit)
    assert seen == [None, ("a", first.id, {"id": "a", "n": 1})]


def test_a_value_that_its_caller_changes_later_is_stored_as_it_was(batch: Batch) -> None:
    value = {"id": "a", "list": [1]}
    batch.write(NOTES, "a", write(value))
    value["list"].append(2)  # type: ignore[attr-defined]
    assert shown(batch) == {"id": "a", "list": [1]}


def test_a_content_is_taken_as_it_is(batch: Batch) -> None:
    value: dict[str, Any] = {"id": "a", "list": [1]}
    batch.write(NOTES, "a", write(Content(value=value)))
    seen: list[Any] = []
    batch.write(NOTES, "a", lambda current: seen.append(current and current.known()))
    assert seen[0].value is value


@pytest.mark.parametrize("known", [True, False])
def test_a_write_replaces_the_files_of_a_value_and_leaves_all_others(batch: Batch, known: bool) -> None:
    sheets = {str(number): {"n": number} for number in range(3)}
    attachments = {"executions/1": b"output", "mine.txt": b"mine"}
    batch.write(NOTES, "a", write({"id": "a", "sheets": sheets}, attachments=attachments))
    if not known:
        batch.reader.contents.clear()
    sheets.pop("1")
    revision = batch.write(NOTES, "a", write({"id": "a", "sheets": sheets}))
    assert revision is not None
    files = files_of(batch.reader.source, revision.id)
    assert sorted(path for path in files if path.startswith("notes/")) == [
        "notes/a/executions/1",
        "notes/a/job.json",
        "notes/a/mine.txt",
        "notes/a/sheets/0000.json",
        "notes/a/sheets/0002.json",
    ]
    attached = batch.write(NOTES, "a", write(None, attachments={"executions/1": None, "executions/2": b"more"}))
    assert attached is not None
    now = files_of(batch.reader.source, attached.id)
    assert now.items() ^ files.items() == {("notes/a/executions/1", b"output"), ("notes/a/executions/2", b"more")}


def test_a_deletion_leaves_what_is_not_ours_and_no_empty_folder(batch: Batch) -> None:
    for name in ("a", "b"):
        batch.write(NOTES, name, write({"id": name, "sheets": {"1": {}}}, attachments={"executions/1": b"output"}))
    batch.write(NOTES, "a", write(None, attachments={"mine.txt": b"mine"}))
    for name in ("a", "b", "never"):
        last = batch.write(NOTES, name, write(None, "gone", delete=True))
    assert last is not None
    assert sorted(files_of(batch.reader.source, last.id)) == ["README", FORMAT_FILE, "notes/a/mine.txt"]
    assert trees.find(batch.reader.source, graph.root(batch.reader.source, last.id), "notes/b") is None
    assert shown(batch) is None
    assert trees.EMPTY not in [item.id for item in batch.objects], "no tree is made that nothing holds"


def test_where_a_file_of_somebody_has_the_name_of_the_folder_it_is_no_document(batch: Batch, engine: Engine) -> None:
    def replaced(reader: Reader, root: ObjectId) -> tuple[ObjectId, list[GitObject], Message]:
        edited = trees.edit(reader.source, root, {"notes/a": b"a file"})
        return edited.id, edited.objects, Message("a file")

    batch.write_root(replaced)
    seen: list[object] = []
    batch.write(NOTES, "a", lambda current: seen.append(current))
    assert seen == [None]


@pytest.mark.parametrize(
    ("error", "moved", "told"),
    [
        (None, True, ["published", "published"]),
        (StorageError("no sync"), True, ["published", "published"]),
        (StorageError("no room"), False, ["withdrawn", "withdrawn"]),
        (KeyboardInterrupt(), True, ["withdrawn", "withdrawn"]),
    ],
)
def test_observers_learn_what_became_of_their_drafts(
    engine: Engine, batch: Batch, error: BaseException | None, moved: bool, told: list[str]
) -> None:
    heard: list[Any] = []
    revisions = [
        batch.write(NOTES, name, write({"id": name}, observer=Observer(name, heard))) for name in ("one", "two")
    ]
    assert [(name, revision) for name, _, revision in heard] == [
        (name, each and each.id) for name, each in zip(("one", "two"), revisions, strict=True)
    ]
    assert len({value_id for _, value_id, _ in heard}) == 2
    heard.clear()
    if moved:
        engine.after = error
    else:
        engine.before = error
    if error is None:
        batch.publish()
    else:
        with pytest.raises(type(error)):
            batch.publish()
    # What is taken back is taken back from the last one on: each goes back to what was before it.
    names = ["one", "two"] if told[0] == "published" else ["two", "one"]
    assert heard == list(zip(names, told, strict=True))


def test_where_nobody_can_say_where_the_branch_stands_nothing_counts_as_published(
    engine: Engine, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    batch.write(NOTES, "a", write({"id": "a"}, observer=Observer("a", heard)))

    def unreadable() -> ObjectId | None:
        raise StorageError("no branch to be read")

    engine.after = StorageError("no sync")
    monkeypatch.setattr(engine, "head", unreadable)
    monkeypatch.setattr(MemoryEngine, "publish", lambda *_, **__: None)
    with pytest.raises(StorageError, match="no sync"):
        batch.publish()
    assert heard[1:] == [("a", "withdrawn")]


def test_a_draft_without_a_value_has_no_observer_to_tell(batch: Batch) -> None:
    heard: list[Any] = []
    batch.write(NOTES, "a", write(None, attachments={"executions/1": b"1"}, observer=Observer("a", heard)))
    batch.publish()
    assert heard == []


def test_a_merge_follows_both_histories_and_one_that_goes_on_is_taken_as_it_is(engine: Engine, batch: Batch) -> None:
    base = engine.head()
    theirs = Batch(engine, Reader(engine), base)
    their_revision = theirs.write(NOTES, "b", write({"id": "b"}, "theirs"))
    assert their_revision is not None
    engine._objects.update((item.id, item) for item in theirs.objects)
    tree = graph.root(engine, their_revision.id)

    onward = Batch(engine, Reader(engine), base)
    asked: list[object] = []

    def forward(reader: Reader, tip: ObjectId) -> Onward:
        asked.extend([reader, tip])
        return Onward(their_revision.id, "fast-forward")

    taken = onward.write_merge(forward)
    assert (taken, onward.tip, asked) == (their_revision, their_revision.id, [onward.reader, base])
    assert list(onward.objects) == []

    ours = batch.write(NOTES, "a", write({"id": "a"}, "ours"))
    assert ours is not None
    merged = batch.write_merge(lambda reader, tip: Joined(tree, [], Message("merge"), their_revision.id))
    assert merged is not None
    assert (merged.parents, merged.message) == ((ours.id, their_revision.id), Message("merge"))
    assert graph.root(batch.reader.source, merged.id) == tree
    batch.publish()
    assert engine.published[-1] == (base, merged.id, "merge (and 1 more)")

    later = Batch(engine, Reader(engine), merged.id)
    later.advance(their_revision.id, "go on from theirs")
    later.publish()
    assert engine.published[-1] == (merged.id, their_revision.id, "go on from theirs")


def test_what_no_fetch_would_take_is_refused_and_leaves_the_batch_as_it_was(batch: Batch) -> None:
    tip, deep, long = batch.tip, b"[" * (DEFAULT.nesting + 1), "x" * (DEFAULT.commit_bytes + 1)
    path = "x" * (DEFAULT.path_bytes + 1)

    def rooted(files: dict[str, bytes]) -> Any:
        def edit(reader: Reader, root: ObjectId) -> tuple[ObjectId, list[GitObject], Message]:
            edited = trees.edit(reader.source, root, files)
            return edited.id, edited.objects, Message("files")

        return edit

    for attachments in ({"executions/deep.json": deep}, {path: b"long"}):
        with pytest.raises(TooLargeError, match="of 'a' cannot be synced"):
            batch.write(NOTES, "a", write({"id": "a"}, attachments=attachments))
    with pytest.raises(TooLargeError, match="of 'a' cannot be synced"):
        batch.write(NOTES, "a", lambda _: Draft(Message("write", long), value={"id": "a"}))
    with pytest.raises(TooLargeError, match=r"^the message of the commit cannot be synced"):
        batch.commit(trees.EMPTY, [], Message("write", long))
    with pytest.raises(TooLargeError, match="control character"):
        batch.write_root(rooted({"a\nb": b""}), given=True)
    assert (batch.tip, list(batch.objects)) == (tip, [])

    assert batch.write(NOTES, "a", write({"id": "a"}, attachments={"executions/" + "x" * 300: deep})) is not None
    assert batch.write_root(rooted({"a\nb": b""})) is not None, "our own names are safe"
    with pytest.raises(TooLargeError, match="levels deep"):
        batch.write_root(rooted({"notes/a/deep.json": deep}), given=True)
    assert batch.write_root(rooted({"others/deep.json": deep}), given=True) is not None, "among no documents"
    batch.publish()
    known = Batch(batch._engine, batch.reader, batch.tip, tops=["others"])
    with pytest.raises(TooLargeError, match="levels deep"):
        known.write_root(rooted({"others/deeper.json": deep + b"["}), given=True)


def test_what_a_merge_makes_too_large_is_refused(engine: Engine, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "DEFAULT", DEFAULT._replace(object_bytes=2000, document_bytes=2000))
    tip = batch.tip
    made = trees.edit(engine, graph.root(engine, tip), {"large": b"x" * 2001})
    with pytest.raises(TooLargeError, match="large cannot be synced"):
        batch.write_merge(lambda reader, tip: Joined(made.id, made.objects, Message("merge"), tip))
    assert (batch.tip, list(batch.objects)) == (tip, [])
    odd = trees.edit(engine, graph.root(engine, tip), {"a\nb": b"what came was judged before"})
    assert batch.write_merge(lambda reader, tip: Joined(odd.id, odd.objects, Message("merge"), tip)) is not None
