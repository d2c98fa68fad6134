"""The life of a backend on git: opening, closing, loops, forks, programs that forget, other people's files."""

import asyncio
import errno
import json
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gitstate import CheckpointState, ClosedError, GitStateBackend, InvalidInputError, SheetStatus, errors
from gitstate.engine import files
from tests.git import fsck, git
from tests.stores import leave_damaged


def job(job_id: str = "nightly", sheets: int = 3) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=sheets)


def run(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )


async def test_a_save_is_a_commit_that_plain_git_can_read(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        state = job()
        await backend.save(state)
        state.mark_sheet_started(1)
        state.mark_sheet_failed(1, "no route to host")
        await backend.save(state)
    folder = tmp_path / "state"
    subjects = git(folder, "log", "--format=%s").splitlines()
    assert subjects == ["nightly: sheet 1 failed (0/3 done)", "nightly: created (0/3 done)", "a new store"]
    assert json.loads((folder / "jobs/nightly/job.json").read_text())["job_id"] == "nightly"
    assert json.loads((folder / "jobs/nightly/sheets/0001.json").read_text())["error_message"] == "no route to host"
    assert git(folder, "status", "--porcelain") == ""
    assert "Gitstate-Job: nightly" in git(folder, "log", "-1", "--format=%(trailers)")


async def test_two_backends_on_one_path_see_each_other_at_once(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as one, GitStateBackend(tmp_path / "state") as two:
        for number in range(1, 4):
            writer, reader = (one, two) if number % 2 else (two, one)
            state = await writer.load("nightly") or job()
            state.mark_sheet_completed(number)
            await writer.save(state)
            seen = await reader.load("nightly")
            assert seen is not None
            assert seen.sheets[number].status == SheetStatus.COMPLETED


async def test_files_that_are_not_ours_stay_and_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        state = job()
        state.mark_sheet_started(1)
        await backend.save(state)
    (folder / "README.md").write_text("Hello\n")
    (folder / "jobs/nightly/notes.txt").write_text("mine\n")
    (folder / "jobs/nightly/sheets/notes.txt").write_text("mine too\n")
    (folder / "jobs/other").mkdir()
    (folder / "jobs/other/notes.txt").write_text("no job\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "add my notes")
    async with GitStateBackend(folder) as backend:
        loaded = await backend.load("nightly")
        assert loaded is not None
        loaded.mark_sheet_completed(1)
        await backend.save(loaded)
        assert [found.job_id for found in await backend.list_jobs()] == ["nightly"]
        assert await backend.load("other") is None
        assert await backend.delete("nightly")
        assert await backend.load("nightly") is None
        await backend.save(job("other"))
    listed = git(folder, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    assert listed == [
        "README.md",
        "gitstate.json",
        "jobs/nightly/notes.txt",
        "jobs/nightly/sheets/notes.txt",
        "jobs/other/job.json",
        "jobs/other/notes.txt",
    ]


def test_one_backend_works_across_successive_event_loops(tmp_path: Path) -> None:
    backend = GitStateBackend(tmp_path / "state")
    for number in range(1, 4):
        asyncio.run(backend.save(job(f"job-{number}")))
    assert len(asyncio.run(backend.list_jobs())) == 3
    asyncio.run(backend.close())


async def test_close_is_idempotent_and_a_call_after_it_is_an_error(tmp_path: Path) -> None:
    backend = GitStateBackend(tmp_path / "state")
    await backend.close()
    await backend.close()
    for call in (backend.load("a"), backend.save(job()), backend.list_jobs(), backend.history("a"), backend.flush()):
        with pytest.raises(ClosedError, match="closed"):
            await call


def test_a_program_that_forgets_close_ends_with_everything_saved_and_shown(tmp_path: Path) -> None:
    done = run(
        """
        import asyncio, sys
        from gitstate import CheckpointState, GitStateBackend
        backend = GitStateBackend(sys.argv[1])
        async def main():
            state = CheckpointState(job_id="nightly", job_name="n", total_sheets=3)
            await backend.save(state)
            state.mark_sheet_started(1)
            asyncio.ensure_future(backend.save(state))
            await asyncio.sleep(0)  # the save was handed over, and nobody waits for it
        asyncio.run(main())
        """,
        tmp_path / "state",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert git(tmp_path / "state", "status", "--porcelain") == ""
    assert json.loads((tmp_path / "state/jobs/nightly/job.json").read_text())["job_id"] == "nightly"


def test_a_forked_child_is_told_to_open_its_own(tmp_path: Path) -> None:
    done = run(
        """
        import asyncio, os, sys
        from gitstate import CheckpointState, ClosedError, GitStateBackend
        backend = GitStateBackend(sys.argv[1])
        state = CheckpointState(job_id="nightly", job_name="n", total_sheets=3)
        asyncio.run(backend.save(state))
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(backend.save(state))
            except ClosedError as error:
                print(error, flush=True)
            async def own():
                async with GitStateBackend(sys.argv[1]) as mine:
                    await mine.mark_sheet_status("nightly", 1, "completed")
            asyncio.run(own())
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        asyncio.run(backend.mark_sheet_status("nightly", 2, "completed"))
        state = asyncio.run(backend.load("nightly"))
        print(sorted(state.sheets), flush=True)
        """,
        tmp_path / "state",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "this store was opened by the process that forked this one (open the store again)",
        "[1, 2]",
    ]
    fsck(tmp_path / "state")


async def test_a_store_inside_another_repository_says_once_how_to_ignore_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING, "gitstate"):
        async with GitStateBackend("./state") as backend:
            await backend.save(job())
        async with GitStateBackend("./state") as backend:
            assert await backend.load("nightly") is not None
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "/state/" in told[0]
    (tmp_path / ".gitignore").write_text("/state/\n")
    assert git(tmp_path, "status", "--porcelain") == "?? .gitignore\n"


async def test_without_a_worktree_the_repository_is_bare(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state.git", worktree=False) as backend:
        await backend.save(job())
        assert backend.store.path is None
    assert git(tmp_path / "state.git", "rev-parse", "--is-bare-repository") == "true\n"
    async with GitStateBackend(tmp_path / "state.git") as backend:
        assert await backend.load("nightly") is not None


async def test_a_plain_clone_is_a_store(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        await backend.save(job())
    git(tmp_path, "clone", "-q", "state", "clone")
    async with GitStateBackend(tmp_path / "clone") as backend:
        await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    assert git(tmp_path / "clone", "status", "--porcelain") == ""
    git(tmp_path / "clone", "push", "-q", "origin", "HEAD:refs/heads/from-clone")
    fsck(tmp_path / "clone")


async def test_an_empty_repository_becomes_a_store_and_one_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    async with GitStateBackend(tmp_path / "empty") as backend:
        await backend.save(job())
    assert git(tmp_path / "empty", "status", "--porcelain") == ""
    git(tmp_path, "init", "-q", "project")
    (tmp_path / "project/code.py").write_text("print()\n")
    git(tmp_path / "project", "add", ".")
    git(tmp_path / "project", "commit", "-qm", "code")
    before = git(tmp_path / "project", "rev-parse", "HEAD")
    with pytest.raises(errors.UnsupportedError, match=r"no store: gitstate\.json"):
        GitStateBackend(tmp_path / "project")
    assert git(tmp_path / "project", "rev-parse", "HEAD") == before
    assert git(tmp_path / "project", "status", "--porcelain") == ""


async def test_state_beside_a_project_lives_on_a_branch_that_was_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk", "project")
    folder = tmp_path / "project"
    (folder / "code.py").write_text("print()\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "code")
    with pytest.raises(errors.UnsupportedError, match="no store: it has refs/heads/trunk"):
        GitStateBackend(folder)
    assert git(folder, "branch", "--format=%(refname)") == "refs/heads/trunk\n"
    async with GitStateBackend(folder, branch="gitstate") as backend:
        await backend.save(job())
    assert git(folder, "status", "--porcelain") == ""
    assert sorted(path.name for path in folder.iterdir()) == [".git", "code.py"]
    assert git(folder, "log", "--format=%s", "gitstate") == "nightly: created (0/3 done)\na new store\n"
    fsck(folder)


async def test_a_store_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    leave_damaged(folder)
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
    (folder / "gitstate.json").write_text('{"format": 2, "fanout": 0}\n')
    git(folder, "commit", "-qam", "from the future")
    before = git(folder, "rev-parse", "HEAD")
    with pytest.raises(errors.UnsupportedFormatError, match="2"):
        GitStateBackend(folder)
    assert git(folder, "rev-parse", "HEAD") == before


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.GitStateError, match="file"):
        GitStateBackend(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/data.txt").write_text("")
    with pytest.raises(errors.GitStateError, match="full"):
        GitStateBackend(tmp_path / "full")
    with pytest.raises(errors.StoreNotFoundError):
        GitStateBackend(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(InvalidInputError):
        GitStateBackend(tmp_path / "state", durability="some")


async def test_a_commit_by_a_person_is_a_checkpoint_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.flush()
        file = folder / "jobs/nightly/job.json"
        file.write_text(file.read_text().replace('"job_name": "nightly"', '"job_name": "by hand"'))
        git(folder, "commit", "-qam", "rename it")
        found = await backend.load("nightly")
        assert found is not None
        assert found.job_name == "by hand"
        newest = (await backend.history("nightly"))[0]
        assert (newest.event, newest.subject, newest.author) == ("edited", "rename it", "A Tester")
        found.mark_sheet_completed(1)
        await backend.save(found)
    assert json.loads(file.read_text())["job_name"] == "by hand"
    assert git(folder, "status", "--porcelain") == ""


def _init(path: str) -> None:
    asyncio.run(_save_one(path))


async def _save_one(path: str) -> None:
    async with GitStateBackend(path) as backend:
        await backend.save(job(f"job-{os.getpid()}"))


def test_processes_that_open_a_new_store_at_once_all_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_init, args=(str(tmp_path / "state"),)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    fsck(tmp_path / "state")
    assert len(list((tmp_path / "state/jobs").iterdir())) == 4
    assert git(tmp_path / "state", "status", "--porcelain") == ""


async def test_a_save_that_failed_after_the_swap_is_not_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        state = CheckpointState(job_id="nightly", job_name="nightly", total_sheets=1)
        await backend.save(state)
        sync = files.sync_directory

        def fail_once(path: str | os.PathLike[str]) -> None:
            if os.fspath(path).endswith("refs/heads"):
                monkeypatch.undo()
                raise OSError(errno.EIO, "the disk is bad", path)
            sync(path)

        monkeypatch.setattr(files, "sync_directory", fail_once)
        state.total_retry_count = 1
        state.metadata["large"] = random.Random(1).randbytes(400_000).hex()  # too large for the journal
        with pytest.raises(errors.StorageError):
            await backend.save(state)
        await backend.save(state)
        found = await backend.load("nightly")
        assert found is not None
        assert found.total_retry_count == 1
