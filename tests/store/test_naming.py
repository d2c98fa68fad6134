"""Names of revisions: each finds what it says, and what answers to none or to several is an error that helps."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitstate import errors
from gitstate.format.message import EVENT, Message
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.store import Store
from tests.clocks import Clock
from tests.git import git
from tests.stores import NOTES


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the store; each write below is an hour after the last time."""
    return Clock(monkeypatch)


@pytest.fixture
def store(time: Clock) -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


def put(store: Store, time: Clock | None, document: str, number: int | None, event: str = "saved") -> str:
    """Write a number, or delete (None), an hour after the last time."""
    if time is not None:
        time.now += timedelta(hours=1)
    told = Message(f"{document} is {number}", trailers=(("Gitstate-Note", document), (EVENT, event)))

    def edit(current: Snapshot | None) -> Draft:
        if number is None:
            return Draft(told, delete=True)
        if event == "execution":
            return Draft(told, attachments={"executions/0001/output.txt": b"%d" % number})
        return Draft(told, value={"id": document, "n": number})

    made = store.submit(NOTES, document, edit).result()
    assert made is not None
    return made.id


def n(store: Store, document: str, at: str | None) -> object:
    snapshot = store.load(NOTES, document, at)
    return None if snapshot is None else snapshot.value()["n"]


def test_steps_back_count_the_document_s_own_revisions_and_no_executions(store: Store, time: Clock) -> None:
    for number in range(4):
        put(store, time, "a", number)
        put(store, time, "b", 10 + number)
        put(store, time, "a", number, "execution")
    assert [n(store, "a", f"~{back}") for back in range(4)] == [3, 2, 1, 0]
    assert n(store, "a", "~") == 2
    assert n(store, "b", "~3") == 10
    with pytest.raises(errors.RevisionNotFoundError, match=r"'a' does not go back to '~4': it has 4 rev.*a is 0"):
        store.load(NOTES, "a", "~4")
    with pytest.raises(errors.RevisionNotFoundError, match="there never was a 'c' in notes/, so it"):
        store.load(NOTES, "c", "~1")
    with pytest.raises(errors.InvalidInputError, match="one document"):
        list(store.documents(NOTES, "~1"))


def test_steps_back_begin_at_any_name(store: Store, time: Clock) -> None:
    made = [put(store, time, "a", number) for number in range(4)]
    other = put(store, time, "b", 10)
    store.pins(NOTES, "a").add("good", made[2])
    assert n(store, "a", f"{made[3][:8]}~2") == 1
    assert n(store, "a", "good~1") == 1
    assert n(store, "a", "good~0") == 2
    assert n(store, "a", f"{other}~0") == 3
    assert n(store, "a", "2026-03-01 12:30Z~1") == 1
    assert n(store, "a", "~1~1") == 1
    assert (n(store, "a", "@"), n(store, "a", "@~1"), store.resolve("@")) == (3, 2, other)
    assert (n(store, "a", "HEAD"), n(store, "a", "HEAD~1"), store.resolve("HEAD")) == (3, 2, other)


def test_a_time_means_the_state_of_then(store: Store, time: Clock) -> None:
    for number in range(3):  # at 10, 12 and 14 o'clock
        put(store, time, "a", number)
        put(store, time, "b", number)
    assert n(store, "a", "2026-03-01T10:00Z") == 0
    assert n(store, "a", "2026-03-01 11:59") == 0
    assert n(store, "a", "2026-03-01T13:00+01:00") == 1
    assert n(store, "a", "2026-03-02") == 2
    assert n(store, "a", "now") == 2
    assert n(store, "a", "2 hours ago") == 1
    assert n(store, "a", "2.hours.ago") == 1
    with pytest.raises(errors.RevisionNotFoundError, match=r"'a' is younger than 2026-03-01 09:59:00Z.*10:00"):
        store.load(NOTES, "a", "2026-03-01T09:59")
    assert [found.value()["n"] for found in store.documents(NOTES, "2026-03-01 12:00")] == [1, 0]
    with pytest.raises(errors.RevisionNotFoundError, match="the store is younger than 2026-02-28"):
        list(store.documents(NOTES, "2026-02-28"))


def test_deleted_is_the_last_state_before_the_last_deletion(store: Store, time: Clock) -> None:
    put(store, time, "a", 1)
    with pytest.raises(errors.RevisionNotFoundError, match="'a' was never deleted"):
        store.load(NOTES, "a", "@deleted")
    put(store, time, "a", 2)
    put(store, time, "a", None)
    assert n(store, "a", None) is None
    assert n(store, "a", "@deleted") == 2
    assert n(store, "a", "@deleted~1") == 1
    assert n(store, "a", "~0") is None
    put(store, time, "a", 3)
    assert n(store, "a", "@deleted") == 2
    put(store, time, "a", None)
    put(store, time, "b", 1)
    assert n(store, "a", "@deleted") == 3


def test_of_several_commits_with_these_digits_the_document_s_own_counts_if_it_is_alone(
    store: Store, time: Clock
) -> None:
    made: dict[str, tuple[str, str]] = {}
    apart: list[tuple[str, str]] = []
    while not apart:  # among some hundred commits two share four digits
        document = f"d{len(made) % 7}"
        commit_id = put(store, time, document, len(made))
        other = made.setdefault(commit_id[:4], (document, commit_id))
        apart = [other, (document, commit_id)] if other[0] != document else []
    for document, commit_id in apart:
        assert store.resolve(commit_id[:4], NOTES, document) == commit_id
    with pytest.raises(errors.RevisionNotFoundError, match="is ambiguous: ") as caught:
        store.resolve(apart[0][1][:4])
    assert all(commit_id[:12] in str(caught.value) for _, commit_id in apart)


def test_what_there_is_not_is_an_error_with_candidates(store: Store, time: Clock) -> None:
    made = [put(store, time, "a", number) for number in range(3)]
    store.pins(NOTES, "a").add("before-upgrade", made[0])
    with pytest.raises(errors.RevisionNotFoundError) as caught:
        store.load(NOTES, "a", "before-update")
    told = "there is no revision 'before-update' of 'a'; pins: before-upgrade; newest: "
    assert str(caught.value).startswith(told)
    assert f"{made[2][:12]} a is 2; {made[1][:12]} a is 1; {made[0][:12]} a is 0" in str(caught.value)
    assert "~1" in caught.value.hint
    for name in (
        "head",
        "0000",
        "f" * 40,
        "..",
        "../../HEAD",
        "a b",
        "@{1}",
        "x" * 5000,
        "~" * 5000,
        "\ud800",
        "\0",
        "/etc/passwd",
    ):
        with pytest.raises(errors.RevisionNotFoundError, match="there is no revision"):
            store.load(NOTES, "a", name)
        with pytest.raises(errors.RevisionNotFoundError, match="there is no revision"):
            store.resolve(name)
    for wrong in ("", 7):
        with pytest.raises(errors.InvalidInputError, match="by a text"):
            store.resolve(wrong, NOTES, "a")  # type: ignore[arg-type]


def test_tags_that_git_made_are_names(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        first = put(store, None, "a", 1)
        put(store, None, "a", 2)
        git(folder, "tag", "baseline", first)
        git(folder, "tag", "-a", "-m", "told", "release/1.0", first)
        git(folder, "tag", "notes/a/good", first)
        git(folder, "tag", "no-commit", "HEAD:gitstate.json")
        for name in ("baseline", "release/1.0", "good", "notes/a/good"):
            assert n(store, "a", name) == 1, name
        assert store.resolve("baseline") == first
        assert n(store, "a", "baseline~0") == 1
        with pytest.raises(errors.RevisionNotFoundError):
            store.load(NOTES, "a", "no-commit")
        other = git(folder, "commit-tree", "-m", "no store", f"{first}:notes").strip()
        with pytest.raises(errors.RevisionNotFoundError, match=r"is no revision of a store: it holds no gitstate"):
            store.load(NOTES, "a", other)


def test_a_pin_comes_before_a_tag_and_a_whole_id_before_all(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        one, two, three = (put(store, None, "a", number) for number in (1, 2, 3))
        git(folder, "tag", "good", two)
        assert n(store, "a", "good") == 2
        store.pins(NOTES, "a").add("good", one)
        assert n(store, "a", "good") == 1
        assert n(store, "b", "good") is None
        assert store.resolve("good") == two
        git(folder, "update-ref", f"refs/tags/{three}", one)
        assert n(store, "a", three) == 3
        for length in (39, 40, 41, 60):
            store.pins(NOTES, "a").add("x" * length, one)
            assert n(store, "a", "x" * length) == 1
