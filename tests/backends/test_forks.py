"""New jobs that begin as a checkpoint of another one, and the tree that they make."""

import pytest

from gitstate import CheckpointState, JobNotFoundError, RevisionNotFoundError, SheetStatus
from gitstate.backends.forks import Fork
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import ExistsError, InvalidInputError
from gitstate.format import message
from gitstate.format.message import Message
from gitstate.store.documents import Draft


async def completed(backend: RewindBackend, sheets: int = 4) -> list[str]:
    """Complete a job sheet by sheet; return its revisions, the oldest first."""
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=sheets))
    for number in range(1, sheets + 1):
        await backend.mark_sheet_status("nightly", number, SheetStatus.COMPLETED)
    return [checkpoint.revision for checkpoint in await backend.history("nightly")][::-1]


async def stored(backend: RewindBackend, job_id: str) -> CheckpointState:
    state = await backend.load(job_id)
    assert state is not None
    return state


async def test_a_fork_begins_as_the_job_was(backend: RewindBackend) -> None:
    made = await completed(backend)
    origin = await stored(backend, "nightly")
    done = await backend.fork("nightly", "second", made[2], message="without the cache")
    fork = await stored(backend, "second")
    then = await backend.load("nightly", at=made[2])
    assert then is not None and fork.sheets == then.sheets and fork.status == then.status
    assert (fork.job_id, fork.job_name, fork.get_next_sheet()) == ("second", "Nightly", 3)
    assert await stored(backend, "nightly") == origin
    (checkpoint,) = await backend.history("second")
    assert (checkpoint.event, checkpoint.message, checkpoint.revision) == ("forked", "without the cache", done.revision)
    assert checkpoint.subject == f"second: forked from nightly at {made[2][:10]} (2/4 done)"
    (revision,) = backend.store.history(backend._jobs, "second")
    assert revision.message.get(message.ORIGIN) == f"nightly@{made[2]}"


async def test_a_fork_from_a_sheet_opens_it_and_all_behind_it(backend: RewindBackend) -> None:
    await completed(backend)
    await backend.fork("nightly", "second", from_sheet=3)
    fork = await stored(backend, "second")
    assert [sheet.status for sheet in fork.sheets.values()] == ["completed", "completed", "pending", "pending"]
    assert fork.sheets[3].completed_at is None
    assert (fork.status, fork.completed_at, fork.last_completed_sheet, fork.get_next_sheet()) == ("paused", None, 2, 3)
    await backend.fork("nightly", "third", from_sheet=1)
    fork = await stored(backend, "third")
    assert (fork.status, fork.started_at, fork.get_next_sheet()) == ("pending", None, 1)


async def test_a_fork_of_a_running_job_is_paused_and_names_no_process(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=2)
    state.mark_sheet_started(1)
    state.set_running_pid()
    await backend.save(state)
    await backend.fork("nightly", "second")
    fork = await stored(backend, "second")
    assert (fork.status, fork.pid, fork.host, fork.get_next_sheet()) == ("paused", None, None, 1)
    assert (await stored(backend, "nightly")).status == "running"


async def test_a_fork_of_a_job_that_only_counts(backend: RewindBackend) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=4, last_completed_sheet=3))
    await backend.fork("nightly", "second", from_sheet=3)
    fork = await stored(backend, "second")
    assert (fork.last_completed_sheet, fork.get_next_sheet(), fork.status) == (2, 3, "paused")


async def test_what_cannot_be_forked_is_said(backend: RewindBackend) -> None:
    made = await completed(backend)
    with pytest.raises(ExistsError, match="'nightly' is there"):
        await backend.fork("nightly", "nightly")
    for wrong in (0, 5, True, "2"):
        with pytest.raises(InvalidInputError, match="no sheet"):
            await backend.fork("nightly", "second", from_sheet=wrong)  # type: ignore[arg-type]
    with pytest.raises(RevisionNotFoundError):
        await backend.fork("nightly", "second", "0123456789")
    with pytest.raises(JobNotFoundError):
        await backend.fork("none", "second")
    with pytest.raises(JobNotFoundError):
        await backend.forks("none")
    await backend.delete("nightly")
    await backend.fork("nightly", "nightly", made[-1])
    assert (await stored(backend, "nightly")).status == "completed"


async def test_a_dry_run_makes_nothing(backend: RewindBackend) -> None:
    await completed(backend)
    told = await backend.fork("nightly", "second", from_sheet=2, dry_run=True)
    assert told.revision is None and told.after is not None and told.after["last_completed_sheet"] == 1
    assert await backend.load("second") is None


def outline(fork: Fork) -> list[object]:
    return [fork.job_id, *map(outline, fork.forks)]


async def test_the_tree_of_forks_is_the_same_from_everywhere_in_it(backend: RewindBackend) -> None:
    made = await completed(backend)
    await backend.fork("nightly", "a@b", made[1])
    await backend.fork("a@b", "deep")
    await backend.fork("nightly", "second", from_sheet=2)
    tree = await backend.forks("nightly")
    assert outline(tree) == ["nightly", ["a@b", ["deep"]], ["second"]]
    assert await backend.forks("deep") == tree == await backend.forks("second")
    assert (tree.origin, tree.at, tree.status, tree.progress) == (None, None, "completed", "4/4")
    first = tree.forks[0]
    assert (first.origin, first.at, first.status, first.progress) == ("nightly", made[1], "pending", "1/4")
    assert first.revision == (await backend.history("a@b"))[0].revision


async def test_a_trailer_on_a_job_that_was_there_makes_no_fork(backend: RewindBackend) -> None:
    await completed(backend)
    await backend.fork("nightly", "second")
    (said,) = [revision.message for revision in backend.store.history(backend._jobs, "second")]
    await backend.delete("second")
    await backend.undelete("second")
    forged = Message(said.subject, trailers=(*said.trailers[:-1], (message.ORIGIN, f"forged@{'0' * 40}")))
    draft = Draft(forged, attachments={"executions/x": b""})
    backend.store.submit(backend._jobs, "second", lambda _: draft).result()
    assert (await backend.forks("second")).job_id == "nightly"


async def test_a_deleted_job_still_stands_in_the_tree(backend: RewindBackend) -> None:
    await completed(backend)
    await backend.fork("nightly", "second")
    await backend.delete("nightly")
    await backend.fork("second", "nightly")
    tree = await backend.forks("second")
    assert sorted([tree.job_id, tree.forks[0].job_id]) == ["nightly", "second"] and tree.forks[0].forks == ()
    await backend.delete("second")
    assert "second" in str(outline(await backend.forks("nightly")))


async def test_the_tree_is_drawn_as_it_was(backend: RewindBackend) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="n", total_sheets=2))
    await backend.fork("nightly", "second")
    before = await backend.history("second", 1)
    await backend.fork("second", "third")
    await backend.delete("second")
    now, then = await backend.forks("nightly"), await backend.forks("nightly", at=before[0].revision)
    assert [(each.job_id, each.status is None) for each in (now.forks[0], *now.forks[0].forks)] == [
        ("second", True),
        ("third", False),
    ]
    assert [(each.job_id, each.status is None, each.forks) for each in then.forks] == [("second", False, ())]
    with pytest.raises(JobNotFoundError):
        await backend.forks("third", at=before[0].revision)


async def test_a_job_that_was_made_anew_is_no_fork_any_more(backend: RewindBackend) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="n", total_sheets=2))
    await backend.fork("nightly", "second")
    await backend.delete("second")
    await backend.undelete("second")
    assert [each.job_id for each in (await backend.forks("nightly")).forks] == ["second"]
    await backend.delete("second")
    await backend.save(CheckpointState(job_id="second", job_name="another", total_sheets=1))
    assert (await backend.forks("nightly")).forks == ()
    assert (await backend.forks("second")).origin is None
