"""The history of a job, cut at both ends."""

from gitstate import CheckpointState
from gitstate.backends.rewind import RewindBackend


async def made(backend: RewindBackend) -> list[str]:
    """Save a job five times; return the revisions, the newest first."""
    state = CheckpointState(job_id="nightly", job_name="nightly", total_sheets=1)
    for number in range(5):
        state.metadata = {"n": number}
        await backend.save(state)
    return [checkpoint.revision for checkpoint in await backend.history("nightly")]


async def history(backend: RewindBackend, **bounds: str) -> list[str]:
    return [checkpoint.revision for checkpoint in await backend.history("nightly", **bounds)]  # type: ignore[arg-type]


async def test_a_history_as_it_was_has_nothing_newer_than_that(backend: RewindBackend) -> None:
    revisions = await made(backend)
    assert await history(backend, at=revisions[2]) == revisions[2:]
    assert await history(backend, at=revisions[2], before=revisions[0]) == revisions[2:]
    assert await history(backend, at=revisions[2], before=revisions[2]) == revisions[3:]
    assert await history(backend, at=revisions[0], before=revisions[2]) == revisions[3:]
    assert await history(backend, at=revisions[2], before="~0", after=revisions[4]) == revisions[2:4]


async def test_bounds_that_leave_nothing_between_them_leave_nothing(backend: RewindBackend) -> None:
    revisions = await made(backend)
    assert await history(backend, at=revisions[2], after=revisions[1]) == []
    assert await history(backend, at=revisions[2], after=revisions[2]) == []
    assert await history(backend, before=revisions[2], after=revisions[1]) == []
    assert await history(backend, before=revisions[2], after=revisions[3]) == []
    assert await history(backend, before=revisions[1], after=revisions[3]) == [revisions[2]]
