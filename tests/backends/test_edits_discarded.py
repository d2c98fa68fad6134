"""Edits of people are dropped, and kept aside."""

import shutil
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from gitstate.errors import InvalidInputError, NotFoundError
from tests.backends.editing import JOB, clean, edit, sheet, two_jobs
from tests.git import git

backend = pytest.fixture(two_jobs)


@pytest.mark.parametrize("staged", [False, True])
async def test_edits_are_dropped_and_kept_aside(backend: GitStateBackend, folder: Path, staged: bool) -> None:
    edit(folder / sheet(2), status="skipped")
    mine = (folder / sheet(2)).read_bytes()
    (folder / JOB).unlink()
    (folder / sheet(3)).write_text("new")
    if staged:
        git(folder, "add", "-A", "jobs")
        edit(folder / sheet(2), status="completed")
    state = await backend.load("nightly")
    assert state is not None
    state.sheets[2].error_message = "saved meanwhile"
    await backend.save(state)
    done = await backend.discard_edits("nightly")
    assert [(file.path, file.what) for file in done.files] == [
        (JOB, "deleted"),
        (sheet(2), "changed"),
        (sheet(3), "added"),
    ]
    assert clean(folder) and done.left == ()
    assert "saved meanwhile" in (folder / sheet(2)).read_text()
    assert done.kept is not None and (done.kept / sheet(3)).read_text() == "new"
    assert (done.kept / (sheet(2) + ".staged" if staged else sheet(2))).read_bytes() == mine
    assert done.kept.parent == folder / ".git/gitstate/discarded"


async def test_what_is_not_ours_is_not_dropped(backend: GitStateBackend, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/report.txt").write_text("x")
    for name in ("out", "out/report.txt"):
        with pytest.raises(InvalidInputError, match="not a file of the store"):
            await backend.discard_edits(name)
    with pytest.raises(NotFoundError):
        await backend.discard_edits("nightly")
    assert (await backend.discard_edits()).files == ()
    assert (folder / "out/report.txt").exists()


async def test_the_last_twenty_are_kept(backend: GitStateBackend, folder: Path) -> None:
    for number in range(22):
        (folder / JOB).write_text(f"{number}")
        await backend.discard_edits()
    kept = sorted((folder / ".git/gitstate/discarded").iterdir())
    assert [(each / JOB).read_text() for each in kept] == [str(number) for number in range(2, 22)]


@pytest.mark.parametrize("kind", ["link", "folder", "parent"])
async def test_what_is_no_file(backend: GitStateBackend, folder: Path, tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = folder / sheet(2)
    path.unlink()
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "folder":
        path.mkdir()
        (path / "x").write_text("x")
    else:
        shutil.rmtree(path.parent)
        path.parent.write_text("a file")
    with pytest.raises(InvalidInputError, match=r"0002\.json|0001\.json"):
        await backend.commit_edits()
    if kind == "link":
        await backend.discard_edits()
        assert clean(folder) and not path.is_symlink()
    else:
        with pytest.raises(InvalidInputError, match="nothing was discarded"):
            await backend.discard_edits()
    assert victim.read_text() == "untouched"
