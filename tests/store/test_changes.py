"""The changes between two snapshots are those between their values, and cost what differs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Kind, ObjectId
from gitstate.errors import StateCorruptionError
from gitstate.format.message import Message
from gitstate.store.changes import changed_files, changed_parts
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.store.store import Store
from gitstate.values.diff import Change, apply, diff, invert
from gitstate.values.merge import same
from gitstate.values.shape import ABSENT, Slot
from tests.store.test_content import JOB_VALUES
from tests.stores import NOTES


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


def write(value: dict[str, Any], **attachments: bytes) -> Edit:
    return lambda _: Draft(
        Message("write"), value=value, attachments={f"executions/{k}": v for k, v in attachments.items()}
    )


def put(store: Store, document: str, value: dict[str, Any], **attachments: bytes) -> Snapshot:
    revision = store.submit(NOTES, document, write(value, **attachments)).result()
    snapshot = store.load(NOTES, document, None if revision is None else revision.id)
    assert snapshot is not None
    return snapshot


def value_of(snapshot: Snapshot | None) -> Slot:
    return ABSENT if snapshot is None else snapshot.value()


def changes(before: Snapshot | None, after: Snapshot | None) -> tuple[Change, ...]:
    return diff(*changed_parts(before, after))


@given(JOB_VALUES, JOB_VALUES)
def test_they_are_the_changes_between_the_values(a: dict[str, Any], b: dict[str, Any]) -> None:
    with Store.in_memory() as store:
        first = put(store, "a", a | {"id": "a"})
        second = put(store, "a", b | {"id": "a"})
        other = put(store, "b", b | {"id": "b"})
        for before, after in ((first, second), (second, first), (first, other), (first, None), (None, other)):
            found = changes(before, after)
            expected = diff(value_of(before), value_of(after))
            assert {change.pointer for change in found} == {change.pointer for change in expected}
            assert same(apply(found, value_of(before)), value_of(after))
            assert same(apply(invert(found), value_of(after)), value_of(before))
        assert changes(first, first) == changes(None, None) == ()


def test_only_what_differs_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sheets = {str(number): {"n": number} for number in range(1, 1001)}
    first = put(store, "a", {"id": "a", "x": 1, "sheets": sheets}, prompt=b"one")
    second = put(store, "a", {"id": "a", "x": 2, "sheets": {**sheets, "7": {"n": "new"}}}, prompt=b"two")
    read: Counter[str] = Counter()
    original = MemoryEngine.read

    def counting(self: MemoryEngine, object_id: ObjectId, kind: Kind) -> bytes:
        read[kind] += 1
        return original(self, object_id, kind)

    monkeypatch.setattr(MemoryEngine, "read", counting)
    assert changes(first, second) == (Change(("sheets", "7", "n"), 7, "new"), Change(("x",), 1, 2))
    assert read["blob"] == 4, "the root file and that sheet, on both sides"


def test_files_that_differ(store: Store) -> None:
    first = put(store, "a", {"id": "a", "sheets": {"1": {"n": 1}, "2": {}}}, prompt=b"one")
    second = put(store, "a", {"id": "a", "sheets": {"1": {"n": 2}, "3": {}}}, prompt=b"two")
    files = changed_files(first, second)
    assert files["sheets/0001.json"] == (b'{\n  "n": 1\n}\n', b'{\n  "n": 2\n}\n')
    assert files["sheets/0002.json"] == (b"{}\n", b"") and files["sheets/0003.json"] == (b"", b"{}\n")
    assert files.keys() == {"job.json", "sheets/0001.json", "sheets/0002.json", "sheets/0003.json"}
    assert changed_files(None, first).keys() == {"job.json", "sheets/0001.json", "sheets/0002.json"}
    assert changed_files(None, None) == changed_files(first, first) == {}


def test_a_file_that_is_no_json_is_named(store: Store) -> None:
    first = put(store, "a", {"id": "a", "sheets": {"1": {"n": 1}}})
    broken = store.submit(
        NOTES, "a", lambda _: Draft(Message("break"), attachments={"sheets/0001.json": b"{"})
    ).result()
    assert broken is not None
    second = store.load(NOTES, "a", broken.id)
    with pytest.raises(StateCorruptionError, match=r"sheets/0001\.json: not JSON"):
        changes(first, second)
