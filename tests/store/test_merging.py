"""Whole trees merged: documents by the rules of values, other files by path, whichever side moved what."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import trees
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import ObjectId
from gitstate.engine.staging import Staging
from gitstate.format.version import FormatVersion
from gitstate.store.merging import MergedRoots, merge_roots
from gitstate.store.reader import Reader
from gitstate.values.canonical import equal
from gitstate.values.merge import ABSENT, merge3
from tests.stores import NOTES

Values = dict[str, dict[str, Any]]
Files = dict[str, bytes]

DOCUMENTS = st.sampled_from(["a", "b", "a/b"])
FIELDS = st.dictionaries(st.sampled_from(["m", "n"]), st.integers(0, 2), max_size=2)
SHEETS = st.dictionaries(st.sampled_from(["1", "2"]), FIELDS, max_size=2)
VALUES = st.dictionaries(DOCUMENTS, st.tuples(FIELDS, SHEETS), max_size=3)
FILES = st.dictionaries(st.sampled_from(["readme", "docs/x", "notes/hello", "notes/a/mine"]), st.binary(max_size=1))
FANOUTS = st.sampled_from([0, 0, 0, 1, 2])


class Desk:
    """A source of trees that nobody commits."""

    def __init__(self) -> None:
        self.source = Staging(MemoryEngine())
        self.reader = Reader(MemoryEngine()).over(self.source)

    def root(self, values: Values, files: Files | None = None, fanout: int = 0) -> ObjectId:
        changes: dict[str, bytes] = {"gitstate.json": FormatVersion(fanout=fanout).to_bytes(), **(files or {})}
        for document, value in values.items():
            for path, data in NOTES.layout.split(value).items():
                changes[f"{NOTES.folder(document, fanout)}/{path}"] = data
        edited = trees.edit(self.source, None, changes)
        self.source.add(edited.objects)
        return edited.id

    def merge(self, base: ObjectId, ours: ObjectId, theirs: ObjectId) -> tuple[MergedRoots, ObjectId]:
        merged = merge_roots(self.reader, [NOTES], base, ours, theirs)
        edited = merged.edit(self.reader)
        self.source.add(edited.objects)
        return merged, edited.id

    def values(self, root: ObjectId) -> Values:
        places = self.reader.places(NOTES, root)
        return {name: self.reader.snapshot_of(NOTES, name, root, tree).content().value for name, _, tree in places}

    def file(self, root: ObjectId, path: str) -> bytes | None:
        entry = trees.find(self.source, root, path)
        return None if entry is None or entry.is_directory else self.source.read(entry.id, "blob")


def _noted(drawn: dict[str, tuple[dict[str, int], dict[str, dict[str, int]]]]) -> Values:
    return {
        name: {"id": name, **fields, **({"sheets": more} if more else {})} for name, (fields, more) in drawn.items()
    }


@given(VALUES, VALUES, VALUES, st.tuples(FANOUTS, FANOUTS, FANOUTS))
def test_documents_are_merged_as_their_values_are(
    base: Any, ours: Any, theirs: Any, fanouts: tuple[int, int, int]
) -> None:
    desk = Desk()
    sides = [_noted(side) for side in (base, ours, theirs)]
    merged, root = desk.merge(*(desk.root(side, None, fanout) for side, fanout in zip(sides, fanouts, strict=True)))
    conflicts = {decided.document: decided.conflicts for decided in merged.documents}
    found = desk.values(root)
    for name in {name for side in sides for name in side}:
        slots: list[Any] = [side.get(name, ABSENT) for side in sides]
        wanted = merge3(*slots)
        if ABSENT in slots[1:] and wanted.conflicts:  # deleted and changed: the change survives
            assert found[name] == next(slot for slot in slots[1:] if slot is not ABSENT)
            continue
        if wanted.value is ABSENT:
            assert name not in found
        else:
            assert name in found and equal(found[name], wanted.value)
        assert {c.pointer: c for c in conflicts.get(name, ())} == {c.pointer: c for c in wanted.conflicts}
    wanted_fanout = fanouts[2] if fanouts[1] == fanouts[0] else fanouts[1]
    assert desk.reader.format(root).fanout == wanted_fanout


@given(FILES, FILES, FILES, VALUES)
def test_other_files_are_merged_by_path(base: Files, ours: Files, theirs: Files, values: Any) -> None:
    desk = Desk()
    kept = _noted(values)
    merged, root = desk.merge(*(desk.root(kept, files) for files in (base, ours, theirs)))
    for path in {*base, *ours, *theirs}:
        was, here, there = base.get(path), ours.get(path), theirs.get(path)
        assert desk.file(root, path) == (there if here == was else here)
        inside = path == "notes/a/mine" and "a" in kept  # in the folder of a document: reported with that
        clash = len({was, here, there}) == 3
        assert (path in merged.clashes) == (clash and not inside)
    assert desk.values(root) == kept


def test_a_document_that_is_none_stays_as_ours_has_it_and_is_reported() -> None:
    desk = Desk()
    base, theirs = ({"a": {"id": "a", "n": n}, "b": {"id": "b", "n": n}} for n in (0, 1))
    roots = [desk.root(values) for values in (base, base, theirs)]
    broken = trees.edit(desk.source, roots[1], {"notes/a/job.json": b"{ no json", "notes/b/other": b"x"})
    desk.source.add(broken.objects)
    merged, root = desk.merge(roots[0], broken.id, roots[2])
    assert [(decided.document, [c.pointer for c in decided.conflicts]) for decided in merged.documents] == [
        ("a", [""]),
        ("b", []),
    ]
    assert desk.file(root, "notes/a/job.json") == b"{ no json"
    assert json.loads(desk.file(root, "notes/b/job.json") or b"") == {"id": "b", "n": 1}
    assert desk.file(root, "notes/b/other") == b"x"


def test_a_merge_that_is_no_state_is_a_conflict() -> None:
    from dataclasses import replace

    from gitstate.errors import CorruptionError

    def check(value: dict[str, Any]) -> None:
        if value["m"] + value["n"] > 1:
            raise CorruptionError("too much")

    desk = Desk()
    sides = [{"id": "a", "m": 0, "n": 0}, {"id": "a", "m": 1, "n": 0}, {"id": "a", "m": 0, "n": 1}]
    base, ours, theirs = (desk.root({"a": side}) for side in sides)
    merged = merge_roots(desk.reader, [replace(NOTES, check=check)], base, ours, theirs)
    assert [(decided.note, decided.changes, len(decided.conflicts)) for decided in merged.documents] == [
        ("too much", {}, 1)
    ]
