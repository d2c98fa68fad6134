"""Pins: names that never move, are git tags, and are refused where they would be read as something else."""

import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate import errors
from gitstate.store.pins import Pin
from gitstate.store.store import Store
from tests.git import git
from tests.store.test_naming import n, put
from tests.stores import NOTES, leave_damaged


def test_a_pin_stands_where_it_was_put(store: Store) -> None:
    one, two = put(store, None, "a", 1), put(store, None, "a", 2)
    pins = store.pins(NOTES, "a")
    assert pins.all() == []
    assert pins.add("good", one)
    assert not pins.add("good", one)
    with pytest.raises(errors.ExistsError, match=f"'good' of 'a' is pinned at {one[:12]}; it was not moved"):
        pins.add("good", two)
    assert pins.add("better", two)
    assert pins.all() == [Pin("better", two), Pin("good", one)]
    assert store.pins(NOTES, "b").all() == []
    assert (n(store, "a", "good"), n(store, "a", "better")) == (1, 2)
    assert pins.remove("good") == one
    assert pins.all() == [Pin("better", two)]
    with pytest.raises(errors.NotFoundError, match=r"'a' has no pin 'good'.*better"):
        pins.remove("good")
    with pytest.raises(errors.RevisionNotFoundError):
        store.load(NOTES, "a", "good")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".a", "-a", "a b", "a/b", "a~1", "@a", "a:b", "a^", "a*", "a\n", "x" * 61, "\ud800", "ä" * 31, 7],
)
def test_a_name_that_cannot_be_one_is_refused(store: Store, name: str) -> None:
    revision = put(store, None, "a", 1)
    with pytest.raises(errors.InvalidInputError, match="a pin cannot be named"):
        store.pins(NOTES, "a").add(name, revision)


@pytest.mark.parametrize("name", ["cafe", "CAFE", "2026", "0" * 40, "now", "Yesterday", "2026-03-01", "2-hours-ago"])
def test_a_name_that_would_be_read_as_something_else_is_refused(store: Store, name: str) -> None:
    revision = put(store, None, "a", 1)
    with pytest.raises(errors.InvalidInputError, match="would be read as a commit id or a time"):
        store.pins(NOTES, "a").add(name, revision)


@given(name=st.text(st.characters(categories=["L", "N"]) | st.sampled_from("._-"), min_size=1, max_size=20))
def test_every_name_that_is_taken_names_the_revision_and_is_listed(name: str) -> None:
    with Store.in_memory() as store:
        one = put(store, None, "a/b.c", 1)
        put(store, None, "a/b.c", 2)
        pins = store.pins(NOTES, "a/b.c")
        try:
            pins.add(name, one)
        except errors.InvalidInputError:
            assert pins.all() == []
        else:
            assert pins.all() == [Pin(name, one)]
            assert n(store, "a/b.c", name) == 1


def test_a_pin_is_a_git_tag_and_a_git_tag_there_is_a_pin(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        one, two = put(store, None, "a.b", 1), put(store, None, "a.b", 2)
        pins = store.pins(NOTES, "a.b")
        pins.add("v1.2", one)
        assert git(folder, "tag").split() == ["notes/a%2Eb/v1%2E2"]
        git(folder, "tag", "notes/a%2Eb/v1.3", two)
        git(folder, "tag", "-a", "-m", "told", "notes/a%2Eb/told", one)
        git(folder, "tag", "notes/a%2Eb/file", "HEAD:gitstate.json")
        assert pins.all() == [Pin("told", one), Pin("v1.2", one), Pin("v1.3", two)]
        assert [n(store, "a.b", name) for name in ("v1.2", "v1.3", "told")] == [1, 2, 1]
        with pytest.raises(errors.ExistsError):
            pins.add("v1.3", one)
        git(folder, "pack-refs", "--all")
        for name in ("v1.2", "v1.3", "told"):
            pins.remove(name)
        assert git(folder, "tag").split() == ["notes/a%2Eb/file"]
        git(folder, "clone", "-q", "--bare", ".", "../clone")
    with Store.open(tmp_path / "clone") as clone:
        assert clone.pins(NOTES, "a.b").all() == []


def test_a_clone_and_a_push_with_tags_carry_pins(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    git(tmp_path, "init", "-q", "--bare", "remote")
    with Store.open(folder) as store:
        one = put(store, None, "a", 1)
        put(store, None, "a", 2)
        store.pins(NOTES, "a").add("good", one)
        git(folder, "push", "-q", "--tags", "../remote", "main")
    git(tmp_path, "clone", "-q", "remote", "clone")
    with Store.open(tmp_path / "clone") as clone:
        assert clone.pins(NOTES, "a").all() == [Pin("good", one)]
        assert n(clone, "a", "good") == 1


def test_what_a_pin_names_outlives_a_history_that_a_person_rewrote(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        one, two = put(store, None, "a", 1), put(store, None, "a", 2)
        store.pins(NOTES, "a").add("good", two)
    git(folder, "reset", "-q", "--hard", one)
    git(folder, "reflog", "expire", "--expire=now", "--all")
    git(folder, "gc", "-q", "--prune=now")
    with Store.open(folder) as store:
        assert n(store, "a", None) == 1
        assert n(store, "a", "good") == 2
        store.gc()
        assert n(store, "a", "good") == 2


def test_of_two_who_pin_one_name_the_second_is_told(tmp_path: Path) -> None:
    outcomes: list[bool | str] = []
    with Store.open(tmp_path / "store") as one, Store.open(tmp_path / "store") as two:
        revisions = [put(one, None, "a", number) for number in range(2)]

        def work(store: Store, revision: str) -> None:
            try:
                outcomes.append(store.pins(NOTES, "a").add("good", revision))
            except errors.ExistsError as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=work, args=pair) for pair in zip((one, two), revisions, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, outcomes)) == ["True", "exists"]
        assert one.pins(NOTES, "a").all() == two.pins(NOTES, "a").all()


def test_verify_follows_pins_and_names_those_that_lost_what_they_name(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        one, two = put(store, None, "a", 1), put(store, None, "a", 2)
        store.pins(NOTES, "a").add("good", two)
        git(folder, "update-ref", "refs/heads/main", one)
        assert store.verify(NOTES).revisions == 3
        git(folder, "tag", "notes/a/file", "HEAD:gitstate.json")
        (folder / ".git/refs/tags/notes/a/lost").write_text("1" * 40 + "\n")
        report = store.verify(NOTES)
        assert [(problem.kind, problem.place, problem.severity) for problem in report.problems] == [
            ("pin", "refs/tags/notes/a/file", "warning"),
            ("pin", "refs/tags/notes/a/lost", "error"),
        ]
    leave_damaged(folder)


def test_one_name_at_two_revisions_on_two_machines_is_reported_and_neither_moves(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "remote")
    with Store.open(tmp_path / "one") as store:
        revisions = [put(store, None, "a", number) for number in range(2)]
        git(tmp_path / "one", "push", "-q", "../remote", "main")
        git(tmp_path, "clone", "-q", "remote", "two")
        store.pins(NOTES, "a").add("good", revisions[0])
        git(tmp_path / "one", "push", "-q", "--tags", "../remote")
    with Store.open(tmp_path / "two") as store:
        store.pins(NOTES, "a").add("good", revisions[1])
        for command in (["push", "--tags", "origin"], ["fetch", "--tags", "origin"]):
            refused = subprocess.run(["git", *command], cwd=tmp_path / "two", capture_output=True, text=True)
            assert refused.returncode != 0
            assert "notes/a/good" in refused.stderr
        assert store.pins(NOTES, "a").all() == [Pin("good", revisions[1])]
    with Store.open(tmp_path / "remote") as store:
        assert store.pins(NOTES, "a").all() == [Pin("good", revisions[0])]
