"""One file of a job, merged by field."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.backends.file_merge import inner_path, merge_file
from gitstate.values.canonical import dumps

_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["pending", "running", "failed", "completed", 3]),
        "updated_at": st.sampled_from(["2026-03-01T09:30:00Z", "2026-03-02T09:30:00Z", None]),
        "total_retry_count": st.integers(0, 3),
        "attempt_count": st.integers(0, 3),
        "error_message": st.none() | st.text(max_size=3),
        "sheets": st.sampled_from([{}, {"numbers": "1-3"}, {"numbers": "2,7"}, {"keys": ["x"]}, None]),
        "metadata": st.dictionaries(
            st.sampled_from("abc"), st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2)
        ),
        "other": st.sampled_from([1, 1.0, True, [], {}]),
    },
)
_MARKED = re.compile(rb"^<{7} ours\n(.*?)^={7}\n(.*?)^>{7} theirs\n", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("jobs/nightly/job.json", "job.json"),
        ("jobs/nightly/sheets/0001.json", "sheets/0001.json"),
        ("jobs/nightly/sheets/=a%2Fb.json", "sheets/=a%2Fb.json"),
        ("jobs/3/f/nightly/job.json", "job.json"),
        ("jobs/3/job.json", "job.json"),
        ("jobs/sheets/job.json", "job.json"),
        ("jobs/%~/job.json", "job.json"),
        ("jobs/nightly/notes.json", None),
        ("jobs/nightly/executions/0001/prompt.txt", None),
        ("jobs/job.json", None),
        ("jobs/sheets/0001.json", None),
        ("jobs/old/nightly/job.json", None),
        ("notes/nightly/job.json", None),
        ("gitstate.json", None),
        ("", None),
    ],
)
def test_which_files_are_ours(path: str, inner: str | None) -> None:
    assert inner_path(path) == inner


@given(_FIELDS, _FIELDS, _FIELDS, st.sampled_from(["jobs/a/job.json", "jobs/a/sheets/0003.json"]))
def test_what_merged_is_canonical_and_markers_part_the_rest(base: Any, ours: Any, theirs: Any, path: str) -> None:
    merge = merge_file(path, *map(dumps, (base, ours, theirs)))
    assert merge is not None
    mirrored = merge_file(path, *map(dumps, (base, theirs, ours)))
    assert mirrored is not None and len(mirrored.conflicts) == len(merge.conflicts)
    assert bool(_MARKED.search(merge.data)) == bool(merge.conflicts)
    sides = [_MARKED.sub(lambda found, side=side: found[side], merge.data) for side in (1, 2)]  # type: ignore[misc]
    values = [json.loads(side) for side in sides]
    if merge.conflicts:
        with pytest.raises(json.JSONDecodeError):
            json.loads(merge.data)
        assert values[0] != values[1] or sides[0] != sides[1]
    else:
        assert merge.data == mirrored.data
    for side in (ours, theirs):
        same = merge_file(path, *map(dumps, (side, side, side)))
        assert same is not None and json.loads(same.data) == side and not same.conflicts


def test_an_order_that_is_another_models_is_kept() -> None:
    base, ours, theirs = ({"z": 1, "a": n, "k": m} for n, m in ((1, 1), (2, 1), (1, 2)))
    merge = merge_file("jobs/a/job.json", *(json.dumps(each).encode() for each in (base, ours, theirs)))
    assert merge is not None and merge.data == b'{\n  "z": 1,\n  "a": 2,\n  "k": 2\n}\n'


def test_markers_are_as_git_asks_for_them() -> None:
    sides = [dumps({"n": n, "x": 1}) for n in (1, 2, 3)]
    merge = merge_file("jobs/a/job.json", *sides, labels=("HEAD", "topic"), marker_size=9)
    assert merge is not None
    assert merge.data == (b'{\n<<<<<<<<< HEAD\n  "n": 2,\n=========\n  "n": 3,\n>>>>>>>>> topic\n  "x": 1\n}\n')
    assert [each.pointer for each in merge.conflicts] == ["/n"]


@pytest.mark.parametrize(
    ("path", "sides"),
    [
        ("notes.json", (b"{}", b'{"n": 1}', b"{}")),
        ("jobs/a/job.json", (b"{}", b"no JSON", b"{}")),
        ("jobs/a/job.json", (b"{}", b"[]", b"{}")),
        ("jobs/a/sheets/0001.json", (b"{}", b"", b"{}")),
    ],
)
def test_what_is_no_state_on_some_side_is_left_to_git(path: str, sides: tuple[bytes, bytes, bytes]) -> None:
    assert merge_file(path, *sides) is None


def test_a_file_that_each_side_made_is_merged_from_nothing() -> None:
    merge = merge_file("jobs/a/job.json", b"", b'{"x": 1}', b'{"y": 2}')
    assert merge is not None and json.loads(merge.data) == {"x": 1, "y": 2}


def test_two_jobs_in_one_file_are_a_conflict_of_the_whole() -> None:
    """As git sees a fork of a job that was deleted: for it the job was renamed."""
    sides = [dumps({"job_id": name, "n": n}) for name, n in (("a", 1), ("b", 1), ("a", 2))]
    merge = merge_file("jobs/a/job.json", sides[0], sides[1], sides[2])
    assert merge is not None
    assert [(each.pointer, each.ours, each.theirs) for each in merge.conflicts] == [("/job_id", "b", "a")]
    kept = [_MARKED.sub(lambda found, side=side: found[side], merge.data) for side in (1, 2)]  # type: ignore[misc]
    assert [json.loads(each) for each in kept] == [{"job_id": "b", "n": 1}, {"job_id": "a", "n": 2}]
