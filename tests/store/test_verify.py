"""What verify finds in a store that was damaged, and that it finds nothing in one that was not."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate.engine.repository import open_repository
from gitstate.store.documents import Snapshot
from gitstate.store.store import Store
from gitstate.store.verify import Report, check_repository
from tests.git import git, loose, unpack
from tests.store.test_store import write
from tests.stores import NOTES, leave_damaged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with two notes, one of them with an older revision, all objects in files of their own."""
    path = tmp_path / "store"
    with Store.open(path) as store:
        for value in ({"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b", "sheets": {"1": {"x": 1}, "2": {"x": 2}}}):
            store.submit(NOTES, str(value["id"]), write(value)).result()
    unpack(path)
    return path


def verified(path: Path, validate: Callable[[Snapshot], object] = lambda _: None) -> Report:
    with Store.open(path, create=False) as store:
        return store.verify(NOTES, validate=validate)


def commit(path: Path, *words: str) -> None:
    """Commit, with plain git, what a shell command makes of the worktree."""
    subprocess.run(["sh", "-ec", *words], cwd=path, check=True)
    git(path, "add", "-A")
    git(path, "commit", "-qm", "by hand")


def test_a_sound_store_is_ok(folder: Path) -> None:
    report = verified(folder)
    assert (report.revisions, report.documents, report.problems, report.ok) == (4, 2, (), True)
    count = git(folder, "rev-list", "--objects", "--all").splitlines()
    assert report.objects == len(count)


def test_a_store_in_memory_is_verified_too() -> None:
    with Store.in_memory() as store:
        store.submit(NOTES, "a", write({"id": "a"})).result()
        report = store.verify(NOTES)
    assert (report.revisions, report.documents, report.problems) == (2, 1, ())


@pytest.mark.parametrize(
    "revision", ["HEAD~1:notes/a/job.json", "HEAD~2:notes", "HEAD~1^{commit}", "HEAD~2:notes/a/job.json"]
)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "another"])
def test_an_object_that_is_damaged_or_gone_is_named(folder: Path, revision: str, damage: str) -> None:
    leave_damaged(folder)
    path = loose(folder, revision)
    good = path.read_bytes()
    path.unlink()
    if damage == "flipped":
        path.write_bytes(good[:-6] + bytes([good[-6] ^ 1]) + good[-5:])
    elif damage == "cut":
        path.write_bytes(good[: len(good) // 2])
    elif damage == "another":
        shutil.copy(loose(folder, "HEAD:gitstate.json"), path)
    report = verified(folder)
    assert not report.ok
    first = report.problems[0]
    assert first.kind == "object" and path.parent.name + path.name in first.what and first.hint
    place = revision.partition(":")[2]
    assert place in first.place and "revision" in first.place


@pytest.mark.parametrize("place", [8, 0.5, -30, -5])
@pytest.mark.parametrize("suffix", ["pack", "idx"])
def test_a_pack_with_a_wrong_byte_anywhere_is_named(tmp_path: Path, suffix: str, place: float) -> None:
    path = tmp_path / "store"
    with Store.open(path) as store:
        store.submit(NOTES, "a", write({"id": "a"})).result()
    leave_damaged(path)
    file = max((path / ".git/objects/pack").glob(f"*.{suffix}"), key=lambda file: file.stat().st_size)
    data = bytearray(file.read_bytes())
    data[int(place if place > 1 or place < 0 else len(data) * place)] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    report = check_repository(open_repository(path), [NOTES], lambda _: None, repair=False)
    assert f"objects/pack/{file.name}" in [problem.place for problem in report.problems if problem.kind == "pack"]


def test_what_this_process_remembers_is_read_from_the_disk(tmp_path: Path) -> None:
    leave_damaged(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        revision = store.submit(NOTES, "a", write({"id": "a"})).result()
        assert revision is not None and store.verify(NOTES).ok
        for pack in (tmp_path / "store/.git/objects/pack").iterdir():
            pack.unlink()
        assert store.load(NOTES, "a"), "remembered"
        report = store.verify(NOTES)
        assert not report.ok
        assert "missing" in report.problems[0].what


def test_our_other_refs_are_followed(folder: Path) -> None:
    leave_damaged(folder)
    git(folder, "update-ref", "refs/gitstate/pins/a/old", "HEAD~2")
    commit(folder, "rm notes/a/job.json; echo 1 > notes/b/sheets/0003.json")
    git(folder, "update-ref", "refs/gitstate/other/b/1", "HEAD")
    git(folder, "reset", "-q", "--hard", "HEAD^")
    git(folder, "update-ref", "refs/heads/mine", "HEAD")
    report = verified(folder)
    assert [(problem.kind, problem.place.split()[0]) for problem in report.problems] == [("document", "notes/b")]
    assert "0003.json" in report.problems[0].what
    assert report.documents == 4, "a twice, b twice"
    git(folder, "pack-refs", "--all")
    assert verified(folder) == report
    (folder / ".git/refs/gitstate/other").mkdir(parents=True)
    (folder / ".git/refs/gitstate/other/b").write_text("nonsense\n")
    problems = verified(folder).problems
    assert ("ref", "refs/gitstate/other/b") in [(problem.kind, problem.place) for problem in problems]


WRONG = {
    "a file of its value is gone": ("rm notes/b/sheets/0002.json", "document", "0002.json"),
    "no JSON": ("echo '{' > notes/a/job.json", "document", "job.json"),
    "the id of another": ("mv notes/a notes/c", "document", "'a'"),
    "no id": ("echo '{}' > notes/a/job.json", "document", "hold id"),
    "a link for a file": ("ln -sf ../b/job.json notes/a/job.json", "document", "link"),
    "a link for a folder": ("ln -s ../b notes/a/executions", "document", "link"),
    "a link for an attachment": (
        "mkdir notes/a/executions; ln -s ../job.json notes/a/executions/1",
        "document",
        "link",
    ),
    "a file for the collection": ("rm -r notes; echo x > notes", "place", "folder"),
    "another fanout": ("sed 's/0/1/' gitstate.json > new; mv new gitstate.json", "place", "no reader"),
    "too deep": ("mkdir -p notes/3/e; mv notes/a notes/3/e/b", "place", "no reader"),
    "no format": ("echo '{}' > gitstate.json", "format", "format"),
    "a link for the format": ("mv gitstate.json g; ln -s g gitstate.json", "format", ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_people_commit_is_checked_at_the_head(folder: Path, wrong: str) -> None:
    command, kind, said = WRONG[wrong]
    with Store.open(folder) as store:
        commit(folder, command)
        report = store.verify(NOTES)
        assert kind in {problem.kind for problem in report.problems} and not report.ok, report
        assert any(said in problem.what for problem in report.problems)
        git(folder, "reset", "-q", "--hard", "HEAD^")
        assert store.verify(NOTES).problems == ()


def test_what_is_not_ours_may_be_as_it_likes(folder: Path) -> None:
    commit(
        folder, "ln -s notes link; mkdir notes/% x; ln -s . notes/%/link; ln -s . notes/a/link; echo x > notes/readme"
    )
    assert verified(folder).problems == ()
    commit(folder, "ln -s a notes/c")
    report = verified(folder)
    assert report.ok
    assert [(problem.severity, problem.place.split()[0]) for problem in report.problems] == [("warning", "notes/c")]


def test_a_document_that_is_lost_hides_no_other(folder: Path) -> None:
    leave_damaged(folder)
    loose(folder, "HEAD:notes/a").unlink()
    report = verified(folder)
    assert [(problem.kind, problem.place.split()[0]) for problem in report.problems] == [
        ("object", "notes/a"),
        ("document", "notes/a"),
    ]
    assert report.documents == 2


def test_the_caller_judges_each_document_once(folder: Path) -> None:
    asked: list[str] = []

    def validate(snapshot: Snapshot) -> None:
        asked.append(snapshot.document)
        if snapshot.document == "b":
            raise snapshot.corrupt("it is b")

    git(folder, "update-ref", "refs/gitstate/pins/b", "HEAD")
    report = verified(folder, validate)
    assert sorted(asked) == ["a", "b"]
    assert [problem.place.split()[0] for problem in report.problems] == ["notes/b"]
    assert "it is b" in report.problems[0].what


def test_a_branch_that_is_gone_is_a_problem(folder: Path) -> None:
    leave_damaged(folder)
    with Store.open(folder) as store:
        git(folder, "update-ref", "-d", "refs/heads/main")
        report = store.verify(NOTES)
        assert [problem.kind for problem in report.problems] == ["ref"]
