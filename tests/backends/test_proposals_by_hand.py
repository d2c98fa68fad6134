"""Proposals that people made with plain git: other files, links, what is no state, and what a forge merged."""

import subprocess
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from gitstate.errors import InvalidInputError, StaleError
from tests.backends.proposed import apply, branches, change, propose, reset, run_sheet_4, two_jobs
from tests.git import git

store = pytest.fixture(two_jobs)


async def test_an_edit_that_contradicts_itself_or_is_no_state_is_not_applied(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/x", str(tmp_path / "x"))
    sheet = tmp_path / "x/jobs/nightly/sheets/0003.json"
    text = sheet.read_text()
    sheet.write_text(text.replace('"completed"', '"pending"'))
    git(tmp_path / "x", "commit", "-qam", "Sheet 3 once more")
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("x")
        assert (review.state, [each.is_fatal for each in review.problems]) == ("invalid", [False])
        assert "last_completed_sheet is 3" in review.problems[0].text
        with pytest.raises(InvalidInputError, match="last_completed_sheet"):
            await backend.apply_proposal("x")
        sheet.write_text(text.replace('"completed"', '"finished"'))
        git(tmp_path / "x", "commit", "-qam", "A slip")
        assert [each.is_fatal for each in (await backend.review_proposal("x")).problems] == [True]
        with pytest.raises(InvalidInputError, match="status"):
            await backend.apply_proposal("x", force=True)
        git(tmp_path / "x", "reset", "-q", "--hard", "HEAD~")
        done = await backend.apply_proposal("x", force=True)
        assert done.revision is not None and "is checked out in" in done.kept
    assert "proposals/x" in branches(store)
    git(store, "worktree", "remove", str(tmp_path / "x"))


async def test_a_branch_that_a_person_made_is_as_good_and_other_files_count(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/notes", str(tmp_path / "x"))
    (tmp_path / "x/NOTES.md").write_text("hello\n")
    git(tmp_path / "x", "add", "NOTES.md")
    git(tmp_path / "x", "commit", "-qm", "Say hello")
    git(store, "worktree", "remove", str(tmp_path / "x"))
    async with GitStateBackend(store) as backend:
        assert (await backend.review_proposal("notes")).files == ("NOTES.md",)
    await apply(store, "notes", keep=True)
    assert git(store, "show", "main:NOTES.md") == "hello\n"
    assert (store / "NOTES.md").read_text() == "hello\n"
    assert "proposals/notes" in branches(store)
    again = await apply(store, "notes")
    assert (again.revision, again.is_contained) == (None, True)


async def test_a_link_is_named_and_not_brought_in_unseen(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/x", str(tmp_path / "x"))
    (tmp_path / "x/NOTES.md").symlink_to("/etc/hostname")
    sheet = tmp_path / "x/jobs/nightly/sheets/0001.json"
    git(tmp_path / "x", "add", "NOTES.md")
    git(tmp_path / "x", "commit", "-qm", "a link")
    async with GitStateBackend(store) as backend:
        with pytest.raises(InvalidInputError, match=r"NOTES\.md becomes a link"):
            await backend.apply_proposal("x")
        sheet.unlink()
        sheet.symlink_to("/etc/hostname")
        git(tmp_path / "x", "commit", "-qam", "another one")
        with pytest.raises(InvalidInputError, match="is a link or a submodule, and no file"):
            await backend.apply_proposal("x", force=True)
        review = await backend.review_proposal("x", texts=True)
        assert (review.state, review.unread) == ("invalid", ("nightly",))
    git(store, "worktree", "remove", "--force", str(tmp_path / "x"))


async def test_what_lies_beside_a_state_is_named_to_the_reviewer(store: Path, tmp_path: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.record_execution("nightly", 1, 1, "prompt", "output")
        await backend.propose("x")
        git(store, "worktree", "add", "-q", str(tmp_path / "x"), "proposals/x")
        (tmp_path / "x/jobs/nightly/executions/0001/output.txt").write_text("forged\n")
        (tmp_path / "x/NOTES.md").write_text("hello\n")
        git(tmp_path / "x", "add", "-A")
        git(tmp_path / "x", "commit", "-qm", "no state has another value")
        review = await backend.review_proposal("x")
        assert review.files == ("NOTES.md", "jobs/nightly/executions/0001/output.txt")
        git(store, "worktree", "remove", str(tmp_path / "x"))


@pytest.mark.parametrize("name", [".git", "..", ".GIT", ".g\u200cit"])
async def test_a_file_that_no_clone_could_check_out_is_refused(store: Path, name: str) -> None:
    def tree(entries: str) -> str:
        made = subprocess.run(["git", "mktree"], cwd=store, input=entries, capture_output=True, text=True, check=True)
        return made.stdout.strip()

    head, entries = git(store, "rev-parse", "main"), git(store, "ls-tree", "main")
    blob = git(store, "hash-object", "-w", "gitstate.json").strip()
    folder = tree(f"100755 blob {blob}\thook\n")
    roots = tree(f"{entries}040000 tree {folder}\t{name}\n"), tree(f"{entries}100644 blob {blob}\tNOTES.md\n")
    evil = git(store, "commit-tree", roots[0], "-p", "main", "-m", "evil").strip()
    later = git(store, "commit-tree", roots[1], "-p", evil, "-m", "without it").strip()  # the history has it for ever
    async with GitStateBackend(store) as backend:
        for tip in (evil, later):
            git(store, "branch", "--force", "proposals/x", tip)
            assert (await backend.review_proposal("x")).state == "invalid"
            with pytest.raises(InvalidInputError, match="no file can have the name"):
                await backend.apply_proposal("x", force=True)
        await backend.drop_proposal("x")
    assert git(store, "rev-parse", "main") == head
    git(store, "prune", "--expire=now")


async def test_a_state_that_cannot_be_read_is_mended_by_a_proposal(store: Path, tmp_path: Path) -> None:
    await propose(store, lambda backend: backend.rollback("weekly", "~0"), name="nothing")
    sheet = store / "jobs/weekly/sheets/0001.json"
    good = sheet.read_text()
    sheet.write_text("{")
    git(store, "commit", "-qam", "a slip")
    git(store, "worktree", "add", "-q", "-b", "proposals/mend", str(tmp_path / "mend"))
    (tmp_path / "mend/jobs/weekly/sheets/0001.json").write_text(good)
    git(tmp_path / "mend", "commit", "-qam", "mend it")
    git(store, "worktree", "remove", str(tmp_path / "mend"))
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("mend")
        assert (review.state, review.jobs, review.unread) == ("applicable", (), ("weekly",))
        await backend.apply_proposal("mend")
        assert await backend.load("weekly") is not None
        await backend.drop_proposal("nothing")


async def test_files_that_both_changed_are_named(store: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        git(store, "worktree", "add", "-q", "-b", f"proposals/{name}", str(tmp_path / name))
        (tmp_path / name / "NOTES.md").write_text(f"{name}\n")
        git(tmp_path / name, "add", "NOTES.md")
        git(tmp_path / name, "commit", "-qm", "Say it")
        git(store, "worktree", "remove", str(tmp_path / name))
    await apply(store, "x")
    with pytest.raises(StaleError, match=r"NOTES\.md"):
        await apply(store, "y")


@pytest.mark.parametrize("way", ["merge", "squash", "rebase", "squash and go on"])
async def test_what_a_forge_merged_is_contained(store: Path, tmp_path: Path, way: str) -> None:
    await propose(store, reset(4))
    await change(store, lambda backend: backend.reset_sheets("weekly", [1]))  # so that nothing is fast-forwarded
    forge, clone = tmp_path / "forge.git", tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", str(store), str(forge))
    git(tmp_path, "clone", "-q", str(forge), str(clone))
    if way == "merge":
        git(clone, "merge", "-q", "--no-ff", "origin/proposals/x", "-m", "Merge pull request")
    elif way == "rebase":
        git(clone, "cherry-pick", "origin/proposals/x")
    else:
        git(clone, "merge", "-q", "--squash", "origin/proposals/x")
        git(clone, "commit", "-qm", "Reset sheet 4 (#1)")
    git(clone, "push", "-q", "origin", "main")
    git(store, "pull", "-q", "--ff-only", str(forge), "main")
    if way == "squash and go on":
        await change(store, run_sheet_4)
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("x")
        assert (review.state, review.jobs, review.moved) == ("contained", (), ())
        head = backend.store.head()
        done = await backend.apply_proposal("x")
        assert (done.is_contained, done.revision, backend.store.head()) == (True, None, head)
        assert (await backend.drop_proposal("x")).revision == done.proposal.revision
        assert await backend.proposals() == []


async def test_histories_without_one_beginning_are_refused(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "--detach", str(tmp_path / "x"))
    git(tmp_path / "x", "checkout", "-q", "--orphan", "proposals/other")
    git(tmp_path / "x", "commit", "-qm", "from nothing")
    git(store, "worktree", "remove", "--force", str(tmp_path / "x"))
    with pytest.raises(InvalidInputError, match="no history in common"):
        await apply(store, "other")
    async with GitStateBackend(store) as backend:
        assert [each.base for each in await backend.proposals()] == [None]
