"""The state of a job and of its sheets, as pydantic models, and the rules by which a state moves on.

The names of models, fields and methods are those of Marianne's state backends, so that its consumers can read ours.
What a backend needs for models of other people's making too is in :mod:`gitstate.backends.statuses`.
"""

import os
import socket
from datetime import datetime
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr

from gitstate import clock
from gitstate.backends.statuses import DONE, RESULT_FIELDS, JobStatus, SheetStatus, is_zombie, next_sheet
from gitstate.errors import InvalidInputError

__all__ = ["CheckpointState", "SheetState"]


Time = Annotated[datetime, AfterValidator(clock.aware)]


class _Model(BaseModel):
    # Unknown fields are kept: a newer writer's data must survive an older reader. Assignments are validated: callers
    # write ``state.status = "running"``, and a plain text there would make trouble only when it is saved.
    model_config = ConfigDict(extra="allow", validate_assignment=True)


class SheetState(_Model):
    """One sheet: a numbered step of a job. Times are aware, durations in seconds."""

    sheet_num: int = Field(ge=1)
    status: SheetStatus = SheetStatus.PENDING
    started_at: Time | None = None
    completed_at: Time | None = None
    attempt_count: int = 0
    exit_code: int | None = None
    exit_signal: int | None = None
    exit_reason: str | None = None
    error_message: str | None = None
    error_category: str | None = None
    error_code: str | None = None
    validation_passed: bool | None = None
    validation_details: list[dict[str, Any]] | None = None
    execution_duration_seconds: float | None = None
    stdout_tail: str | None = None
    stderr_tail: str | None = None
    output_truncated: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)


class CheckpointState(_Model):
    """The state of a job: what a run needs to go on where the last one stopped.

    ``last_completed_sheet`` set by hand, without records in ``sheets``, means that all up to it are done.
    ``metadata`` is free for the user. The methods change this object only; a backend's ``save`` makes it durable.
    """

    job_id: str
    job_name: str
    config_hash: str | None = None
    config_snapshot: dict[str, Any] | None = None
    config_path: str | None = None
    created_at: Time = Field(default_factory=clock.now)
    updated_at: Time = Field(default_factory=clock.now)
    started_at: Time | None = None
    completed_at: Time | None = None
    total_sheets: int = Field(ge=1)
    last_completed_sheet: int = 0
    current_sheet: int | None = None
    status: JobStatus = JobStatus.PENDING
    sheets: dict[int, SheetState] = Field(default_factory=dict)
    pid: int | None = None
    host: str | None = None
    error_message: str | None = None
    total_retry_count: int = 0
    rate_limit_waits: int = 0
    metadata: dict[str, Any] = Field(default_factory=dict)

    # What the next save is merged from. A backend keeps it here so that copies and pickles carry it; what is put here
    # must compare equal to everything, None included, since pydantic's ``==`` looks at private attributes too.
    _lineage: Any = PrivateAttr(default=None)

    def sheet(self, sheet_num: int) -> SheetState:
        """Return the record of a sheet, made if there is none yet.

        Raises:
            InvalidInputError: The number is below 1 or above ``total_sheets``.
        """
        if isinstance(sheet_num, bool) or not isinstance(sheet_num, int) or not 1 <= sheet_num <= self.total_sheets:
            raise InvalidInputError(
                f"job {self.job_id!r} has no sheet {sheet_num!r}", hint=f"its sheets are 1 to {self.total_sheets}"
            )
        if not self.sheets:
            # The first record would take from ``last_completed_sheet`` its meaning; so what it means is recorded too.
            for number in range(1, min(self.last_completed_sheet, self.total_sheets) + 1):
                self.sheets[number] = self._sheet_model()(sheet_num=number, status=SheetStatus.COMPLETED)
        if sheet_num not in self.sheets:
            self.sheets[sheet_num] = self._sheet_model()(sheet_num=sheet_num)
        return self.sheets[sheet_num]

    @classmethod
    def _sheet_model(cls) -> type[SheetState]:
        """Return the model of the sheets: a subclass may say ``sheets: dict[int, ItsOwnSheet]``."""
        arguments = get_args(cls.model_fields["sheets"].annotation)
        return next((model for model in arguments if _is_sheet(model)), SheetState)

    def get_next_sheet(self) -> int | None:
        """Return the number of the next sheet to process, or None when there is none: see :func:`next_sheet`."""
        return next_sheet(self)

    def mark_sheet_started(self, sheet_num: int) -> None:
        """Begin an attempt at a sheet: the job is RUNNING, the sheet IN_PROGRESS, the last attempt's results cleared.

        Raises:
            InvalidInputError: There is no such sheet.
        """
        sheet, now = self.sheet(sheet_num), clock.now()
        for name in RESULT_FIELDS:
            default = SheetState.model_fields[name].default
            if getattr(sheet, name) is not default:  # each assignment is validated
                setattr(sheet, name, default)
        sheet.status, sheet.started_at = SheetStatus.IN_PROGRESS, now
        sheet.attempt_count += 1
        if self.status is not JobStatus.RUNNING:
            self.status, self.completed_at, self.error_message = JobStatus.RUNNING, None, None
        self.started_at = self.started_at or now
        self.current_sheet = sheet_num
        self.updated_at = now

    def mark_sheet_completed(
        self,
        sheet_num: int,
        validation_passed: bool | None = None,
        validation_details: list[dict[str, Any]] | None = None,
        execution_duration_seconds: float | None = None,
        **fields: Any,
    ) -> None:
        """Complete a sheet, and the job when every sheet is completed or skipped.

        Args:
            sheet_num: The sheet.
            validation_passed: Whether its output was found good.
            validation_details: One dictionary for each check.
            execution_duration_seconds: How long the attempt took.
            fields: Other fields of the sheet, such as ``exit_code`` and ``stdout_tail``.

        Raises:
            InvalidInputError: There is no such sheet or field.
        """
        named = {
            "validation_passed": validation_passed,
            "validation_details": validation_details,
            "execution_duration_seconds": execution_duration_seconds,
        }
        cleared = dict.fromkeys(("error_message", "error_category", "error_code"))
        self._end_sheet(sheet_num, SheetStatus.COMPLETED, cleared | _given(named) | fields)
        self.last_completed_sheet = max(self.last_completed_sheet, sheet_num)
        self._complete_if_done()

    def mark_sheet_failed(
        self,
        sheet_num: int,
        error_message: str,
        error_category: str | None = None,
        exit_code: int | None = None,
        exit_signal: int | None = None,
        exit_reason: str | None = None,
        execution_duration_seconds: float | None = None,
        **fields: Any,
    ) -> None:
        """Say that an attempt at a sheet failed, and count a retry; the job's status stays.

        Args:
            sheet_num: The sheet.
            error_message: What went wrong.
            error_category: Its kind, in the caller's words.
            exit_code: The exit status of the attempt's process.
            exit_signal: The number of the signal that ended it.
            exit_reason: Why it ended, in the caller's words.
            execution_duration_seconds: How long the attempt took.
            fields: Other fields of the sheet, such as ``error_code`` and ``stderr_tail``.

        Raises:
            InvalidInputError: There is no such sheet or field.
        """
        named = {
            "error_category": error_category,
            "exit_code": exit_code,
            "exit_signal": exit_signal,
            "exit_reason": exit_reason,
            "execution_duration_seconds": execution_duration_seconds,
        }
        self._end_sheet(sheet_num, SheetStatus.FAILED, {"error_message": error_message} | _given(named) | fields)
        self.total_retry_count += 1

    def mark_sheet_skipped(self, sheet_num: int, reason: str | None = None) -> None:
        """Skip a sheet, for a reason that becomes its ``error_message``; the job completes as with the last sheet.

        Raises:
            InvalidInputError: There is no such sheet.
        """
        self._end_sheet(sheet_num, SheetStatus.SKIPPED, {"error_message": reason})
        self._complete_if_done()

    def mark_job_failed(self, message: str) -> None:
        """Say that the job has failed, and why; no process runs it any more.

        Its next sheet is still the one to try next, so that it can be resumed: a program that gives up ends its loop.
        """
        self._end(JobStatus.FAILED, message)

    def mark_job_paused(self) -> None:
        """Pause the job; no process runs it any more."""
        self.status, self.pid, self.host = JobStatus.PAUSED, None, None
        self.updated_at = clock.now()

    def get_progress(self) -> tuple[int, int]:
        """Return how many sheets are completed or skipped, and how many the job has."""
        if not self.sheets:
            return max(0, min(self.last_completed_sheet, self.total_sheets)), self.total_sheets
        done = sum(sheet.status in DONE for number, sheet in self.sheets.items() if 1 <= number <= self.total_sheets)
        return done, self.total_sheets

    def get_progress_percent(self) -> float:
        """Return the progress in percent, from 0.0 to 100.0."""
        done, total = self.get_progress()
        return 100.0 * done / total

    def is_zombie(self) -> bool:
        """Whether the job says RUNNING and its process is dead on this host: see :func:`is_zombie`."""
        return is_zombie(self)

    def set_running_pid(self, pid: int | None = None) -> None:
        """Say which process of this host runs the job, this one by default; the status stays."""
        self.pid = os.getpid() if pid is None else pid
        self.host = socket.gethostname()
        self.updated_at = clock.now()

    def _end_sheet(self, sheet_num: int, status: SheetStatus, fields: dict[str, Any]) -> None:
        unknown = sorted(fields.keys() - self._sheet_model().model_fields.keys())
        if unknown:
            raise InvalidInputError(f"a sheet has no field {unknown[0]!r}", hint="keep data of your own in metadata")
        sheet, now = self.sheet(sheet_num), clock.now()
        for name, value in ({"status": status, "completed_at": now} | fields).items():
            setattr(sheet, name, value)
        if self.current_sheet == sheet_num:
            self.current_sheet = None
        self.updated_at = now

    def _complete_if_done(self) -> None:
        if self._is_done():
            self._end(JobStatus.COMPLETED, None)

    def _is_done(self) -> bool:
        done, total = self.get_progress()
        return done == total

    def _end(self, status: JobStatus, message: str | None) -> None:
        now = clock.now()
        self.status, self.error_message, self.completed_at = status, message, now
        self.pid, self.host, self.current_sheet = None, None, None
        self.updated_at = now


def _is_sheet(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, SheetState)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
