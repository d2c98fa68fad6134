"""The attempts at the sheets of a job: those that a save saw end, and those that were recorded as executions."""

from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.endings import Ended
from gitstate.backends.executions import Recorded, recorded_by
from gitstate.backends.lives import present_life
from gitstate.backends.rewound import GOES_BACK
from gitstate.backends.statuses import SheetStatus
from gitstate.backends.summaries import error_of_sheet
from gitstate.store.documents import Collection
from gitstate.store.store import Store

__all__ = ["Attempt", "attempts"]


@dataclass(frozen=True)
class Attempt:
    """An attempt at a sheet.

    ``status`` is ``completed`` or ``failed``, None if no save saw it end; ``checkpoint`` is the one at which it ended,
    else the one that recorded it. ``error`` is the sheet's ``error_message`` there, of an attempt that failed.
    ``execution_id`` and ``exit_code`` are those of the execution that was recorded for it, None if there is none;
    ``seconds`` are the execution's too, or else what the state said.
    """

    sheet: int
    attempt: int
    status: str | None
    seconds: float | None
    exit_code: int | None
    error: str | None
    checkpoint: Checkpoint
    execution_id: int | None


def attempts(
    store: Store, jobs: Collection, job_id: str, sheet_num: int | None, limit: int | None, at: str | None
) -> list[Attempt]:
    """Return the newest ``limit`` attempts in the life that a job has at a revision, or of one of its sheets.

    Raises:
        RevisionNotFoundError: No revision answers to ``at``, or several do.
    """
    rows = _Rows()
    for revision in present_life(store, jobs, job_id, at):
        checkpoint = Checkpoint.of(job_id, revision)
        if checkpoint.event in GOES_BACK:
            rows.part()
        for ended in checkpoint.ended:
            rows.add_ended(ended, checkpoint)
        execution = recorded_by(jobs, job_id, revision)
        if execution is not None:
            rows.add_execution(execution, checkpoint)
    wanted = (row for row in rows.found if row is not None and sheet_num in (None, row.sheet))
    return [_with_error(store, jobs, job_id, row) for row in islice(wanted, limit)]


_Key: TypeAlias = tuple[int, int]  # a sheet and an attempt


class _Rows:
    """Attempts, newest first, each put together of what a save saw and what was recorded, whichever came first.

    The same attempt may be there twice, after somebody went back: then those belong together that are nearest.
    """

    def __init__(self) -> None:
        self.found: list[Attempt | None] = []
        self._ended: dict[_Key, list[int]] = {}  # places of rows that no execution was found for
        self._recorded: dict[_Key, list[int]] = {}  # and of those that no save saw end
        self._ids: set[int] = set()

    def add_ended(self, ended: Ended, checkpoint: Checkpoint) -> None:
        """Add an attempt that ended, with the execution that was recorded for it later."""
        key = ended.sheet, ended.attempt
        row = Attempt(*key, ended.status, ended.seconds, None, None, checkpoint, None)
        recorded = self._recorded.get(key)
        if not recorded:
            self._ended.setdefault(key, []).append(len(self.found))
        else:
            place = recorded.pop()
            execution, self.found[place] = self.found[place], None
            row = row if execution is None else _joined(row, execution)
        self.found.append(row)

    def add_execution(self, execution: Recorded, checkpoint: Checkpoint) -> None:
        """Add an execution, or join it to the attempt that ended later."""
        key = execution.sheet_num or 0, execution.attempt_num or 0
        if min(key) < 1 or execution.id in self._ids:  # no record of ours, or one that stands in several commits
            return
        self._ids.add(execution.id)
        row = Attempt(*key, None, execution.duration_seconds, execution.exit_code, None, checkpoint, execution.id)
        ended = self._ended.get(key)
        if not ended:
            self._recorded.setdefault(key, []).append(len(self.found))
            self.found.append(row)
        elif (later := self.found[place := ended.pop()]) is not None:
            self.found[place] = _joined(later, row)

    def part(self) -> None:
        """Join nothing across this point: there somebody went back, and what is older is another attempt."""
        self._ended.clear()
        self._recorded.clear()


def _joined(ended: Attempt, execution: Attempt) -> Attempt:
    seconds = ended.seconds if execution.seconds is None else execution.seconds
    return replace(ended, seconds=seconds, exit_code=execution.exit_code, execution_id=execution.execution_id)


def _with_error(store: Store, jobs: Collection, job_id: str, row: Attempt) -> Attempt:
    """Return an attempt with the error that its sheet had then: of the state, only the file of that sheet is read."""
    snapshot = store.snapshot(jobs, job_id, row.checkpoint.revision) if row.status == SheetStatus.FAILED else None
    if snapshot is None:
        return row
    return replace(row, error=error_of_sheet(snapshot, row.sheet))
