"""State from output files: where to look for them, and what state they tell of."""

import os
from collections.abc import Mapping
from typing import Any

from gitstate.backends import artifacts
from gitstate.backends.models import CheckpointState
from gitstate.backends.statuses import JobStatus
from gitstate.backends.subjects import message_for
from gitstate.errors import ExistsError, InvalidInputError
from gitstate.format.message import Event
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.store.store import Store
from gitstate.words import counted

__all__ = ["edit_for", "find_sheets", "state_from"]


def find_sheets(store: Store, workspace: str, pattern: str) -> dict[int, list[str]]:
    """Return the output files of each sheet number in a workspace.

    A relative workspace is the current folder's if it exists there, else the one in the store's worktree, else the one
    in its committed tree.

    Raises:
        InvalidInputError: The workspace is no path, or the pattern is empty, absolute or climbs with ``..``.
    """
    here, shown = artifacts.folder(workspace), store.path
    for folder in [here] if shown is None else [here, shown / here]:
        if folder.is_dir():
            return artifacts.find_sheets(folder, pattern)
    if here.is_absolute():
        return artifacts.match_paths((), pattern)
    prefix = os.path.normpath(workspace) + "/"
    below = (path.removeprefix(prefix) for path in store.paths() if prefix == "./" or path.startswith(prefix))
    return artifacts.match_paths(below, pattern)


def state_from(job_id: str, job_name: str, total_sheets: int, found: Mapping[int, list[str]]) -> CheckpointState:
    """Return the state in which the sheets that were found are completed, and the others pending.

    Raises:
        InvalidInputError: A sheet was found that the job does not have.
    """
    if isinstance(total_sheets, bool) or not isinstance(total_sheets, int) or total_sheets < 1:
        raise InvalidInputError(f"job {job_id!r} cannot have {total_sheets!r} sheets", hint="give a number from 1 up")
    state = CheckpointState(job_id=job_id, job_name=job_name, total_sheets=total_sheets)
    beyond = [number for number in found if not 1 <= number <= total_sheets]
    if beyond:
        raise InvalidInputError(
            f"{found[beyond[0]][0]} belongs to sheet {beyond[0]}, but job {job_id!r} has {total_sheets} sheets",
            hint="correct the number of sheets, or the pattern",
        )
    for number in sorted(found):
        state.mark_sheet_completed(number)
    if found and state.status is not JobStatus.COMPLETED:
        state.status = JobStatus.PAUSED
    return state


def edit_for(job_id: str, value: dict[str, Any], sheets: int, pattern: str) -> Edit:
    """Return the write that makes a recovered state the job's; it raises ExistsError when the job has state."""

    def edit(current: Snapshot | None) -> Draft:
        if current is not None:
            raise ExistsError(f"job {job_id!r} has state; nothing was recovered", hint="load it, or delete it first")
        text = f"recovered {counted(sheets, 'sheet')} from {pattern}"
        return Draft(message_for(job_id, Event.RECOVERED, text, value), value=value)

    return edit
