"""What all parts of the conformance suite share: the hooks of an implementer, and jobs to save."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from gitstate.backends.base import StateBackend
from gitstate.backends.models import CheckpointState

__all__ = ["Harness", "loaded", "overrides"]

_Test = TypeVar("_Test", bound=Callable[..., Any])


def overrides(reason: str) -> Callable[[_Test], _Test]:
    """Mark a test that replaces one of the suite's, and say why; without it a replacement is refused.

    Args:
        reason: Why the suite's own test does not fit.
    """
    if not reason.strip():
        raise ValueError("a test of the suite is replaced for a reason")

    def mark(test: _Test) -> _Test:
        test.__dict__["override_reason"] = reason
        return test

    return mark


@pytest.mark.asyncio
class Harness:
    """The hooks: replace them in the subclass where your backend can do more."""

    def job(self, job_id: str = "nightly", total_sheets: int = 3, **fields: Any) -> CheckpointState:
        """Return a state to save; replace it if your backend wants a model of its own."""
        return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=total_sheets, **fields)

    async def corrupt(self, backend: StateBackend, job_id: str) -> None:  # noqa: ARG002  # for the one that replaces it
        """Damage the stored state of a job, going around the interface. Without it the rows on damage are skipped."""
        pytest.skip("the backend's tests do not say how to damage a state (replace `corrupt`)")

    async def reopen(self, backend: StateBackend) -> StateBackend:  # noqa: ARG002  # for the one that replaces it
        """Close the backend and return a new one on the same storage. Without it the rows on that are skipped."""
        pytest.skip("the backend's tests do not say how to open it again (replace `reopen`)")


async def loaded(backend: StateBackend, job_id: str = "nightly") -> CheckpointState:
    """Return the state of a job that must be there."""
    state = await backend.load(job_id)
    assert state is not None, f"job {job_id!r} was saved, and load returned None"
    return state
