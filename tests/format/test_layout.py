"""Layouts: a value and its files are the same thing, and a file that is lost is noticed."""

import random
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.errors import CorruptionError, InvalidInputError, UnstorableError
from gitstate.format import layout
from gitstate.format.layout import Layout, Part
from gitstate.values import canonical
from gitstate.values.canonical import Shape, Value

JOBS = Layout()
TEXTS = st.text(max_size=5) | st.sampled_from(["\ud800", "numbers", "keys", "", "a/b"])
KEYS = TEXTS | st.sampled_from(
    ["0", "1", "2", "01", "1.0", "-1", "+1", "1 ", "١", "99999", "9" * 18, "9" * 19, "=a", "a"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
JOB_VALUES = st.fixed_dictionaries(
    {}, optional={"sheets": VALUES | st.dictionaries(KEYS, VALUES, max_size=6), "job_id": TEXTS, "x": VALUES}
)


@given(JOB_VALUES)
@example({})
@example({"sheets": {}})
@example({"sheets": None})
@example({"sheets": [{}]})
@example({"sheets": {"1": None, "01": {}, "": []}})
@example({"sheets": {"numbers": "1-2", "keys": []}})
@example({"sheets": {"a" * 300: 1, "a" * 300 + "b": 2}})
def test_join_gives_back_what_was_split(value: dict[str, Value]) -> None:
    files = JOBS.split(value)
    assert canonical.equal(JOBS.join(files), value)
    assert all(JOBS.owns(path) and not JOBS.attached(path) for path in files)


@given(JOB_VALUES)
@example({"sheets": {str(number): number for number in range(30)}, "x": 1})
def test_texts_are_what_is_joined(value: dict[str, Value]) -> None:
    texts = JOBS.texts(JOBS.split(value))
    assert texts is not None
    entries = {name: dict(zip(*each, strict=True)) for name, each in texts.entries.items()}
    read = {name: {key: canonical.loads(text) for key, text in each.items()} for name, each in entries.items()}
    joined = JOBS.join(JOBS.split(value))
    assert canonical.equal({**texts.root, **read}, joined) and list(texts.root) == list(joined)


@given(
    st.dictionaries(
        st.sampled_from(["job.json", "sheets/0001.json", "sheets/0002.json", "sheets/=a.json"]),
        st.sampled_from(
            [b"1", b"[]", b"{", b'{"sheets": {}}', b'{"sheets": {"numbers": "1-2"}}', b'{"sheets": {"x": 1}}']
        )
        | st.sampled_from([b'{"sheets": {"numbers": "1", "keys": ["a"]}}', b'{"sheets": {"numbers": "2-1"}}', b"{}"]),
    )
)
def test_texts_are_given_of_files_alone_that_can_be_joined(files: dict[str, bytes]) -> None:
    whole = {path: text if path == "job.json" else b"1" for path, text in files.items()}
    try:
        JOBS.join(whole)
    except CorruptionError:
        assert JOBS.texts(files) is None
    else:
        assert JOBS.texts(files) is not None


@given(JOB_VALUES, st.randoms(use_true_random=False))
def test_equal_values_give_equal_files(value: dict[str, Value], chance: random.Random) -> None:
    assert JOBS.split(shuffled(value, chance)) == JOBS.split(value)


@given(JOB_VALUES, st.randoms(use_true_random=False))
def test_entries_are_ordered_as_they_are_read(value: dict[str, Value], chance: random.Random) -> None:
    entries = value.get("sheets")
    if isinstance(entries, dict):
        read = JOBS.join(JOBS.split(value))["sheets"]
        assert isinstance(read, dict)
        assert list(JOBS.order(dict.fromkeys(chance.sample(list(entries), len(entries))))) == list(read)


@given(JOB_VALUES)
@example({"sheets": {"1": None, "01": {}, "": [], "0": 1}})
def test_a_place_and_its_file_name_each_other(value: dict[str, Value]) -> None:
    files = JOBS.split(value)
    for path in files:
        place = JOBS.place_of(path)
        assert place is not None and (place == () or JOBS.path_of(place) == path)
    assert all(JOBS.place_of(path) is None for path in ("x.json", "sheets/x.json", "executions/0001/prompt.txt"))
    root = canonical.loads(files["job.json"])
    assert isinstance(root, dict)
    opened = JOBS.opened(root)
    assert canonical.equal(JOBS.closed(opened), root)
    if isinstance(value.get("sheets"), dict):
        assert opened["sheets"] == dict.fromkeys(value["sheets"], True)  # type: ignore[arg-type]  # a dict, as asked


def test_a_list_that_names_millions_of_files_is_not_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_MANY", 1000)
    root: dict[str, Value] = {"sheets": {"numbers": "1-999999999999999999"}}
    files = {"job.json": canonical.dumps(root)}
    reads: list[Callable[[], object]] = [
        lambda: JOBS.opened(root),
        lambda: JOBS.join(files, only=()),  # which had no end
        lambda: JOBS.listed(JOBS.parts[0], root),
    ]
    for read in reads:
        with pytest.raises(CorruptionError, match="more than"):
            read()


def test_ranges_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_MANY", 10)
    part = JOBS.parts[0]
    for numbers, count in [("1-10", 10), ("1-5,7-11", 10), ("0,2,4,6-9,11-13", 10)]:
        assert len(JOBS.listed(part, {"sheets": {"numbers": numbers}})) == count
    for numbers in ("1-11", "1-5,7-12", "1-9,11-12", "0,2,4,6-9,11-14"):
        with pytest.raises(CorruptionError, match="more than 10 files"):
            JOBS.listed(part, {"sheets": {"numbers": numbers}})


def test_more_entries_than_can_be_read_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_MANY", 3)
    value: dict[str, Value] = {"sheets": {str(number): number for number in (1, 2, 3)}}
    assert JOBS.join(JOBS.split(value)) == value
    with pytest.raises(UnstorableError, match="more than 3 entries") as caught:
        JOBS.split({"sheets": {"1": 1, "2": 2, "3": 3, "x": 4}})
    assert caught.value.pointer == "/sheets"


@given(JOB_VALUES, JOB_VALUES, st.data())
def test_changes_lead_from_one_value_to_another(
    known: dict[str, Value], value: dict[str, Value], data: st.DataObject
) -> None:
    before, after = known.get("sheets"), value.get("sheets")
    if isinstance(before, dict) and isinstance(after, dict) and before:
        after |= {
            key: before[key] for key in data.draw(st.sets(st.sampled_from(list(before))))
        }  # the very same objects
    files: dict[str, bytes | None] = {**JOBS.split(known)}
    changes = JOBS.changes(value, known)
    assert {path: content for path, content in (files | changes).items() if content is not None} == JOBS.split(value)
    assert all(files.get(path) != content for path, content in changes.items()), "what did not change was written"
    assert JOBS.changes(value, value) == {}


def shuffled(value: Value, chance: random.Random) -> Value:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


def test_files_are_those_of_the_format() -> None:
    files = JOBS.split({"sheets": {"2": {"b": 1}, "10": {}, "1": {}, "a/b": {}}, "job_id": "nightly"})
    assert files == {
        "job.json": b'{\n  "job_id": "nightly",\n  "sheets": {\n    "keys": [\n      "a/b"\n    ],\n'
        b'    "numbers": "1-2,10"\n  }\n}\n',
        "sheets/0001.json": b"{}\n",
        "sheets/0002.json": b'{\n  "b": 1\n}\n',
        "sheets/0010.json": b"{}\n",
        "sheets/=a%2Fb.json": b"{}\n",
    }


def test_parts_are_written_in_the_order_of_their_model() -> None:
    sheet = Shape(fields=("z", "a"))
    layout = Layout(shape=Shape(fields=("sheets", "job_id"), inner={"sheets": Shape(each=sheet)}))
    files = layout.split({"job_id": "x", "sheets": {"1": {"a": 1, "z": 2}}})
    assert files["sheets/0001.json"] == b'{\n  "z": 2,\n  "a": 1\n}\n'
    assert files["job.json"].index(b"sheets") < files["job.json"].index(b"job_id")


def test_several_parts() -> None:
    layout = Layout(root="r.json", parts=(Part("a", "a/{}.json", 2), Part("b", "b-{}.json")), attachments=())
    value: Value = {"a": {"1": 1}, "b": {"1": 2}}
    assert layout.split(value).keys() == {"r.json", "a/01.json", "b-0001.json"}
    assert layout.join(layout.split(value)) == value
    assert not layout.attached("executions/0001/prompt.txt")


@pytest.mark.parametrize(
    "path",
    ["README.md", "sheets/README.md", "sheets/1.json", "sheets/0001.json.bak", "sheets/a/0001.json", "x/job.json"],
)
def test_files_of_others_are_neither_ours_nor_in_the_way(path: str) -> None:
    value: Value = {"sheets": {"1": {}}}
    assert not JOBS.owns(path)
    assert JOBS.join({**JOBS.split(value), path: b"no JSON"}) == value


def test_it_is_known_of_a_path_whether_it_is_ours_also_when_asked_again() -> None:
    layout = Layout()
    for _ in range(2):
        paths = [
            "job.json",
            "sheets/0001.json",
            "sheets/=a.json",
            "job.jsonx",
            "sheets/1.json",
            "executions/0001/output",
        ]
        assert [layout.owns(path) for path in paths] == [True, True, True, False, False, False]
    assert [layout.is_part(field) for field in ("sheets", "job_id")] == [True, False]


def test_the_path_stands_for_the_key_where_that_cannot_be_told() -> None:
    part = JOBS.parts[0]
    cut = part.path_of("a" * 300)
    for path in (cut, "sheets/00001.json", "sheets/=%61.json"):  # one has a zero too many, one what needs no escape
        assert part.key_of(path) is None
        assert JOBS.place_of(path) == ("sheets", path)
    for key in ("0", "7", "10000", "", "01", "X0"):
        assert part.key_of(part.path_of(key)) == key
        assert JOBS.place_of(part.path_of(key)) == ("sheets", key)


def test_files_of_entries_are_read_as_the_caller_says() -> None:
    files = JOBS.split({"sheets": {"1": {"a": 1}, "x": {}}})
    read: list[bytes] = []
    JOBS.join(files, loads=lambda data: read.append(data))
    assert sorted(read) == [files["sheets/0001.json"], files["sheets/=x.json"]]


def test_what_is_no_list_of_files_names_none() -> None:
    listings: list[Value] = [5, "1-2", [], {}, None]
    for listing in listings:
        root: dict[str, Value] = {"sheets": listing}
        assert JOBS.listed(JOBS.parts[0], root) == []


def test_attachments_belong_to_the_document_but_not_to_its_value() -> None:
    assert JOBS.attached("executions/0001/prompt.txt")
    assert not JOBS.owns("executions/0001/prompt.txt")
    assert not JOBS.attached("executions.txt")


SOUND = JOBS.split({"job_id": "nightly", "sheets": {"1": {}, "2": {}, "x": {}}})
LISTINGS = [
    '"a": 1', '"numbers": 1', '"numbers": "2,1"', '"numbers": "1,1"', '"numbers": "2-1"', '"numbers": "01"',
    '"numbers": "1,"', '"numbers": "a"', '"keys": "a"', '"keys": [1]', '"keys": ["1"]',
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"job.json": None}, r"job\.json is missing"),
        ({"job.json": b"{"}, r"job\.json: not JSON"),
        ({"job.json": b"[]"}, r"job\.json holds no object"),
        ({"sheets/0001.json": None}, r"sheets/0001\.json is missing, but job\.json names it"),
        ({"sheets/=x.json": None}, r"sheets/=x\.json is missing"),
        ({"sheets/0002.json": b"\xff"}, r"sheets/0002\.json: not UTF-8"),
        ({"sheets/0003.json": b"{}"}, r"sheets/0003\.json is there, but job\.json does not name it"),
        ({"job.json": b'{"sheets": {"numbers": "1-999999999999999999"}}'}, r"sheets/0003\.json is missing"),
        *[({"job.json": b'{"sheets": {%s}}' % text.encode()}, r"job\.json: sheets holds no list") for text in LISTINGS],
    ],
)
def test_what_cannot_be_joined_names_the_file(changes: dict[str, bytes | None], reason: str) -> None:
    files = {path: data for path, data in {**SOUND, **changes}.items() if data is not None}
    with pytest.raises(CorruptionError, match=reason):
        JOBS.join(files)


def test_what_cannot_be_split_names_the_place() -> None:
    with pytest.raises(UnstorableError) as caught:
        JOBS.split({"sheets": {"1": {"a": float("nan")}}})
    assert caught.value.pointer == "/sheets/1/a"
    with pytest.raises(UnstorableError, match="/sheets"):
        JOBS.split({"sheets": {1: {}}})  # type: ignore[dict-item]  # the mistake that is tested
    with pytest.raises(InvalidInputError, match="object"):
        JOBS.split([])


def test_a_place_that_lies_in_no_part_is_in_the_root_file() -> None:
    assert JOBS.path_of(["status"]) == "job.json"
    assert JOBS.path_of(["other", "1"]) == "job.json"
    assert JOBS.path_of(["sheets"]) == "job.json", "which sheets there are is told there"
    assert JOBS.path_of(["sheets", "1", "status"]) == "sheets/0001.json"


def test_changes_that_cannot_be_stored_name_the_place() -> None:
    known: Value = {"sheets": {"1": {}}}
    assert isinstance(known, dict)
    with pytest.raises(UnstorableError) as caught:
        JOBS.changes({"sheets": {"1": {}, "2": {"a": [float("inf")]}}}, known)
    assert caught.value.pointer == "/sheets/2/a/0"
    with pytest.raises(InvalidInputError, match="object, not list"):
        JOBS.changes([], known)
