"""The store's own promises, on documents of a collection that is not jobs."""

import gc
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gitstate import errors
from gitstate.format.message import Message
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.store.store import Store
from tests.stores import NOTES


def write(value: dict[str, Any], note: str = "write") -> Edit:
    def edit(_: Snapshot | None) -> Draft:
        return Draft(Message(note, trailers=(("Gitstate-Note", value["id"]),)), value=value)

    return edit


def value_of(store: Store, document: str, at: str | None = None) -> dict[str, Any] | None:
    snapshot = store.load(NOTES, document, at)
    return None if snapshot is None else snapshot.value()


def test_a_document_is_loaded_at_the_head_and_at_any_revision(store: Store) -> None:
    first = store.submit(NOTES, "a", write({"id": "a", "n": 1})).result()
    second = store.submit(NOTES, "a", write({"id": "a", "n": 2})).result()
    assert first is not None
    assert second is not None
    assert value_of(store, "a") == {"id": "a", "n": 2}
    assert value_of(store, "a", first.id) == {"id": "a", "n": 1}
    assert value_of(store, "a", first.id[:8]) == {"id": "a", "n": 1}
    assert value_of(store, "b") is None
    assert [revision.id for revision in store.history(NOTES, "a")] == [second.id, first.id]


def test_an_edit_sees_what_the_edit_before_it_wrote(store: Store) -> None:
    def count(current: Snapshot | None) -> Draft:
        number = 0 if current is None else current.value()["n"]
        assert isinstance(number, int)
        return Draft(Message("count"), value={"id": "a", "n": number + 1})

    def many() -> None:
        for future in [store.submit(NOTES, "a", count) for _ in range(10)]:
            future.result()

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value_of(store, "a") == {"id": "a", "n": 40}


def test_an_edit_that_fails_fails_alone_and_writes_nothing(store: Store) -> None:
    def fail(_: Snapshot | None) -> Draft:
        raise KeyError("mine")

    before = store.head()
    good = store.submit(NOTES, "a", write({"id": "a"}))
    bad = store.submit(NOTES, "a", fail)
    nan = store.submit(NOTES, "a", write({"id": "a", "n": float("nan")}))
    nothing = store.submit(NOTES, "a", lambda _: None)
    also_good = store.submit(NOTES, "b", write({"id": "b"}))
    with pytest.raises(KeyError, match="mine"):
        bad.result()
    with pytest.raises(errors.UnstorableError, match="/n"):
        nan.result()
    assert nothing.result() is None
    last, first = also_good.result(), good.result()
    assert last is not None
    assert first is not None
    assert last.parents == (first.id,)
    assert first.parents == (before,)


def test_a_deleted_document_keeps_its_history(store: Store) -> None:
    store.submit(NOTES, "a", write({"id": "a"})).result()
    store.submit(NOTES, "a", lambda _: Draft(Message("gone"), delete=True)).result()
    assert value_of(store, "a") is None
    assert list(store.documents(NOTES)) == []
    store.submit(NOTES, "a", write({"id": "a", "again": True}, "again")).result()
    assert [revision.message.subject for revision in store.history(NOTES, "a")] == ["again", "gone", "write"]


def test_a_commit_without_a_change_counts_for_the_document_that_it_names(store: Store) -> None:
    for document in ("a", "b"):
        store.submit(NOTES, document, write({"id": document})).result()
    empty = Draft(Message("nothing new", trailers=(("Gitstate-Note", "a"),)))
    store.submit(NOTES, "a", lambda _: empty).result()
    assert [revision.message.subject for revision in store.history(NOTES, "a")] == ["nothing new", "write"]
    assert [revision.message.subject for revision in store.history(NOTES, "b")] == ["write"]


def test_documents_lists_every_id_however_odd(store: Store) -> None:
    ids = {"a/b", "a:b", "a_b", "A_B", ".", "..", ".git", "CON", "x" * 300, "x" * 301, "a\nb", "\x00", "\ud800", "ü"}
    for document in ids:
        store.submit(NOTES, document, write({"id": document})).result()
    assert {snapshot.document for snapshot in store.documents(NOTES)} == ids
    for document in ids:
        assert value_of(store, document) == {"id": document}


def test_names_that_are_no_revision_are_refused(store: Store) -> None:
    store.submit(NOTES, "a", write({"id": "a"})).result()
    for name in ("0123456789", "main", "--all", "abc", "f" * 41):
        with pytest.raises(errors.RevisionNotFoundError, match=name):
            store.load(NOTES, "a", name)


def test_what_is_loaded_is_the_callers_own(store: Store) -> None:
    store.submit(NOTES, "a", write({"id": "a", "list": [1]})).result()
    mine = value_of(store, "a")
    assert mine is not None
    mine["list"].append(2)
    assert value_of(store, "a") == {"id": "a", "list": [1]}


def test_closing_twice_is_fine_and_a_call_after_it_is_an_error(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(errors.ClosedError):
        store.load(NOTES, "a")
    with pytest.raises(errors.ClosedError):
        store.submit(NOTES, "a", write({"id": "a"}))


def test_flush_waits_for_what_was_submitted_and_not_for_what_comes_later(store: Store) -> None:
    stop = threading.Event()

    def go_on(number: int) -> None:
        while not stop.is_set():
            store.submit(NOTES, f"d{number}", write({"id": f"d{number}"})).result()

    others = [threading.Thread(target=go_on, args=(number,)) for number in range(80)]  # more than one batch takes
    for other in others:
        other.start()
    try:
        waiting = threading.Thread(target=store.flush, daemon=True)
        waiting.start()
        waiting.join(20)
        assert not waiting.is_alive()
    finally:
        stop.set()
        for other in others:
            other.join()


@pytest.mark.parametrize("name", ["gitstate-writer", "gitstate-background"])
def test_a_thread_that_the_system_refuses_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Store.open(tmp_path / "store").close()
    refused: list[str] = []

    def start(thread: threading.Thread, real: Any = threading.Thread.start) -> None:
        if thread.name == name and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        real(thread)

    with Store.open(tmp_path / "store") as store:
        monkeypatch.setattr(threading.Thread, "start", start)
        if name == "gitstate-writer":
            with pytest.raises(RuntimeError, match="start new thread"):
                store.submit(NOTES, "a", write({"id": "a", "n": 0}))
        for number in (1, 2):
            assert store.submit(NOTES, "a", write({"id": "a", "n": number})).result(10) is not None
        assert refused
        assert len(list(store.history(NOTES, "a"))) == 2
        assert name in {thread.name for thread in threading.enumerate()}


def test_who_is_told_of_writes_and_fails_ends_no_writer(store: Store) -> None:
    def fail() -> None:
        raise MemoryError("told")

    store.when_answered(fail)
    for number in (1, 2):
        assert store.submit(NOTES, "a", write({"id": "a", "n": number})).result(10) is not None


def test_our_private_folder_may_go_while_a_store_is_open(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.submit(NOTES, "a", write({"id": "a", "n": 0})).result()
        shutil.rmtree(tmp_path / "store/.git/gitstate")
        for number in (1, 2):
            store.submit(NOTES, "a", write({"id": "a", "n": number})).result()
        assert value_of(store, "a") == {"id": "a", "n": 2}


def test_a_second_close_waits_for_the_first(store: Store) -> None:
    writes = [store.submit(NOTES, f"d{number}", write({"id": f"d{number}"})) for number in range(200)]
    first = threading.Thread(target=store.close)
    first.start()
    while not store._closed:
        pass
    store.close()
    assert all(each.done() for each in writes)
    first.join()


def test_a_store_that_is_collected_in_the_middle_of_its_own_write_finishes_it(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    forgotten = threading.Event()

    def edit(_: Snapshot | None) -> Draft:
        assert forgotten.wait(10)
        gc.collect()
        return Draft(Message("write"), value={"id": "a"})

    store = Store.open(tmp_path / "store")
    done = store.submit(NOTES, "a", edit)
    circle: list[Any] = [store]
    circle.append(circle)
    del store, circle
    forgotten.set()
    assert done.result(10) is not None
    for _ in range(500):
        if len(os.listdir("/dev/fd")) == before:
            break
        time.sleep(0.01)
    assert len(os.listdir("/dev/fd")) == before
