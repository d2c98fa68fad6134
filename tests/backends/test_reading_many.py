"""Many jobs are read in bulk, and come as if each had been read by itself."""

import gc
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.engine import reader as objects
from gitstate.errors import StateCorruptionError
from gitstate.format import quick
from gitstate.store import bulk, exactness, reader
from tests.git import git, loose, unpack
from tests.stores import leave_damaged

_SHEETS = 4
_IDS = ("a", "b/c", "ü", "x" * 300, "long")


@pytest.fixture(autouse=True)
def _soon_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_FEW", 1)
    monkeypatch.setattr(bulk, "_AT_ONCE", 4)
    monkeypatch.setattr(bulk, "_LOOKED_AT", 2)
    monkeypatch.setattr(reader, "_AT_ONCE", 3)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A store of some jobs, all in one pack."""
    async with GitStateBackend(tmp_path / "state") as backend:
        for number, job_id in enumerate(_IDS):
            state = CheckpointState(
                job_id=job_id, job_name="Job", total_sheets=_SHEETS, metadata={"z": "ü", "a": number}
            )
            for sheet in range(1, number + 1):
                state.mark_sheet_completed(sheet, stdout_tail="plain" if sheet % 2 else "ünï \ud800 \x00")
            await backend.save(state)
    return tmp_path / "state"


async def states(folder: Path) -> tuple[list[CheckpointState], list[CheckpointState]]:
    """The jobs as a list has them, and as each is loaded by itself."""
    async with GitStateBackend(folder, create=False) as backend:
        listed = await backend.list_jobs()
        assert [state.model_dump() for state in await backend.list_jobs()] == [each.model_dump() for each in listed]
    async with GitStateBackend(folder, create=False) as backend:
        loaded = [await backend.load(state.job_id) for state in listed]
    return listed, [state for state in loaded if state is not None]


@pytest.mark.parametrize("pack", [None, ["gc", "-q", "--prune=now"], ["repack", "-adfq"]])
async def test_a_list_is_what_loading_each_gives(folder: Path, pack: list[str] | None) -> None:
    if pack is not None:
        git(folder, *pack)
    listed, loaded = await states(folder)
    assert {state.job_id for state in listed} == set(_IDS)
    assert [state.model_dump() for state in listed] == [state.model_dump() for state in loaded]
    assert gc.isenabled()


async def test_what_is_remembered_of_values_changes_no_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactness, "_SMALL", 0)
    monkeypatch.setattr(exactness, "_WORTH", 1)
    monkeypatch.setattr(exactness, "_WORTH_EACH", 0)
    looked_at = await states(folder)  # also those with lone surrogates, of which the first look says nothing
    monkeypatch.setattr(quick, "are_values", lambda _: pytest.fail("it is known"))
    known = await states(folder)
    assert len(known[0]) == len(_IDS)
    for before, after in zip(looked_at, known, strict=True):
        assert [state.model_dump() for state in after] == [state.model_dump() for state in before]


async def test_what_is_no_plain_file_is_told_of_as_in_a_load(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    leave_damaged(folder)
    sheets = folder / "jobs/long/sheets"
    (sheets / "0001.json").chmod(0o755)
    (sheets / "notes").mkdir()
    (sheets / "notes/today.txt").write_text("not ours")
    link = folder / "jobs/b%2Fc/sheets/0001.json"
    link.unlink()
    link.symlink_to("../job.json")
    git(folder, "add", "-A", "jobs/long", "jobs/b%2Fc")
    git(folder, "commit", "-qm", "by hand")
    async with GitStateBackend(folder, create=False) as backend:
        listed = await backend.list_jobs()
    assert {state.job_id for state in listed} == set(_IDS) - {"b/c"}
    assert "sheets/0001.json is a link or a submodule, and no file" in caplog.text
    async with GitStateBackend(folder, create=False) as backend:
        assert (await backend.load("long")) == next(state for state in listed if state.job_id == "long")
        with pytest.raises(StateCorruptionError, match="is a link or a submodule"):
            await backend.load("b/c")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"sheet_num": 1, "sheet_num": 1}', "stands there twice"),
        ('{"sheet_num": 1, "metadata": {"a": 1e999}}', "out of range"),
        ('{"sheet_num": 1, "metadata": {"a": %s}}' % ("[" * 130 + "]" * 130), "nested deeper"),
        ('{"sheet_num": 1}, "2": {"sheet_num": 2}', "not JSON"),
        ('{"sheet_num": 1', "not JSON"),
    ],
)
async def test_a_file_that_is_not_exact_is_named(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str, reason: str
) -> None:
    leave_damaged(folder)
    (folder / "jobs/long/sheets/0001.json").write_text(text)
    git(folder, "add", "-A", "jobs/long")
    git(folder, "commit", "-qm", "by hand")
    async with GitStateBackend(folder, create=False) as backend:
        listed = await backend.list_jobs()
    assert {state.job_id for state in listed} == set(_IDS) - {"long"}
    assert "sheets/0001.json: " in caplog.text and reason in caplog.text


async def test_without_git_they_are_read_one_by_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        listed, loaded = await states(folder)
    assert [state.model_dump() for state in listed] == [state.model_dump() for state in loaded]
    assert len(listed) == len(_IDS)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
@pytest.mark.parametrize("path", ["jobs/long/sheets/0002.json", "jobs/long/sheets", "jobs/a", "jobs/long/job.json"])
async def test_what_is_lost_is_lost_to_its_own_job_alone(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: str, path: str
) -> None:
    leave_damaged(folder)
    unpack(folder)
    lost = loose(folder, f"HEAD:{path}")
    lost.chmod(0o644)
    if damage == "missing":
        lost.unlink()
    else:
        lost.write_bytes(loose(folder, "HEAD:jobs/b%2Fc/job.json").read_bytes())
    async with GitStateBackend(folder, create=False) as backend:
        listed = await backend.list_jobs()
    assert {state.job_id for state in listed} == set(_IDS) - {path.split("/")[1]}
    assert f"{path.split('/')[1]!r}" in caplog.text
