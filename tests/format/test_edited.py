"""What files say that people edited by hand, beside others that moved on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import CorruptionError
from gitstate.format.edited import edited_values
from gitstate.format.layout import Layout, Part
from gitstate.values.canonical import Value, equal

LAYOUT = Layout()
ROOT = "job.json"

values = st.fixed_dictionaries(
    {"status": st.sampled_from(["a", "b"])},
    optional={
        "sheets": st.dictionaries(
            st.sampled_from(["1", "2", "3", "10", "x", "%", ""]), st.integers() | st.dictionaries(st.text(), st.text())
        )
    },
)


@given(values, values)
def test_all_files_as_they_were_and_are(before: dict[str, Value], after: dict[str, Value]) -> None:
    """Edits of files that lead from one value to another one are read as that, whatever was edited."""
    old, new = LAYOUT.split(before), LAYOUT.split(after)
    paths = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    bases, edits = ({path: files.get(path) for path in paths} for files in (old, new))
    found = edited_values(LAYOUT, old, bases, edits)
    assert found.base is not None and equal(found.base, before)
    assert found.value is not None and equal(found.value, after)
    moved = edited_values(LAYOUT, new, bases, edits)  # the head has it already
    assert (moved.base, moved.value) == (found.base, found.value)


@given(values)
def test_all_files_removed(value: dict[str, Value]) -> None:
    files = LAYOUT.split(value)
    found = edited_values(LAYOUT, files, files, dict.fromkeys(files))
    assert found.base is not None and equal(found.base, value) and found.value is None
    new = edited_values(LAYOUT, {}, dict.fromkeys(files), files)
    assert new.base is None and new.value is not None and equal(new.value, value)


def job(*sheets: int, **fields: Value) -> dict[str, bytes]:
    return LAYOUT.split({"job_id": "j", **fields, "sheets": {str(number): {"n": number} for number in sheets}})


def test_the_list_follows_the_files() -> None:
    files = job(1, 2)
    new, gone = "sheets/0003.json", "sheets/0001.json"
    found = edited_values(LAYOUT, files, {new: None, gone: files[gone]}, {new: b'{"n": 3}', gone: None})
    assert found.value is not None and list(found.value["sheets"]) == ["2", "3"]  # type: ignore[arg-type]
    assert found.base is not None and list(found.base["sheets"]) == ["1", "2"]  # type: ignore[arg-type]


def test_the_first_and_the_last_entry() -> None:
    none = LAYOUT.split({"job_id": "j"})
    path = "sheets/0001.json"
    first = edited_values(LAYOUT, none, {path: None}, {path: b"{}"})
    assert first.value == {"job_id": "j", "sheets": {"1": {}}}
    last = edited_values(LAYOUT, job(1), {path: b'{"n": 1}'}, {path: None})
    assert last.value == {"job_id": "j", "sheets": {}}


def test_entries_that_came_and_went_meanwhile_are_left_out() -> None:
    base, now = job(1, 2, 3), job(1, 3, 4)
    edited = base[ROOT].replace(b'"j"', b'"k"')
    found = edited_values(LAYOUT, now, {ROOT: base[ROOT]}, {ROOT: edited})
    assert found.base == {"job_id": "j", "sheets": {"1": {"n": 1}, "3": {"n": 3}}}
    assert found.value == {"job_id": "k", "sheets": {"1": {"n": 1}, "3": {"n": 3}}}


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ({ROOT: job(1, 2, 3)[ROOT]}, "sheets/0003.json is missing, but job.json names it"),
        ({ROOT: job(1)[ROOT]}, "sheets/0002.json is there, but job.json does not name it"),
        ({ROOT: b"{"}, "job.json: "),
        ({ROOT: b"[]"}, "job.json holds no object"),
        ({ROOT: None}, "job.json is missing"),
        ({"sheets/0002.json": b"<<<<<<<"}, "sheets/0002.json: "),
        ({ROOT: b'{"sheets": {"numbers": "3-1"}}'}, "job.json: sheets holds no list"),
    ],
)
def test_what_is_no_value(edits: dict[str, bytes | None], says: str) -> None:
    files = job(1, 2)
    with pytest.raises(CorruptionError, match=says):
        edited_values(LAYOUT, files, {path: files.get(path) for path in edits}, edits)


def test_a_base_that_cannot_be_read_is_told() -> None:
    good, broken = job(1), {**job(1), ROOT: b"<<<<<<<"}
    found = edited_values(LAYOUT, broken, {ROOT: broken[ROOT]}, {ROOT: good[ROOT]})
    assert found.base is None and found.unreadable.startswith("job.json: ")
    gone = edited_values(LAYOUT, broken, {path: broken[path] for path in broken}, dict.fromkeys(broken))
    assert gone == (None, None, found.unreadable)
    listed = edited_values(LAYOUT, broken, {ROOT: b"[]"}, {ROOT: good[ROOT]})
    assert (listed.value, listed.unreadable) == (found.value, "job.json holds no object")
    assert edited_values(LAYOUT, good, {ROOT: good[ROOT]}, {ROOT: good[ROOT]}).unreadable == ""
    assert found.value == {"job_id": "j", "sheets": {"1": {"n": 1}}}


@given(st.text(max_size=300).filter(lambda key: "\ud800" not in key))
def test_keys_come_back_from_paths(key: str) -> None:
    part = Part("sheets", "sheets/{}.json")
    found = part.key_of(part.path_of(key))
    assert found == key or (found is None and len(key) > 40)
    assert part.key_of("sheets/1.json") is None and part.key_of("job.json") is None
