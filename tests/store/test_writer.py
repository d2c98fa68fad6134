"""The writer by itself, on an engine in memory: what is published together, and who is told of it in which order."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from gitstate.engine import trees
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import GitObject, ObjectId
from gitstate.errors import BusyError, ClosedError, ConflictError, StaleError, TooLargeError
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store.batch import Batch, RootEdit
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.store.reader import Reader
from gitstate.store.reconcile import Reconciler
from gitstate.store.writer import Writer
from tests.stores import NOTES


class Engine(MemoryEngine):
    """Notes what is published; before that, others move the branch as often as they are asked to."""

    def __init__(self) -> None:
        super().__init__(lock_timeout=0.2)
        self.notes: list[str] = []
        self.moves = 0

    def publish(self, objects: Sequence[GitObject], *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        if self.moves:
            self.moves -= 1
            raise StaleError("somebody moved the branch", hint="")
        super().publish(objects, expected=expected, new=new, note=note)
        self.notes.append(note)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def writer(engine: Engine) -> Writer:
    made = Writer(engine, Reader(engine), [])
    made.create(FormatVersion())
    engine.notes.clear()
    return made


def write(document: str, subject: str = "write") -> Edit:
    return lambda _: Draft(Message(subject), value={"id": document})


def fail(error: Exception) -> Edit:
    def edit(_: Snapshot | None) -> Draft:
        raise error

    return edit


def subjects(engine: Engine) -> list[str]:
    """Return those of the commits, the newest first."""
    found, commit_id = [], engine.head()
    while commit_id is not None:
        read = engine.read(commit_id, "commit").decode()
        found.append(read.partition("\n\n")[2].splitlines()[0])
        commit_id = next((line[7:] for line in read.splitlines() if line.startswith("parent ")), None)
    return found


@contextmanager
def held(writer: Writer) -> Iterator[None]:
    """Let the writer be at work as long as the block runs, so that what is submitted meanwhile waits together."""
    begun, go_on = threading.Event(), threading.Event()

    def edit(_: Snapshot | None) -> None:
        begun.set()
        assert go_on.wait(20)

    first = writer.submit(NOTES, "held", edit)
    assert begun.wait(20)
    try:
        yield
    finally:
        go_on.set()
    assert first.result(20) is None


def test_the_first_commit_is_made_once(engine: Engine) -> None:
    writer = Writer(engine, Reader(engine), [])
    first = writer.create(FormatVersion())
    assert first is not None
    assert (first.parents, first.message, first.id) == ((), Message("a new store"), engine.head())
    assert Reader(engine).format(Reader(engine).root(first.id)) == FormatVersion()
    assert writer.create(FormatVersion()) is None
    assert engine.notes == ["a new store"]


def test_what_waits_is_published_together_but_no_more_than_64(engine: Engine, writer: Writer) -> None:
    with held(writer):
        writes = [writer.submit(NOTES, f"d{number}", write(f"d{number}", f"w{number}")) for number in range(66)]
    revisions = [each.result(20) for each in writes]
    assert engine.notes == ["w63 (and 63 more)", "w65 (and 1 more)"]
    assert writer.submit(NOTES, "last", write("last", "alone")).result(20) is not None
    assert engine.notes[2:] == ["alone"]
    assert subjects(engine) == ["alone", *(f"w{number}" for number in reversed(range(66))), "a new store"]
    assert len({each.id for each in revisions if each is not None}) == 66


def test_nothing_is_published_where_there_is_nothing_to_write(engine: Engine, writer: Writer) -> None:
    head = engine.head()
    assert writer.submit(NOTES, "a", lambda _: None).result(20) is None
    assert writer.submit_root(lambda reader, root: None).result(20) is None
    assert writer.submit_merge(lambda reader, tip: None).result(20) is None
    assert (engine.head(), engine.notes) == (head, [])


def test_writes_are_made_anew_when_the_branch_moves_and_given_up_in_the_end(engine: Engine, writer: Writer) -> None:
    seen: list[object] = []

    def edit(current: Snapshot | None) -> Draft:
        seen.append(current)
        return Draft(Message("write"), value={"id": "a"})

    engine.moves = 19
    assert writer.submit(NOTES, "a", edit).result(20) is not None
    assert seen == [None] * 20
    engine.moves = 20
    with pytest.raises(StaleError, match="somebody moved the branch"):
        writer.submit(NOTES, "b", write("b")).result(20)
    assert engine.moves == 0
    assert writer.submit(NOTES, "c", write("c")).result(20) is not None


def test_a_conflict_is_kept_aside_before_its_caller_is_told_and_others_do_not_wait_for_that(writer: Writer) -> None:
    conflict, told = ConflictError("two edits"), list[object]()
    writer.answered.append(lambda: told.append("answered"))
    writer._published = [lambda: told.append("published")]

    def keep_aside(error: ConflictError) -> None:
        told.append((error, good.done(), other.done(), bad.done()))

    with held(writer):
        bad = writer.submit(NOTES, "a", fail(conflict), keep_aside)
        other = writer.submit(NOTES, "a", fail(KeyError("mine")), keep_aside)  # no conflict: nothing to keep
        good = writer.submit(NOTES, "b", write("b"))
        plain = writer.submit(NOTES, "a", fail(conflict))
    assert bad.exception(20) is conflict
    assert isinstance(other.exception(20), KeyError)
    assert plain.exception(20) is conflict
    writer.drain()
    assert told[-4:] == ["answered", "published", (conflict, True, True, False), "answered"]
    assert len(told) == 6  # with those of what held the writer up


def test_what_goes_wrong_with_keeping_aside_is_told_and_does_not_hide_the_conflict(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    def cannot(error: ConflictError) -> None:
        raise OSError("the disk is full")

    def fails() -> None:
        raise RuntimeError("no thread")

    conflict = ConflictError("two edits")
    assert writer.submit(NOTES, "a", fail(conflict), cannot).exception(20) is conflict
    assert "what was refused could not be kept aside" in caplog.messages
    writer._published = [fails]
    assert writer.submit(NOTES, "b", write("b")).result(20) is not None
    writer.drain()
    assert "something that follows a write could not be done" in caplog.messages
    assert writer.submit(NOTES, "a", write("a")).result(20) is not None


def test_what_is_cancelled_before_its_turn_writes_nothing(engine: Engine, writer: Writer) -> None:
    with held(writer):
        kept, gone = (writer.submit(NOTES, name, write(name, name)) for name in ("kept", "gone"))
        assert gone.cancel()
    writer.drain()
    assert kept.done()
    assert subjects(engine) == ["kept", "a new store"]
    with held(writer):
        assert writer.submit(NOTES, "alone", write("alone")).cancel()
    writer.drain()
    assert engine.notes == ["kept"]


def test_the_stamp_is_asked_for_each_batch_without_the_lock_and_follows_what_is_redacted(
    engine: Engine, writer: Writer
) -> None:
    asked: list[int] = []

    def stamp() -> Sequence[tuple[str, str]]:
        with engine.lock():
            asked.append(len(asked))
        return [("Stamped", str(len(asked)))]

    writer.stamp, writer.redact = stamp, lambda message: replace(message, subject=message.subject.upper())
    own = (("Own", "1"),)
    made = [
        writer.submit(NOTES, "a", lambda _: Draft(Message("write", trailers=own), value={"id": "a"})).result(20)
        for _ in range(2)
    ]
    assert [each and each.message for each in made] == [
        Message("WRITE", trailers=(*own, ("Stamped", str(number)))) for number in (1, 2)
    ]
    assert engine.notes == ["WRITE", "WRITE"]


def test_what_fails_before_the_writes_run_is_told_to_all_of_them(engine: Engine, writer: Writer) -> None:
    with held(writer):
        writer.stamp = lambda: dict[str, Any]()["none"]
        writes = [writer.submit(NOTES, name, write(name)) for name in "ab"]
    assert all(isinstance(each.exception(20), KeyError) for each in writes)
    writer.stamp = tuple
    with engine.lock():
        assert isinstance(writer.submit(NOTES, "a", write("a")).exception(20), BusyError)
    assert writer.submit(NOTES, "a", write("a")).result(20) is not None


def test_to_drain_is_to_wait_for_the_last_write(writer: Writer) -> None:
    draining, go_on = threading.Thread(target=writer.drain), threading.Event()
    with held(writer):
        last = writer.submit(NOTES, "a", lambda _: assert_set(go_on))
        draining.start()
        draining.join(0.05)
        assert draining.is_alive()
    draining.join(0.05)
    assert draining.is_alive()
    go_on.set()
    draining.join(20)
    assert last.done()
    writer.drain()


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)


def test_files_that_somebody_gave_are_looked_at_and_our_own_are_not(writer: Writer) -> None:
    def edit(path: str, content: bytes) -> RootEdit:
        def edited(reader: Reader, root: ObjectId) -> tuple[ObjectId, list[GitObject], Message]:
            made = trees.edit(reader.source, root, {path: content})
            return made.id, made.objects, Message("files")

        return edited

    assert isinstance(writer.submit_root(edit("a\nb", b""), given=True).exception(20), TooLargeError)
    assert writer.submit_root(edit("a\nb", b"")).result(20) is not None
    deep = edit("others/deep.json", b"[" * 1001)
    among_documents = Writer(writer._engine, writer._reader, [], tops=lambda: ["others"])
    assert isinstance(among_documents.submit_root(deep, given=True).exception(20), TooLargeError)
    assert writer.submit_root(deep, given=True).result(20) is not None


def test_a_writer_that_is_closed_ends_its_work_and_its_thread(engine: Engine, writer: Writer) -> None:
    with held(writer):
        waiting = writer.submit(NOTES, "a", write("a"))
        thread = next(
            each for each in threading.enumerate() if each.name == "gitstate-writer" and each is writer._thread
        )
        assert thread.daemon, "it keeps no program from ending"
        closing = threading.Thread(target=writer.close)
        closing.start()
        while not writer._closed:
            pass
        with pytest.raises(ClosedError, match="the store is closed") as caught:
            writer.submit(NOTES, "b", write("b"))
        assert caught.value.hint == "open the store again"
        assert closing.is_alive()
    closing.join(20)
    assert waiting.done()
    assert not thread.is_alive()
    writer.close()
    writer.drain()
    assert engine.notes == ["write"]


def test_a_writer_that_never_wrote_is_closed_and_one_may_be_closed_by_its_own_write(writer: Writer) -> None:
    Writer(writer._engine, writer._reader, []).close()

    def edit(_: Snapshot | None) -> Draft:
        writer.close()
        return Draft(Message("write"), value={"id": "a"})

    assert writer.submit(NOTES, "a", edit).result(20) is not None


def test_what_waits_in_a_fork_is_left_to_the_parent(engine: Engine, writer: Writer) -> None:
    copy = Writer(engine, writer._reader, [])
    copy._queue.append(cast("Any", None))
    copy._submitted, copy._thread = 3, threading.Thread()
    copy.abandon("this is a fork")
    copy.drain()
    copy.close()
    with pytest.raises(ClosedError, match="this is a fork"):
        copy.submit(NOTES, "a", write("a"))
    assert not copy._queue


class Follower:
    """Follows what others commit with a commit of its own."""

    def __init__(self) -> None:
        self.due = True
        self.asked = 0
        self.tips: list[ObjectId] = []

    def is_due(self) -> bool:
        self.asked += 1
        return self.due

    def bring_back(self, batch: Batch) -> None:
        self.tips.append(batch.tip)
        if self.due:
            batch.write(NOTES, "back", write("back", "bring back"))


def test_what_others_committed_is_followed_once(engine: Engine, writer: Writer) -> None:
    follower = Follower()
    ours = Writer(engine, Reader(engine), [], cast("Reconciler", follower))
    first = engine.head()
    assert ours.is_behind()
    ours.follow()
    assert (follower.tips, engine.notes) == ([first], ["bring back"])
    asked = follower.asked
    assert not ours.is_behind()
    ours.follow()
    assert (follower.tips, follower.asked) == ([first], asked), "where the branch stands as we left it nobody is asked"

    theirs = writer.submit(NOTES, "theirs", write("theirs", "theirs")).result(20)
    assert theirs is not None
    follower.due = False
    assert not ours.is_behind()
    with engine.lock():
        ours.follow()  # it needs no lock where nothing is due
    assert follower.tips == [first]
    assert ours.submit(NOTES, "a", write("a", "a")).result(20) is not None
    assert ours.submit(NOTES, "b", write("b", "b")).result(20) is not None
    assert follower.tips == [first, theirs.id], "a write looks for itself, if others wrote"
    assert subjects(engine) == ["b", "a", "theirs", "bring back", "a new store"]
    assert not writer.is_behind(), "where nobody else commits"
    writer.follow()


def test_whose_work_fails_leaves_what_is_due(engine: Engine) -> None:
    follower = Follower()
    ours = Writer(engine, Reader(engine), [], cast("Reconciler", follower))
    ours.create(FormatVersion())
    engine.moves = 20
    with pytest.raises(StaleError):
        ours.follow()
    assert ours.is_behind()
    ours.follow()
    assert not ours.is_behind()
