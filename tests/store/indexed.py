"""Stores of notes, and whether what an index says of them is what a walk finds."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gitstate.engine.base import NotAtHandError
from gitstate.store import history
from gitstate.store.documents import Collection, Revision
from gitstate.store.index import line, revisions, rows
from gitstate.store.reader import Reader
from gitstate.store.store import Store
from gitstate.store.trails import Life, Trail
from tests.store.test_naming import put
from tests.stores import NOTES

__all__ = ["DOCUMENTS", "agree", "fill", "soon_in_bulk", "spans", "stand", "store", "walked"]

DOCUMENTS = ("a", "b/c", "x" * 200)


# Fixtures of the modules that name them: ``store = indexed.store``.


@pytest.fixture(autouse=True)
def soon_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do with few commits what is done with many."""
    monkeypatch.setattr(line, "_ONE_BY_ONE", 5)
    monkeypatch.setattr(revisions, "_PAGE", 4)
    monkeypatch.setattr(rows, "_AT_ONCE", 7)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


# What the index and a walk say


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


def fill(store: Store, count: int = 12) -> None:
    for number in range(count):
        put(store, None, DOCUMENTS[number % 3], number)
        if number % 4 == 1:
            put(store, None, DOCUMENTS[number % 3], number, "execution")
