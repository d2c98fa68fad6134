"""Bad input: each gives its own error that names the thing and the remedy, nothing is lost, and the next call works."""

import errno
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitstate import (
    CheckpointState,
    GitStateBackend,
    GitStateError,
    InvalidInputError,
    JobNotFoundError,
    SheetStatus,
    StateCorruptionError,
    errors,
)
from gitstate.backends.rewind import RewindBackend
from gitstate.format import names
from tests.git import fsck, git, loose, unpack
from tests.stores import leave_damaged


def job(job_id: str = "nightly", sheets: int = 3) -> CheckpointState:
    state = CheckpointState(job_id=job_id, job_name=job_id, total_sheets=sheets)
    state.mark_sheet_completed(1)
    state.mark_sheet_completed(2)
    return state


@pytest.mark.parametrize("job_id", ["", None, 7, b"nightly", ["nightly"]])
async def test_an_id_that_is_no_text_or_empty(backend: RewindBackend, job_id: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: backend.load(job_id),
        lambda: backend.delete(job_id),
        lambda: backend.get_next_sheet(job_id),
        lambda: backend.mark_sheet_status(job_id, 1, SheetStatus.COMPLETED),
        lambda: backend.record_execution(job_id, 1, 1),
        lambda: backend.history(job_id),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match="job id"):
            await call()


async def test_an_empty_id_in_a_state(backend: RewindBackend) -> None:
    with pytest.raises(ValueError, match=r"job.id"):
        await backend.save(CheckpointState.model_construct(job_id="", job_name="", total_sheets=1))
    assert await backend.list_jobs() == []


@pytest.mark.parametrize("number", [0, -1, 4, True, "1", 1.0, None])
async def test_a_sheet_number_out_of_range(backend: RewindBackend, number: Any) -> None:
    await backend.save(job())
    before = await backend.history("nightly")
    for status in (SheetStatus.COMPLETED, SheetStatus.WAITING):
        with pytest.raises(InvalidInputError, match="sheet"):
            await backend.mark_sheet_status("nightly", number, status)
    assert await backend.history("nightly") == before


async def test_a_status_that_nobody_knows(backend: RewindBackend) -> None:
    await backend.save(job())
    with pytest.raises(InvalidInputError, match="done"):
        await backend.mark_sheet_status("nightly", 1, "done")  # type: ignore[arg-type]  # that is the point


async def test_a_job_that_nobody_knows(backend: RewindBackend) -> None:
    with pytest.raises(JobNotFoundError, match="nightly"):
        await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    with pytest.raises(JobNotFoundError, match="nightly"):
        await backend.record_execution("nightly", 1, 1)
    assert not await backend.delete("nightly")


@pytest.mark.parametrize(
    "words", [(0, 1), (1, 0), (-1, 1), ("1", 1), (1, None), (True, 1)], ids=lambda words: f"{words[0]!r}-{words[1]!r}"
)
async def test_an_execution_of_no_sheet_or_attempt(backend: RewindBackend, words: tuple[Any, Any]) -> None:
    await backend.save(job())
    with pytest.raises(InvalidInputError, match="nightly"):
        await backend.record_execution("nightly", *words)
    assert await backend.get_execution_history_count("nightly") == 0


async def test_something_that_is_no_state(backend: RewindBackend) -> None:
    for thing in (None, {"job_id": "nightly"}, "nightly"):
        with pytest.raises(InvalidInputError, match="CheckpointState"):
            await backend.save(thing)  # type: ignore[arg-type]  # that is the point


async def test_a_value_that_json_cannot_keep_names_its_field(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    state.metadata["ratio"] = float("nan")
    with pytest.raises(errors.UnstorableError, match="/metadata/ratio"):
        await backend.save(state)
    state.metadata = {"fine": True}
    await backend.save(state)
    found = await backend.load("nightly")
    assert found is not None
    assert found.metadata == {"fine": True}


def commit_by_hand(folder: Path, path: str, content: bytes | None) -> None:
    """Change or remove a file as a person would, and commit it."""
    file = folder / path
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "by hand")


DAMAGES = {
    "no JSON": ("jobs/nightly/job.json", b"{ this is not JSON"),
    "wrong shape": ("jobs/nightly/job.json", b"[1, 2]\n"),
    "wrong type": ("jobs/nightly/job.json", b'{"job_id": "nightly", "job_name": "n", "total_sheets": "many"}\n'),
    "wrong type in a sheet": ("jobs/nightly/sheets/0002.json", b'{"sheet_num": 2, "status": ["completed"]}\n'),
    "binary": ("jobs/nightly/job.json", b"\xff\xfe\x00"),
    "NaN": ("jobs/nightly/sheets/0001.json", b'{"sheet_num": NaN}\n'),
    "empty sheet": ("jobs/nightly/sheets/0001.json", b""),
    "no root": ("jobs/nightly/job.json", None),
    "missing sheet": ("jobs/nightly/sheets/0001.json", None),
    "another job": ("jobs/nightly/job.json", b'{"job_id": "weekly", "job_name": "n", "total_sheets": 3}\n'),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_a_person_broke_is_named_and_can_be_got_past(
    git_backend: GitStateBackend, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, content = DAMAGES[damage]
    await git_backend.save(job())
    await git_backend.save(job("other"))
    await git_backend.flush()
    folder = git_backend.store.path
    assert folder is not None
    good = git(folder, "rev-parse", "HEAD").strip()
    commit_by_hand(folder, path, content)
    broken = git(folder, "rev-parse", "HEAD").strip()
    with pytest.raises(StateCorruptionError) as caught:
        await git_backend.load("nightly")
    told = str(caught.value)
    assert "nightly" in told
    assert broken[:12] in told
    assert path.removeprefix("jobs/nightly/") in told
    shown = re.search("`git log -- '(.*)'`", caught.value.hint)
    assert shown is not None
    assert broken in git(folder, "log", "--format=%H", "--", shown[1]).split()
    # The others go on, the broken one is reported, and what was saved before is still there.
    assert [state.job_id for state in await git_backend.list_jobs()] == ["other"]
    assert "nightly" in caplog.text
    old = await git_backend.load("nightly", at=good)
    assert old is not None
    await git_backend.save(old)
    healed = await git_backend.load("nightly")
    assert healed is not None
    assert sorted(healed.sheets) == [1, 2]


def objects_of(folder: Path) -> list[Path]:
    """Return the files that hold objects."""
    return [path for path in (folder / ".git/objects").rglob("*") if path.is_file() and path.suffix in ("", ".pack")]


# dulwich leaves a pack that it failed to open to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
async def test_a_damaged_object_is_named_or_does_no_harm(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
    for file in objects_of(folder):
        os.chmod(file, 0o644)
        content = file.read_bytes()
        middle = len(content) // 2
        if damage == "flip":
            file.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
        elif damage == "cut":
            file.write_bytes(content[:middle])
        else:
            file.unlink()
        try:
            async with GitStateBackend(folder) as backend:
                found = await backend.load("nightly")
                assert found is not None
                assert sorted(found.sheets) == [1, 2]
        except GitStateError as error:
            assert isinstance(error, errors.CorruptionError), error
            assert len(str(error)) > 20
        file.write_bytes(content)
    async with GitStateBackend(folder) as backend:
        assert await backend.load("nightly") is not None
    fsck(folder)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, errors.StorageFullError),
        (errno.EROFS, errors.ReadOnlyError),
        (errno.EACCES, errors.ReadOnlyError),
        (errno.EIO, errors.StorageError),
    ],
    ids=["full", "read-only", "no permission", "broken"],
)
async def test_a_disk_that_refuses(
    git_backend: GitStateBackend, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[GitStateError]
) -> None:
    state = job()
    await git_backend.save(state)
    before = git_backend.store.head()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    state.metadata["try"] = 1
    with monkeypatch.context() as patch:
        for name in ("fsync", "fdatasync", "pwrite"):
            patch.setattr(os, name, refuse)
        with pytest.raises(expected) as caught:
            await git_backend.save(state)
    assert caught.value.hint
    assert git_backend.store.head() == before
    await git_backend.save(state)
    found = await git_backend.load("nightly")
    assert found is not None
    assert found.metadata == {"try": 1}


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of one megabyte, where the machine permits it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


async def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    folder = small_disk / "state"
    async with GitStateBackend(folder) as backend:
        state = job()
        await backend.save(state)
        (small_disk / "ballast").write_bytes(b"\0" * 700_000)
        saved = 0
        with pytest.raises(errors.StorageFullError):
            for number in range(1000):
                state.metadata["noise"] = os.urandom(20_000).hex()
                state.metadata["number"] = number
                await backend.save(state)
                saved = number
        found = await backend.load("nightly")
        assert found is not None
        assert found.metadata["number"] == saved
        (small_disk / "ballast").unlink()
        await backend.save(state)
        assert await backend.load("nightly") == state
    fsck(folder)


async def test_a_disk_that_is_really_read_only_can_be_read(small_disk: Path) -> None:
    folder = small_disk / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
    make_read_only(small_disk)
    async with GitStateBackend(folder) as backend:
        assert await backend.load("nightly") is not None
        assert len(await backend.list_jobs()) == 1
        with pytest.raises(errors.ReadOnlyError):
            await backend.save(job())


@pytest.mark.parametrize("job_id", ["nightly", "x" * 300])
async def test_a_folder_whose_tree_is_lost_fails_alone(tmp_path: Path, job_id: str) -> None:
    folder = tmp_path / "state"
    leave_damaged(folder)
    async with GitStateBackend(folder) as backend:
        await backend.save(job("other"))
        await backend.save(job(job_id))
    lost = git(folder, "rev-parse", f"HEAD:jobs/{names.encode(job_id)}").strip()
    unpack(folder)
    loose(folder, lost).unlink()
    async with GitStateBackend(folder) as backend:
        with pytest.raises(StateCorruptionError, match=lost):
            await backend.load(job_id)
        assert [state.job_id for state in await backend.list_jobs()] == ["other"]


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [("", {}, "the path of a store is empty"), ("store", {"model": dict}, "<class 'dict'> is no pydantic model")],
)
def test_a_backend_that_cannot_be_meant_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, options: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=says) as caught:
        GitStateBackend(path, **options)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
