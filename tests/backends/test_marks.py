"""A mark looks at one sheet, and does what the methods of a whole state do."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate import CheckpointState, GitStateBackend, InvalidInputError, JobStatus, SheetState, SheetStatus, clock
from gitstate.backends.marks import mark_sheet
from gitstate.format.codec import Codec
from tests.git import git

CODEC = Codec(CheckpointState)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
SHEETS = st.builds(
    SheetState,
    sheet_num=st.integers(1, 6),
    status=st.sampled_from(SheetStatus),
    attempt_count=st.integers(0, 2),
    error_message=st.none() | st.just("no route"),
    exit_code=st.none() | st.just(1),
    metadata=st.just({"kept": [1.0]}),
)
JOBS = st.builds(
    CheckpointState,
    job_id=st.just("nightly"),
    job_name=st.just("Nightly"),
    total_sheets=st.integers(1, 5),
    last_completed_sheet=st.integers(0, 5),
    current_sheet=st.none() | st.integers(1, 3),
    status=st.sampled_from(JobStatus),
    sheets=st.dictionaries(st.integers(0, 6), SHEETS, max_size=5),
    pid=st.none() | st.just(1),
    metadata=st.just({"kept": {"deep": [1.0]}}),
)


def apply(job: CheckpointState, number: int, status: SheetStatus, message: str | None) -> None:
    if status is SheetStatus.COMPLETED:
        job.mark_sheet_completed(number)
    elif status is SheetStatus.FAILED:
        job.mark_sheet_failed(number, message or "")
    elif status is SheetStatus.IN_PROGRESS:
        job.mark_sheet_started(number)
    elif status is SheetStatus.SKIPPED:
        job.mark_sheet_skipped(number, message)
    else:
        job.sheet(number).status = status
        job.sheet(number).error_message = message if message is not None else job.sheet(number).error_message


@given(JOBS, st.integers(0, 6), st.sampled_from(SheetStatus), st.none() | st.just("why"))
def test_a_mark_does_what_the_state_does(
    job: CheckpointState, number: int, status: SheetStatus, message: str | None
) -> None:
    before: Any = CODEC.encode(job)
    untouched = deepcopy(before)
    with patch.object(clock, "now", lambda: NOW):
        try:
            apply(job, number, status, message)
        except InvalidInputError:
            with pytest.raises(InvalidInputError, match="has no sheet"):
                mark_sheet(before, number, status, message)
            return
        job.updated_at = NOW
        marked = mark_sheet(before, number, status, message)
    assert repr(CODEC.decode(marked)) == repr(CODEC.decode(CODEC.encode(job)))
    assert repr(before) == repr(untouched), "the mark changed what belongs to others"
    others = before["sheets"].keys() - {str(number)}
    assert all(marked["sheets"][key] is before["sheets"][key] for key in others), "another sheet was made anew"


async def test_a_mark_beside_a_sheet_that_is_no_sheet_is_refused(git_backend: GitStateBackend) -> None:
    """What stands there is validated as a whole once; a job that cannot be loaded does not move on unseen."""
    job = CheckpointState(job_id="nightly", job_name="n", total_sheets=3)
    job.mark_sheet_started(1)
    job.mark_sheet_started(2)
    await git_backend.save(job)
    await git_backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    await git_backend.flush()
    folder = git_backend.store.path
    assert folder is not None
    (folder / "jobs/nightly/sheets/0002.json").write_text('{"sheet_num": 2, "exit_code": "many"}\n')
    git(folder, "commit", "-qam", "by hand")
    with pytest.raises(InvalidInputError, match="/sheets/2/exit_code"):
        await git_backend.mark_sheet_status("nightly", 1, SheetStatus.IN_PROGRESS)
    assert git(folder, "log", "-1", "--format=%s").strip() == "by hand"
    (folder / "jobs/nightly/sheets/0002.json").write_text('{"sheet_num": 2, "exit_code": 3}\n')
    git(folder, "commit", "-qam", "mended")
    await git_backend.mark_sheet_status("nightly", 1, SheetStatus.IN_PROGRESS)
    found = await git_backend.load("nightly")
    assert found is not None
    assert (found.sheets[2].exit_code, found.sheets[1].attempt_count) == (3, 2)
