"""Where jobs and sheets stand, and what that means, for models of anybody's making.

No pydantic here: what looks at statuses need not load it (docs/design/0008-start-up.md).
"""

import os
import socket
from enum import StrEnum
from typing import Any

__all__ = [
    "DONE",
    "PASSED_OVER",
    "RESULT_FIELDS",
    "RUNNING",
    "TERMINAL",
    "JobStatus",
    "SheetStatus",
    "is_zombie",
    "next_sheet",
    "runs_here",
]


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    PAUSED_AT_CHAIN = "paused_at_chain"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended: completed, failed or cancelled."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class SheetStatus(StrEnum):
    """Where one sheet of a job stands."""

    PENDING = "pending"
    READY = "ready"
    DISPATCHED = "dispatched"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    RETRY_SCHEDULED = "retry_scheduled"
    FERMATA = "fermata"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the sheet has ended: completed, failed, skipped or cancelled."""
        return self in TERMINAL


TERMINAL = (SheetStatus.COMPLETED, SheetStatus.FAILED, SheetStatus.SKIPPED, SheetStatus.CANCELLED)
DONE = (SheetStatus.COMPLETED, SheetStatus.SKIPPED)
RUNNING = (  # an attempt has begun; one that is to be tried again may yet be given up
    SheetStatus.DISPATCHED,
    SheetStatus.IN_PROGRESS,
    SheetStatus.WAITING,
    SheetStatus.RETRY_SCHEDULED,
    SheetStatus.FERMATA,
)
PASSED_OVER = (*DONE, SheetStatus.CANCELLED)  # no run processes these again
RESULT_FIELDS = (  # of a sheet: what an attempt leaves behind, and the next one clears
    "completed_at",
    "exit_code",
    "exit_signal",
    "exit_reason",
    "error_message",
    "error_category",
    "error_code",
    "validation_passed",
    "validation_details",
    "execution_duration_seconds",
    "stdout_tail",
    "stderr_tail",
    "output_truncated",
)


def next_sheet(state: Any) -> int | None:
    """Return the number of the sheet that a run of this job processes next, or None when there is none.

    None for a job that is completed or cancelled. Else a sheet that was interrupted in progress comes first, else the
    lowest that is not completed, skipped or cancelled: one that failed or was overtaken is never passed over.

    Args:
        state: A model with the fields ``status``, ``total_sheets``, ``last_completed_sheet`` and ``sheets``, a
            dictionary by number; statuses count by their value, so any enum or text will do.
    """
    if _text(getattr(state, "status", None)) in (JobStatus.COMPLETED, JobStatus.CANCELLED):
        return None
    numbers = range(1, state.total_sheets + 1)
    sheets = getattr(state, "sheets", None) or {}
    if not sheets:
        following = max(0, getattr(state, "last_completed_sheet", 0) or 0) + 1
        return following if following in numbers else None
    statuses = {number: _text(sheets[number].status) for number in sorted(sheets) if number in numbers}
    interrupted = (number for number, status in statuses.items() if status == SheetStatus.IN_PROGRESS)
    open_sheets = (number for number in numbers if statuses.get(number) not in PASSED_OVER)
    return next(interrupted, None) or next(open_sheets, None)


def is_zombie(state: Any) -> bool:
    """Whether a job says RUNNING with a pid that is dead on this very host.

    A pid of another host says nothing. One without a host is taken as this host's: other models have no such field.

    Args:
        state: A model with the fields ``status`` and ``pid``, and perhaps ``host``.
    """
    return _process_lives(state) is False


def runs_here(state: Any) -> bool:
    """Whether a job says RUNNING with a pid that is alive on this very host; see :func:`is_zombie`."""
    return _process_lives(state) is True


def _process_lives(state: Any) -> bool | None:
    """Tell whether the process of a running job is alive; None where nothing can be said."""
    if _text(getattr(state, "status", None)) != JobStatus.RUNNING:
        return None
    pid, host = getattr(state, "pid", None), getattr(state, "host", None)
    if not isinstance(pid, int) or pid < 1 or host not in (None, socket.gethostname()):
        return None
    try:
        os.kill(pid, 0)  # signal 0 only asks; pids below 1 would mean groups of processes
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it lives, and belongs to somebody else
    return True


def _text(status: Any) -> Any:
    return getattr(status, "value", status)
