"""Which commit of a project ran: carried by every save, and read again."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends import code as module
from gitstate.engine.project import Project
from gitstate.errors import InvalidInputError, JobNotFoundError, NotFoundError, RevisionNotFoundError, UnsupportedError
from tests.git import git
from tests.projects import make_project, quietly

BRANCH = "gitstate"


def job(job_id: str = "nightly") -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=2)


def commit(project: Path, message: str = "Next") -> str:
    quietly(project, "commit", "-q", "-a", "--allow-empty", "-m", message)
    return quietly(project, "rev-parse", "HEAD").strip()


async def codes(backend: GitStateBackend, job_id: str = "nightly") -> list[tuple[str | None, bool | None]]:
    return [(each.code, each.code_dirty) for each in await backend.history(job_id)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tracked files are those of its commit."""
    made = make_project(tmp_path / "project")
    quietly(made, "restore", "README")
    return made


@pytest.fixture(params=["in the project", "elsewhere"])
def options(request: pytest.FixtureRequest, tmp_path: Path, project: Path) -> dict[str, Any]:
    if request.param == "in the project":
        return {"path": project, "branch": BRANCH}
    return {"path": tmp_path / "state", "code": project / "src"}


async def test_every_write_carries_the_commit_of_the_project(project: Path, options: dict[str, Any]) -> None:
    first = commit(project)
    async with GitStateBackend(**options) as backend:
        state = job()
        await backend.save(state)
        await backend.mark_sheet_status("nightly", 1, "in_progress")  # type: ignore[arg-type]
        await backend.record_execution("nightly", 1, 1, "prompt", "output")
        assert await codes(backend) == [(first, False)] * 3
        (project / "README").write_text("edited")
        second = commit(project)
        await backend.delete("nightly")
        await backend.undelete("nightly")
        assert await codes(backend) == [(second, False)] * 2 + [(first, False)] * 3
        told = git(
            options["path"], "log", "-1", "--format=%(trailers:key=Gitstate-Code)", options.get("branch", "main")
        )
        assert told.strip() == f"Gitstate-Code: {second}"
        found = await backend.history("nightly", trailer=f"Gitstate-Code: {first}")
        assert len(found) == 3
    async with GitStateBackend(**options | {"code": False}) as backend:
        await backend.save(job("other"))
        assert await codes(backend, "other") == [(None, None)]


async def test_changes_of_tracked_files_make_it_dirty(
    project: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(project)
    monkeypatch.setattr(module, "_FRESH", 0.0)
    async with GitStateBackend(**options) as backend:
        await backend.save(job("a"))
        (project / "README").write_text("edited")
        await backend.save(job("b"))  # it has the answer of the last look, and begins another one
        _wait_for_looks()
        await backend.save(job("c"))
        assert await codes(backend, "a") == [(head, False)]
        assert await codes(backend, "c") == [(head, True)]
        told = await backend.history("c", trailer=f"Gitstate-Code: {head} dirty")
        assert len(told) == 1


def _wait_for_looks() -> None:
    for thread in threading.enumerate():
        if thread.name == "gitstate-code":
            thread.join()


async def test_the_look_at_the_files_is_rare_and_a_slow_one_holds_up_no_save(
    project: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(project)
    looks, go_on = [], threading.Event()

    def look(_: Project, commit_id: str) -> bool:
        looks.append(commit_id)
        go_on.wait(10)
        return True

    monkeypatch.setattr(Project, "is_dirty", look)
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    async with GitStateBackend(**options) as backend:
        state = job()
        await backend.save(state)
        await backend.save(state)
        assert await codes(backend) == [(head, None)] * 2
        assert looks == [head], "one at a time"
        go_on.set()
        _wait_for_looks()
        for _ in range(3):
            await backend.save(state)
        assert (await codes(backend))[:3] == [(head, True)] * 3
        assert looks == [head], "it is fresh"
        second = commit(project)
        await backend.save(state)
        _wait_for_looks()
        assert looks == [head, second]


async def test_a_project_without_a_commit_is_left_out_until_it_has_one(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", commit=False)
    async with GitStateBackend(tmp_path / "state", code=project) as backend:
        await backend.save(job("a"))
        quietly(project, "add", ".")
        head = commit(project)
        await backend.save(job("b"))
        (project / ".git/HEAD").unlink()
        await backend.save(job("c"))
        found = [(await codes(backend, name))[0][0] for name in "abc"]
        assert found == [None, head, None]


async def test_of_a_linked_worktree_of_the_project_its_own_commit_counts(project: Path, tmp_path: Path) -> None:
    quietly(project, "worktree", "add", "-q", "-b", "feature", "../feature")
    feature = tmp_path / "feature"
    quietly(feature, "commit", "-q", "--allow-empty", "-m", "Feature")
    async with GitStateBackend(feature, branch=BRANCH) as backend:
        await backend.save(job())
        (feature / "README").write_text("edited")
    async with GitStateBackend(project, branch=BRANCH) as backend:
        await backend.save(job())
    async with GitStateBackend(feature, branch=BRANCH) as backend:
        await backend.save(job())
        heads = [quietly(place, "rev-parse", "HEAD").strip() for place in (feature, project)]
        assert await codes(backend) == [(heads[0], True), (heads[1], False), (heads[0], False)]


async def test_a_bare_project_is_no_project(tmp_path: Path, project: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", "project", "bare.git")
    async with GitStateBackend(tmp_path / "bare.git", branch=BRANCH) as backend:
        assert backend.store.project is None, "nothing runs there"
        await backend.save(job())
        assert await codes(backend) == [(None, None)]
    assert git(tmp_path / "bare.git", "symbolic-ref", "HEAD") == "refs/heads/main\n"
    async with GitStateBackend(tmp_path / "state", code=tmp_path / "bare.git") as backend:
        await backend.save(job())
        assert await codes(backend) == [(git(project, "rev-parse", "HEAD").strip(), False)]


async def test_a_store_of_its_own_has_no_project(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
    for words in (["checkout", "-q", "--detach"], ["checkout", "-q", "-b", "side"]):
        git(folder, *words)
        async with GitStateBackend(folder) as backend:
            assert backend.store.project is None
            await backend.save(job())
            assert await codes(backend) == [(None, None)] * len(await backend.history("nightly"))


@pytest.mark.parametrize("code", [True, "", 3])
async def test_what_names_no_project_is_refused_before_anything_is_made(tmp_path: Path, code: Any) -> None:
    with pytest.raises(InvalidInputError, match="names no project"):
        GitStateBackend(tmp_path / "state", code=code)
    with pytest.raises(InvalidInputError, match="lies in no git repository"):
        GitStateBackend(tmp_path / "state", code=tmp_path)
    git(tmp_path, "init", "-q", "--object-format=sha256", "sha256")
    with pytest.raises(UnsupportedError, match="sha256"):
        GitStateBackend(tmp_path / "state", code=tmp_path / "sha256")
    assert not (tmp_path / "state").exists()


async def test_what_the_commit_says_is_found_where_it_is(
    project: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    head = commit(project, "Faster reports")
    async with GitStateBackend(**options) as backend:
        await backend.save(job())
        found = await backend.code("nightly")
        assert (found.checkpoint.code, found.checkpoint.code_dirty, found.project) == (head, False, project)
        assert (found.subject, found.author, found.email) == ("Faster reports", "A Tester", "tester@example.org")
        assert found.time is not None and found.time.tzinfo is not None
        await backend.save(job())
        assert (await backend.code("nightly", at="~1")).checkpoint.revision == (await backend.history("nightly"))[
            1
        ].revision
        with pytest.raises(RevisionNotFoundError):
            await backend.code("nightly", at="never")
        with pytest.raises(JobNotFoundError):
            await backend.code("other")
    async with GitStateBackend(**options | {"code": False}) as backend:
        found = await backend.code("nightly")
        in_store = options["path"] == project
        assert found.project == (project if in_store else None), "the store's own repository may have it"
        assert (found.subject is None) == (not in_store)
        assert (await backend.code("nightly", project=project / "src")).subject == "Faster reports"
        await backend.save(job())
        with pytest.raises(NotFoundError, match="does not say which code ran") as caught:
            await backend.code("nightly")
        assert (await backend.history("nightly"))[1].revision[:10] in caught.value.hint


async def test_a_commit_that_is_gone_is_told(project: Path, tmp_path: Path) -> None:
    lost = commit(project)
    async with GitStateBackend(tmp_path / "state", code=project) as backend:
        await backend.save(job())
        quietly(project, "reset", "-q", "--hard", "HEAD~1")
        quietly(project, "reflog", "expire", "--expire=now", "--all")
        quietly(project, "gc", "-q", "--prune=now")
        found = await backend.code("nightly")
        assert (found.checkpoint.code, found.project, found.subject) == (lost, None, None)


@pytest.mark.parametrize(
    ("trailer", "expected"),
    [
        ("a" * 40, ("a" * 40, False)),
        ("a" * 64 + " dirty", ("a" * 64, True)),
        ("a" * 40 + " unchecked", ("a" * 40, None)),
        ("a" * 40 + " or so", ("a" * 40, None)),
        ("a" * 39, (None, None)),
        ("HEAD", (None, None)),
        ("", (None, None)),
    ],
)
async def test_what_others_write_is_read_with_care(tmp_path: Path, trailer: str, expected: tuple[Any, Any]) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
    message = f"By hand\n\nGitstate-Job: nightly\nGitstate-Event: saved\nGitstate-Code: {trailer}\n"
    (folder / "jobs/nightly/extra.txt").write_text("x")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", message)
    async with GitStateBackend(folder) as backend:
        assert (await codes(backend))[0] == expected


async def test_many_savers_share_one_look(project: Path) -> None:
    commit(project)
    async with GitStateBackend(project, branch=BRANCH) as backend:
        await asyncio.gather(*[backend.save(job(f"job-{number}")) for number in range(20)])
        for number in range(20):
            assert (await codes(backend, f"job-{number}"))[0][1] is False
