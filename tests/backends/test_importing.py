"""Import of JSON files: times and unknown fields stay, a second run changes nothing, what is broken is named."""

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, JobStatus, SheetState, SheetStatus
from gitstate.backends import import_sources
from gitstate.backends.exchange import ExchangeBackend
from gitstate.backends.importing import ImportReport
from gitstate.errors import ClosedError, InvalidInputError, NotFoundError, StorageError
from tests.backends.exchange_sources import NIGHTLY, folder
from tests.values.strategies import KEYS, VALUES


def outcomes(report: ImportReport) -> dict[str, tuple[str | None, str]]:
    return {job.name: (job.job_id, job.outcome) for job in report.jobs}


def reasons(report: ImportReport) -> dict[str, str]:
    return {job.name: job.reason for job in report.jobs}


async def test_a_job_becomes_a_checkpoint_with_its_times_and_unknown_fields(
    backend: ExchangeBackend, tmp_path: Path
) -> None:
    report = await backend.import_from(folder(tmp_path / "old", {"nightly.json": NIGHTLY}))
    assert outcomes(report) == {"nightly.json": ("nightly", "imported")}
    state = await backend.load("nightly")
    assert state is not None
    assert state.updated_at == datetime(2025, 1, 2, 3, 4, 5, 678901, UTC)
    assert (state.created_at, state.started_at) == (
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2025, 1, 1, 0, 0, 1, tzinfo=UTC),
    )
    assert state.model_extra == {"tenant": "acme"}
    assert state.sheets[1].model_extra == {"cost": 1.5}
    (checkpoint,) = await backend.history("nightly")
    assert (checkpoint.event, checkpoint.subject) == ("imported", "nightly: imported from old (1/3 done)")
    assert (checkpoint.status, checkpoint.progress, checkpoint.message) == ("paused", "1/3", "From nightly.json.")


async def test_a_second_run_changes_nothing(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {"nightly.json": NIGHTLY})
    await backend.import_from(source)
    head = backend.store.head()
    for replace in (False, True):
        assert outcomes(await backend.import_from(source, replace=replace)) == {
            "nightly.json": ("nightly", "unchanged")
        }
    assert backend.store.head() == head


async def test_a_dry_run_tells_the_same_and_writes_nothing(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {"nightly.json": NIGHTLY, "broken.json": b"{"})
    head = backend.store.head()
    told = await backend.import_from(source, dry_run=True)
    assert (backend.store.head(), told.dry_run) == (head, True)
    assert (await backend.import_from(source)).jobs == told.jobs


async def test_what_cannot_be_imported_is_named_and_stops_nothing(
    backend: ExchangeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_sources, "MAX_BYTES", 1000)
    (tmp_path / "elsewhere.json").write_text(json.dumps(NIGHTLY | {"job_id": "elsewhere"}))
    source = folder(
        tmp_path / "old",
        {
            "a-cut.json": b'{"job_id": "x"',
            "b-list.json": [1],
            "c-other.json": {"version": 3},
            "d-bytes.json": b'"\xff"',
            "e-large.json": {"text": "x" * 1000},
            "f-empty-id.json": NIGHTLY | {"job_id": ""},
            "g-status.json": NIGHTLY | {"job_id": "g", "status": "none such"},
            "z-nightly.json": NIGHTLY,
            "notes.txt": b"not looked at",
        },
    )
    (source / "h-link.json").symlink_to(tmp_path / "elsewhere.json")
    (source / "i-dangling.json").symlink_to("nothing")
    (source / "j-folder.json").mkdir()
    os.mkfifo(source / "k-pipe.json")
    (source / "l-loop.json").symlink_to("l-loop.json")
    report = await backend.import_from(source)
    assert report.count("imported") == 1 and report.count("skipped") == len(report.jobs) - 1
    told = reasons(report)
    for name, reason in {
        "a-cut.json": "not JSON",
        "b-list.json": "it holds no JSON object",
        "c-other.json": "it is no CheckpointState",
        "d-bytes.json": "not UTF-8",
        "e-large.json": "bytes",
        "f-empty-id.json": "its job id is no text, or empty",
        "g-status.json": "it is no CheckpointState: /status",
        "h-link.json": "it is a link that leads out of the folder",
        "i-dangling.json": "No such file",
        "j-folder.json": "it is no file",
        "k-pipe.json": "it is no file",
        "l-loop.json": "Too many levels of symbolic links",
        "z-nightly.json": "",
    }.items():
        assert reason in told.pop(name)
    assert not told


async def test_a_link_within_the_folder_and_a_single_file_are_read(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {"real": NIGHTLY})
    (source / "nightly.json").symlink_to("real")
    assert outcomes(await backend.import_from(source)) == {"nightly.json": ("nightly", "imported")}
    (tmp_path / "linked").symlink_to(source / "real")
    assert outcomes(await backend.import_from(tmp_path / "linked")) == {"real": ("nightly", "unchanged")}


async def test_a_job_with_another_state_is_left_alone_unless_it_shall_be_replaced(
    backend: ExchangeBackend, tmp_path: Path
) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="Ours", total_sheets=1))
    source = folder(tmp_path / "old", {"nightly.json": NIGHTLY})
    report = await backend.import_from(source)
    assert reasons(report) == {"nightly.json": "the job exists with another state"}
    assert len(await backend.history("nightly")) == 1
    assert outcomes(await backend.import_from(source, replace=True)) == {"nightly.json": ("nightly", "replaced")}
    now, before = await backend.load("nightly"), await backend.load("nightly", at="~1")
    assert now is not None and before is not None
    assert (now.job_name, before.job_name) == ("Nightly", "Ours")


async def test_of_two_files_with_the_same_job_the_first_counts(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {"a.json": NIGHTLY, "b.json": NIGHTLY | {"status": "failed"}})
    for outcome in ("imported", "unchanged"):
        report = await backend.import_from(source, replace=True)
        assert outcomes(report) == {"a.json": ("nightly", outcome), "b.json": ("nightly", "skipped")}
        assert reasons(report)["b.json"] == "a.json holds the same job"


async def test_times_that_nobody_told_are_those_of_the_file_and_stay_unchanged(
    backend: ExchangeBackend, tmp_path: Path
) -> None:
    source = folder(tmp_path / "old", {"bare.json": {"id": "bare", "name": "Bare", "total_sheets": 1}})
    os.utime(source / "bare.json", (1_700_000_000, 1_700_000_000))
    await backend.import_from(source)
    state = await backend.load("bare")
    assert state is not None
    assert state.created_at == state.updated_at == datetime.fromtimestamp(1_700_000_000, UTC)
    os.utime(source / "bare.json", (1_800_000_000, 1_800_000_000))
    assert outcomes(await backend.import_from(source)) == {"bare.json": ("bare", "unchanged")}


async def test_an_import_goes_on_where_one_was_interrupted(backend: ExchangeBackend, tmp_path: Path) -> None:
    jobs = {f"{number:02}.json": NIGHTLY | {"job_id": f"job {number}"} for number in range(40)}
    source = folder(tmp_path / "old", jobs)

    def stop(done: int, total: int) -> None:
        assert total == 40
        if done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await backend.import_from(source, progress=stop)
    told: list[tuple[int, int]] = []
    report = await backend.import_from(source, progress=lambda *at: told.append(at))
    assert 0 < report.count("unchanged") < 40 == report.count("unchanged") + report.count("imported")
    assert told[0] == (0, 40) and told[-1] == (40, 40) and told == sorted(told)


class _Renamed(BaseModel):
    model_config = ConfigDict(extra="ignore")

    job_id: str = Field(alias="jobId")
    total_sheets: int = 1
    updated_at: datetime = datetime(2020, 1, 1, tzinfo=UTC)


async def test_any_model_takes_its_own_files_and_the_report_names_what_it_does_not_keep(tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {"a.json": {"jobId": "a", "cost": 1}, "b.json": {"cost": 1}})
    async with InMemoryStateBackend(model=_Renamed) as backend:
        report = await backend.import_from(source)
        assert [job.outcome for job in report.jobs] == ["imported", "skipped"]
        assert report.jobs[0].notes == ("_Renamed does not keep cost",)
        assert [state.job_id for state in await backend.list_jobs()] == ["a"]


@pytest.mark.parametrize("replace", [False, True])
async def test_a_state_that_cannot_be_read_is_replaced_only_if_asked_for(tmp_path: Path, replace: bool) -> None:
    source = folder(tmp_path / "old", {"nightly.json": NIGHTLY})

    class Other(BaseModel):
        job_id: str
        colour: str = "red"

    async with GitStateBackend(tmp_path / "state", model=Other) as other:
        await other.save(Other(job_id="nightly"))  # type: ignore[arg-type]
    async with GitStateBackend(tmp_path / "state") as backend:
        report = await backend.import_from(source, replace=replace)
        assert report.jobs[0].outcome == ("replaced" if replace else "skipped")


async def test_a_path_that_holds_nothing_of_the_kind_is_an_error(backend: ExchangeBackend, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is nothing at .*none"):
        await backend.import_from(tmp_path / "none")
    (tmp_path / "loop").symlink_to("loop")
    for refused in (tmp_path / "loop", tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "y"):
        with pytest.raises(StorageError):
            await backend.import_from(refused)
    with pytest.raises(InvalidInputError, match="the path of a file or of a folder, not 7"):
        await backend.import_from(7)  # type: ignore[arg-type]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="neither a file nor a folder"):
        await backend.import_from(tmp_path / "pipe")
    empty = folder(tmp_path / "empty", {})
    assert (await backend.import_from(empty)).jobs == ()
    await backend.close()
    with pytest.raises(ClosedError):
        await backend.import_from(empty)


TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis's way
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SHEETS = st.builds(
    SheetState,
    sheet_num=st.just(1),
    status=st.sampled_from(SheetStatus),
    started_at=st.none() | TIMES,
    attempt_count=st.integers(0, 9),
    validation_passed=st.none() | st.booleans(),
    validation_details=st.none() | st.lists(st.dictionaries(KEYS, VALUES, max_size=2), max_size=2),
    execution_duration_seconds=st.none() | st.floats(0, 1e9),
    stdout_tail=st.none() | TEXTS,
    metadata=st.dictionaries(KEYS, VALUES, max_size=2),
)
STATES = st.builds(
    CheckpointState,
    job_id=TEXTS.filter(bool),
    job_name=TEXTS,
    config_snapshot=st.none() | st.dictionaries(KEYS, VALUES, max_size=2),
    created_at=TIMES,
    updated_at=TIMES,
    started_at=st.none() | TIMES,
    completed_at=st.none() | TIMES,
    total_sheets=st.integers(1, 5),
    status=st.sampled_from(JobStatus),
    sheets=st.dictionaries(st.just(1), SHEETS),
    metadata=st.dictionaries(KEYS, VALUES, max_size=2),
    extra_field=VALUES,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STATES, max_size=3, unique_by=lambda state: state.job_id))
async def test_states_that_are_exported_and_imported_are_equal(states: list[CheckpointState]) -> None:
    with tempfile.TemporaryDirectory() as place:
        out, again = Path(place) / "out.jsonl", Path(place) / "again"
        async with InMemoryStateBackend() as one:
            for state in states:
                await one.save(state)
            await one.export(out, what="checkpoints", states=True)
            ours = {state.job_id: state.model_dump() for state in await one.list_jobs()}
        rows: list[dict[str, Any]] = [json.loads(line) for line in out.read_text().splitlines()]
        folder(again, {f"{number}.json": row["state"] for number, row in enumerate(rows)})
        async with InMemoryStateBackend() as other:
            report = await other.import_from(again)
            assert report.count("imported") == len(states)
            theirs = {state.job_id: state.model_dump() for state in await other.list_jobs()}
            assert (await other.import_from(again)).count("unchanged") == len(states)
        assert repr(theirs) == repr({job_id: ours[job_id] for job_id in theirs}) and theirs.keys() == ours.keys()
