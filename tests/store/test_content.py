"""Contents: the text of a value, put together of what is known, is what a reader of its files would say."""

import json
import pickle
from copy import deepcopy

from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.format.layout import Layout
from gitstate.store.content import Content, ContentCache
from gitstate.values.canonical import Shape, Value
from tests.values.strategies import KEYS, VALUES

JOBS = Layout(shape=Shape(fields=("x", "sheets"), inner={"sheets": Shape(each=Shape(fields=("b", "a")))}))
SHEETS = st.dictionaries(KEYS | st.sampled_from(["1", "2", "10", "01"]), VALUES, max_size=5)
JOB_VALUES = st.dictionaries(KEYS | st.just("x"), VALUES, max_size=3) | st.fixed_dictionaries(
    {"sheets": SHEETS | VALUES}, optional={"x": VALUES, "a": VALUES}
)


def as_read(value: dict[str, Value]) -> str:
    return json.dumps(JOBS.join(JOBS.split(value)), separators=(",", ":"))


@given(st.lists(JOB_VALUES, min_size=1, max_size=4), st.data())
def test_the_text_is_that_of_a_reader(values: list[dict[str, Value]], data: st.DataObject) -> None:
    known: Content | None = None
    for value in values:
        before = known.value.get("sheets") if known is not None else None
        if isinstance(before, dict) and before:
            kept = data.draw(st.sets(st.sampled_from(list(before))))
            value["sheets"] = {"3": {"b": 1, "a": 2}, **{key: before[key] for key in kept}}
        content = Content.of(value, JOBS, known)
        assert content.size > 0
        if data.draw(st.booleans()):
            assert content.text.decode() == as_read(value)
        assert content.value is value
        known = content
    assert known is not None
    assert known.text.decode() == as_read(known.value)
    assert pickle.loads(pickle.dumps(known)).text == known.text


@given(JOB_VALUES)
@example({"sheets": {"1": 1, "2": {}}, "a": 1, "b": 2})
@example({"a": 1, "sheets": {"1": 1}})
@example({})
def test_the_text_of_files_is_that_of_their_value(value: dict[str, Value]) -> None:
    texts = JOBS.texts(JOBS.split(value))
    assert texts is not None
    read = json.loads(Content.spliced(texts).text)
    assert json.dumps(read, separators=(",", ":")) == as_read(value)


def test_what_did_not_change_is_not_written_again() -> None:
    sheets: dict[str, Value] = {str(number): {"a": number} for number in range(3)}
    first = Content.of({"sheets": sheets}, JOBS)
    assert b'"1":{"a":1}' in first.text
    entry = sheets["1"]
    assert isinstance(entry, dict)
    entry["a"] = "changed in place, which nobody may"
    second = Content.of({"sheets": {**sheets, "2": {"a": "new"}}}, JOBS, first)
    assert b'"1":{"a":1},"2":{"a":"new"}' in second.text


def test_the_size_is_about_that_of_all_entries() -> None:
    small = Content.of({"sheets": {str(number): {"a": "x" * 100} for number in range(10)}}, JOBS)
    large = Content.of({"sheets": {str(number): {"a": "x" * 100} for number in range(1000)}}, JOBS)
    assert 80 < large.size / small.size < 120
    before = large.size
    assert before / 2 < len(large.text) * 4 < before * 2


def test_what_was_only_read_gives_value_and_text() -> None:
    value: dict[str, Value] = {"b": [1, 1.0], "a": {"2": None, "1": "\ud800"}}
    for content in (Content(value=value), pickle.loads(pickle.dumps(Content(value=value)))):
        assert content.text == b'{"b":[1,1.0],"a":{"2":null,"1":"\\ud800"}}'
        assert content.size == len(content.text)
        assert content.value == value


def test_the_cache_keeps_what_was_asked_for_lately() -> None:
    def content(letters: int) -> Content:
        return Content(value={"a": "x" * (letters - 8)})

    cache = ContentCache(limit=1000)
    for number in range(10):
        cache.put(("jobs", "one", str(number)), content(100))
    assert [number for number in range(10) if cache.get(("jobs", "one", str(number)))] == [6, 7, 8, 9]
    assert cache.get(("jobs", "two", "9")) is None
    cache.put(("jobs", "two", "0"), content(200))
    cache.put(("jobs", "three", "0"), content(300))
    assert cache.get(("jobs", "one", "9")) is not None
    cache.put(("jobs", "three", "1"), content(300))  # those of one document share nothing when they were only read
    assert cache.get(("jobs", "two", "0")) is None
    assert cache.get(("jobs", "one", "9")) is not None
    assert cache.get(("jobs", "three", "0")) is not None
    cache.put(("jobs", "four", "0"), content(2000))
    assert [cache.get(("jobs", name, "0")) for name in ("one", "two", "three", "four")] == [None] * 4
    cache.put(("jobs", "one", "9"), content(1000))
    assert cache.get(("jobs", "one", "9")) is not None


def test_of_contents_that_follow_one_another_what_they_share_counts_once() -> None:
    sheets: dict[str, Value] = {str(number): {"said": "x" * 100} for number in range(10)}

    def sizes(share: bool) -> list[int]:
        cache, content, found = ContentCache(), None, list[int]()
        for turn in range(4):
            value: dict[str, Value] = {"sheets": {**(sheets if share else deepcopy(sheets)), "3": {"said": str(turn)}}}
            content = Content.of(value, JOBS, content)
            cache.put(("jobs", "one", str(turn)), content)
            found.append(cache._size)
        return found

    shared, copied = sizes(True), sizes(False)
    assert shared[0] == copied[0]
    assert shared[3] < 1.3 * shared[0]
    assert copied[3] > 2.4 * copied[0]


def test_a_text_whose_value_was_asked_for_counts_more() -> None:
    content = Content(text=b'{"a": "%s"}' % (b"x" * 91))
    assert content.size == 100
    assert content.value
    assert content.size == 300
