"""What is remembered of values from one process to the next changes no answer, whatever becomes of its file."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import trees
from gitstate.engine.memory import MemoryEngine
from gitstate.errors import StateCorruptionError
from gitstate.format import quick
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store import exactness
from gitstate.store.batch import Batch
from gitstate.store.content import ContentCache
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.exactness import Exactness
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.store import Store
from gitstate.values import canonical
from gitstate.values.canonical import Value
from tests.git import git
from tests.stores import NOTES, leave_damaged
from tests.values.strategies import VALUES

FILE = ".git/gitstate/exact"
ENTRIES = st.one_of(
    VALUES.map(canonical.dumps),
    VALUES.map(
        lambda value: json.dumps(value).encode()
    ),  # lone surrogates are escaped, and so is all that is not ASCII
    st.sampled_from(
        [
            b'{"a": 1, "a": 2}',
            b'{"a": {"b": 1, "\\u0062": 1}}',
            b'{"a": "\\ud800", "b": 1, "b": 1}',
            b'"\\udc00\\ud800"',
            b"[1e999]",
            b"-1e999",
            b"1" * 4301,
            b"[" * 129 + b"]" * 129,
            b"[" * 128 + b"]" * 128,
            b"NaN",
            b"1, 2",
            b"",
            b'"\xff"',
        ]
    ),
)


@pytest.fixture
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is noted be worth a file, however little it is."""
    monkeypatch.setattr(exactness, "_WORTH", 1)
    monkeypatch.setattr(exactness, "_WORTH_EACH", 0)
    monkeypatch.setattr(exactness, "_SMALL", 0)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each value whose files are looked at, how many these are."""
    looks: list[int] = []
    look = quick.are_values

    def looking(texts: Sequence[bytes]) -> bool:
        looks.append(len(texts))
        return look(texts)

    monkeypatch.setattr(quick, "are_values", looking)
    return looks


# What is remembered


def ids(*numbers: int) -> Iterator[tuple[str, str, str]]:
    yield from (("notes", f"n{number}", f"100644:{number:040x} 40000:{number:040x}") for number in numbers)


def noting(folder: Path | None, *numbers: int, size: int = 1) -> Exactness:
    known = Exactness(folder)
    for each in ids(*numbers):
        known.note(*each, size)
    return known


def known_of(known: Exactness, *numbers: int) -> set[int]:
    return {number for number, each in zip(numbers, ids(*numbers), strict=True) if known.knows(*each)}


@pytest.mark.usefixtures("_of_any_size")
def test_what_one_process_noted_the_next_ones_know(tmp_path: Path) -> None:
    first = noting(tmp_path, 1, 2)
    assert known_of(first, 1, 2, 3) == {1, 2}
    first.write()
    second = noting(tmp_path, 2, 3)
    assert known_of(second, 1, 2, 3, 4) == {1, 2, 3}
    second.write()
    assert known_of(Exactness(tmp_path), *range(100)) == {1, 2, 3}
    assert not Exactness(tmp_path).knows("others", *next(ids(1))[1:])


@pytest.mark.usefixtures("_of_any_size")
def test_what_two_processes_noted_is_in_the_file_if_they_began_with_the_same(tmp_path: Path) -> None:
    noting(tmp_path, 0).write()
    both = [noting(tmp_path, 1), noting(tmp_path, 2)]
    for each in both:
        each.write()
    assert known_of(Exactness(tmp_path), *range(4)) == {0, 1, 2}
    (tmp_path / "exact").unlink()
    for each in (noting(tmp_path, 1), noting(tmp_path, 2)):
        each.write()
    assert known_of(Exactness(tmp_path), *range(4)) == {1}


def test_a_file_is_written_only_if_it_spares_more_than_that_takes(tmp_path: Path) -> None:
    known = noting(tmp_path, *range(9), size=4000)
    assert known_of(known, *range(9)) == set()  # to ask takes as long
    known = noting(tmp_path, 1, size=5000)
    known.write()
    assert not list(tmp_path.iterdir())
    known.note(*next(ids(2)), 1 << 18)
    known.write()
    (tmp_path / "exact").write_bytes((tmp_path / "exact").read_bytes())  # of another time
    before = os.stat(tmp_path / "exact").st_mtime_ns
    again = Exactness(tmp_path)
    for each in ids(1, 2):
        again.note(*each, 1 << 20)  # nothing is new
    again.write()
    again.note(*next(ids(3)), (1 << 18) + 511)  # the file has two, which would be written again
    again.write()
    known.write()
    assert os.stat(tmp_path / "exact").st_mtime_ns == before


@pytest.mark.usefixtures("_of_any_size")
def test_the_folder_is_made_and_whatever_cannot_be_written_is_left(tmp_path: Path) -> None:
    noting(tmp_path / "gitstate", 1).write()
    assert known_of(Exactness(tmp_path / "gitstate"), 1) == {1}
    noting(tmp_path / "not" / "there", 1).write()
    other = tmp_path / "other"
    other.write_text("a person's")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/exact").symlink_to(other)
    noting(tmp_path / "linked", 1).write()
    assert other.read_text() == "a person's"
    (tmp_path / "odd/exact").mkdir(parents=True)
    noting(tmp_path / "odd", 1).write()
    assert known_of(Exactness(tmp_path / "odd"), 1) == set()
    noting(None, 1).write()
    assert known_of(noting(None, 1), 1, 2) == {1}


@pytest.mark.usefixtures("_of_any_size")
def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactness, "_NOTED", 10)
    monkeypatch.setattr(exactness, "_MOST", 30)
    known = noting(tmp_path, *range(100))
    assert known_of(known, *range(100)) == set(range(80, 100))
    for number in range(1000):
        known.note("notes", "n99", f"100644:{number:040x} -", 1)  # one document, many values: it has a single place
    assert known_of(known, *range(100)) == set(range(80, 99))
    known.write()
    assert (tmp_path / "exact").stat().st_size == 16 + 8 * 20
    again = noting(tmp_path, *range(200, 220))
    again.write()
    assert (tmp_path / "exact").stat().st_size == 16 + 8 * 30
    assert known_of(Exactness(tmp_path), *range(200, 220)) == set(range(200, 220))
    assert len(known_of(Exactness(tmp_path), *range(80, 99))) in (9, 10)


@pytest.mark.usefixtures("_of_any_size")
def test_what_is_forgotten_is_written_by_nobody_who_is_open(tmp_path: Path) -> None:
    new, noting_before = noting(tmp_path, 1), tmp_path / "exact"
    Exactness(tmp_path).forget()  # where there is no file yet
    new.write()
    assert known_of(Exactness(tmp_path), 1) == set()
    noting(tmp_path, 2).write()
    several = [noting(tmp_path, 3), noting(tmp_path, 4)]
    several[0].forget()
    assert known_of(several[0], 2, 3) == set()
    for each in several:
        each.write()
    assert noting_before.stat().st_size == 16
    noting(tmp_path, 5).write()
    assert known_of(Exactness(tmp_path), *range(10)) == {5}
    assert sorted(os.listdir(tmp_path)) == ["exact"]


def test_a_purge_whose_disk_is_full_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not/there"):
        Exactness(tmp_path / "not/there").forget()


@pytest.mark.usefixtures("_of_any_size")
@pytest.mark.parametrize("size", [0, 5, 15, 16, 20, 24, 39])
def test_of_a_file_that_is_cut_short_the_rest_is_known_and_it_grows_again(tmp_path: Path, size: int) -> None:
    noting(tmp_path, *range(3)).write()
    os.truncate(tmp_path / "exact", size)
    known = noting(tmp_path, 5)
    assert len(known_of(known, *range(4))) == max(0, size - 16) // 8
    known.write()
    assert 5 in known_of(Exactness(tmp_path), *range(6))


@pytest.mark.usefixtures("_of_any_size")
def test_where_longer_numbers_are_read_than_elsewhere_nothing_is_noted(tmp_path: Path) -> None:
    noting(tmp_path, 1).write()
    usual = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        assert known_of(noting(tmp_path, 2), 1, 2) == set()
        known = noting(tmp_path, 3)
    finally:
        sys.set_int_max_str_digits(usual)
    assert known_of(known, 1, 2, 3) == {1}


# Answers are the same


def _engine() -> MemoryEngine:
    engine = MemoryEngine()
    batch = Batch(engine, Reader(engine), None)
    first = trees.edit(engine, None, {FORMAT_FILE: FormatVersion().to_bytes()})
    batch.commit(first.id, first.objects, Message("a new store"))
    batch.publish()
    return engine


def by_hand(document: str, sheets: dict[str, bytes]) -> dict[str, bytes]:
    root: dict[str, Value] = (
        {"id": document, "sheets": NOTES.layout.listing(list(sheets))} if sheets else {"id": document}
    )
    return {NOTES.layout.root: canonical.dumps(root)} | {
        NOTES.layout.path_of(("sheets", key)): data for key, data in sheets.items()
    }


def answer(snapshot: Snapshot, *, as_text: bool) -> tuple[str, str]:
    """Return what a document holds, in a form that tells all values apart; or what is wrong with it."""
    try:
        return "", json.dumps(json.loads(snapshot.text()) if as_text else snapshot.value())
    except StateCorruptionError as error:
        return error.message, ""


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "kept": lambda data: data,
    "gone": lambda _: b"",
    "cut short": lambda data: data[: len(data) * 2 // 3],
    "garbage": lambda data: bytes(reversed(data)),
    "garbage with its key": lambda data: data[:16] + data[40:] + data[3:],
}


@settings(max_examples=150)
@given(
    st.lists(st.dictionaries(st.sampled_from("123"), ENTRIES, max_size=3), min_size=1, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(["1", "2", "é\ud800"]), VALUES, max_size=3), max_size=3),
    st.lists(
        st.tuples(st.sampled_from(sorted(GARBAGE)), st.permutations(range(7)), st.lists(st.booleans(), min_size=7)),
        min_size=2,
        max_size=4,
    ),
)
@pytest.mark.usefixtures("_of_any_size")
def test_answers_are_those_of_who_remembers_nothing(
    hand_made: list[dict[str, bytes]],
    written: list[dict[str, Value]],
    turns: list[tuple[str, list[int], list[bool]]],
) -> None:
    engine = _engine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known = Exactness(folder)
        batch = Batch(engine, Reader(engine, ContentCache(exactness=known)), engine.head())
        documents = []
        for number, sheets in enumerate(hand_made):
            documents.append(f"hand{number}")
            drafted = Draft(Message("by hand"), attachments=dict(by_hand(documents[-1], sheets)))
            batch.write(NOTES, documents[-1], lambda _, draft=drafted: draft)  # type: ignore[misc]
        for number, entries in enumerate(written):
            documents.append(f"own{number}")
            draft = Draft(Message("written"), {"id": documents[-1], "sheets": dict(entries)})
            batch.write(NOTES, documents[-1], lambda _, draft=draft: draft)  # type: ignore[misc]
        batch.publish()
        known.write()
        head = engine.head()
        assert head is not None
        for treatment, order, as_texts in turns:
            for path in folder.iterdir():
                path.write_bytes(GARBAGE[treatment](path.read_bytes()))
            known = Exactness(folder)
            reader = Reader(engine, ContentCache(exactness=known))
            for index, as_text in zip(order, as_texts, strict=False):
                document = documents[index % len(documents)]
                found, plain = reader.snapshot(NOTES, document, head), Reader(engine).snapshot(NOTES, document, head)
                assert found is not None and plain is not None
                told = answer(plain, as_text=False)
                assert answer(found, as_text=as_text) == told == answer(plain, as_text=True)
                if told[0]:
                    assert not known.knows(found.collection.name, found.document, found.value_id)
            known.write()


# In a store


def sheets_of(count: int) -> dict[str, Value]:
    return {str(number): {"text": f"{number} " * 9000} for number in range(count)}


def test_a_store_that_was_closed_is_not_looked_at_again(tmp_path: Path, looked_at: list[int]) -> None:
    with Store.open(tmp_path / "store") as store:
        for name in ("a", "b\ud800"):
            value: dict[str, Value] = {"id": name, "note": name, "sheets": sheets_of(20)}
            store.submit(NOTES, name, lambda _, value=value: Draft(Message("new"), value)).result()  # type: ignore[misc]
    for _ in range(2):
        with Store.open(tmp_path / "store") as store:
            found = {each.document: json.loads(each.text()) for each in store.documents(NOTES, whole=True)}
    assert looked_at == []
    assert [found["a"], found["b\ud800"]] == [
        {"id": name, "note": name, "sheets": sheets_of(20)} for name in ("a", "b\ud800")
    ]


def test_a_clone_is_looked_at_once(tmp_path: Path, looked_at: list[int]) -> None:
    with Store.open(tmp_path / "store") as store:
        value: dict[str, Value] = {"id": "a", "sheets": sheets_of(20)}
        store.submit(NOTES, "a", lambda _: Draft(Message("new"), value)).result()
    git(tmp_path, "clone", "-q", "store", "clone")
    for _ in range(3):
        with Store.open(tmp_path / "clone") as clone:
            assert [json.loads(each.text()) for each in clone.documents(NOTES, whole=True)] == [value]
    assert looked_at == [20]


@pytest.mark.usefixtures("_of_any_size")
def test_verify_believes_nothing(tmp_path: Path, looked_at: list[int]) -> None:
    leave_damaged(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        value: dict[str, Value] = {"id": "a", "sheets": {"1": {"a": 1}}}
        store.submit(NOTES, "a", lambda _: Draft(Message("new"), value)).result()
    (tmp_path / "store/notes/a/sheets/0001.json").write_text('{"a": 1, "a": 2}')
    git(tmp_path / "store", "commit", "-qam", "by hand")
    with Store.open(tmp_path / "store") as store:
        snapshot = store.load(NOTES, "a")
        assert snapshot is not None
        lying = Exactness(tmp_path / "store/.git/gitstate")
        lying.note("notes", "a", snapshot.value_id, 1)
        lying.write()
    with Store.open(tmp_path / "store") as store:
        snapshot = store.load(NOTES, "a")
        assert snapshot is not None
        assert json.loads(snapshot.text())["sheets"] == {"1": {"a": 2}}
        assert looked_at == []
        assert ["stands there twice" in each.what for each in store.verify(NOTES).problems] == [True]


@pytest.mark.usefixtures("_of_any_size")
@pytest.mark.parametrize("first", ["value", "list", "load"])
def test_a_file_that_is_not_exact_is_refused_each_time(tmp_path: Path, first: str) -> None:
    leave_damaged(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        for name in ("a", "b"):
            value: dict[str, Value] = {"id": name, "sheets": {"1": {"a": 1}}}
            store.submit(NOTES, name, lambda _, value=value: Draft(Message("new"), value)).result()  # type: ignore[misc]
    (tmp_path / "store/notes/a/sheets/0001.json").write_text('{"a": 1, "a": 2}')
    git(tmp_path / "store", "commit", "-qam", "by hand")

    def ask(store: Store, how: str, document: str) -> None:
        if how == "list":
            for each in store.documents(NOTES, whole=True):
                if each.document == document:
                    each.text()
            return
        snapshot = store.load(NOTES, document)
        assert snapshot is not None
        snapshot.value() if how == "value" else snapshot.text()

    for _ in range(2):
        with Store.open(tmp_path / "store") as store:
            for how in (first, "value", "list", "load"):
                with pytest.raises(StateCorruptionError, match="'a' stands there twice"):
                    ask(store, how, "a")
                ask(store, how, "b")
        assert (tmp_path / "store" / FILE).exists()


@pytest.mark.usefixtures("_of_any_size")
def test_files_that_are_given_beside_a_value_are_looked_at(tmp_path: Path) -> None:
    leave_damaged(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        value: dict[str, Value] = {"id": "a", "sheets": {"1": {"a": 1}}}
        for attachments in ({}, {"sheets/0001.json": b'{"a": 1, "a": 2}'}):
            draft = Draft(Message("new"), value, attachments=attachments)
            store.submit(NOTES, "a", lambda _, draft=draft: draft).result()  # type: ignore[misc]
    for _ in range(2):
        with Store.open(tmp_path / "store") as store:
            snapshot = store.load(NOTES, "a")
            assert snapshot is not None
            with pytest.raises(StateCorruptionError, match="'a' stands there twice"):
                snapshot.text()


@pytest.mark.usefixtures("_of_any_size")
def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        value: dict[str, Value] = {"id": "a", "sheets": sheets_of(2)}
        store.submit(NOTES, "a", lambda _: Draft(Message("new"), value)).result()
        child = os.fork()
        if child == 0:
            try:
                store.close()
            finally:
                os._exit(0 if not (tmp_path / "store" / FILE).exists() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "store" / FILE).stat().st_size == 16 + 8
