"""What a backend does to the states of any model: set fields, show a dead job as paused, tell how old a state is."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from gitstate import clock
from gitstate.backends.statuses import JobStatus, is_zombie

__all__ = ["cause_of_death", "changed", "laid_to_rest", "updated_at"]


def changed(state: Any, changes: Mapping[str, Any]) -> Any:
    """Set the fields of a state that its model has. One that lets nobody set them is copied, and the copy has them."""
    from pydantic import ValidationError

    fields = {name: value for name, value in changes.items() if name in type(state).model_fields}
    try:
        for name, value in fields.items():
            setattr(state, name, value)
    except ValidationError:  # the model is frozen, or one of the fields
        return state.model_copy(update=fields)
    return state


def cause_of_death(state: Any) -> str | None:
    """Return what is said of a job whose process died on this host; None of any other."""
    return f"process {state.pid} is gone; the job was running when it ended" if is_zombie(state) else None


def laid_to_rest(state: Any) -> Any:
    """Show a job whose process died on this host as paused; what is stored stays as it is."""
    reason = cause_of_death(state)
    if reason is None:
        return state
    return changed(state, {"status": _like(state.status, JobStatus.PAUSED), "pid": None, "error_message": reason})


def updated_at(state: Any) -> datetime:
    """Return when a state was last saved; one that does not say is older than all others."""
    time = getattr(state, "updated_at", None)
    return clock.aware(time) if isinstance(time, datetime) else datetime.min.replace(tzinfo=UTC)


def _like(standing: Any, status: JobStatus) -> Any:
    """Return a status as a member of the enum that stands there, if it has such a one: models bring their own."""
    try:
        return type(standing)(status.value) if isinstance(standing, Enum) else status
    except ValueError:
        return status
