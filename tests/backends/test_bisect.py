"""Since when something holds, on both of our backends."""

from collections.abc import Callable
from typing import Any

import pytest

from gitstate import errors
from gitstate.backends.rewind import RewindBackend
from tests.backends.test_history import newest, save
from tests.backends.test_tracing import mark


async def run(backend: RewindBackend) -> list[str]:
    """Let sheet 2 fail, and then succeed; return the checkpoints."""
    made = [await save(backend)]
    made += [await mark(backend, 1, "completed"), await mark(backend, 2, "in_progress")]
    made += [await mark(backend, 2, "failed"), await mark(backend, 2, "in_progress")]
    await save(backend, "other")
    made.append(await mark(backend, 2, "completed"))
    return made


Predicate = str | Callable[[Any], bool]


@pytest.mark.parametrize(
    ("predicate", "at"),
    [
        ("sheets.1.status == 'completed'", 1),
        ("sheets.2.status == 'failed'", 3),  # holds no more afterwards
        ("not sheets.2", 0),
        ("sheets.2.attempt_count > 1", 4),
        ("sheets.*.attempt_count > 1", 4),
        ("sheets.*.status == 'failed'", 3),
        ("count(sheets) == 2", 2),
        ("count(sheets.*.completed_at) >= 2", 3),
        ("/*/2/status == 'failed'", 3),
        ("last_completed_sheet == 1 and sheets.2.status != 'in_progress'", 1),
        ("sheets.2.status == 'completed' or status == 'running'", 2),
        ("1 == 1", 0),
        (lambda value: len(value["sheets"]) == 2, 2),
        (lambda value: value.get("status") == "running", 2),
        (lambda value: 7, 0),
    ],
)
async def test_the_first_checkpoint_at_which_it_holds(backend: RewindBackend, predicate: Predicate, at: int) -> None:
    made = await run(backend)
    found = await backend.bisect("job", predicate)
    assert found.found is not None and found.found.revision == made[at]
    assert (found.before.revision if found.before else None) == (made[at - 1] if at else None)
    assert (found.job_id, found.looked_at) == ("job", at + 1)


@pytest.mark.parametrize("predicate", ["sheets.*.attempt_count > 9", "1 == 2", lambda value: False])
async def test_what_never_holds(backend: RewindBackend, predicate: Predicate) -> None:
    made = await run(backend)
    found = await backend.bisect("job", predicate)
    assert found.found is None and found.before is not None and found.before.revision == made[-1]
    assert (found.looked_at, found.never) == (len(made), ())


async def test_names_that_were_never_there_are_told(backend: RewindBackend) -> None:
    await run(backend)
    found = await backend.bisect("job", "sheets.2.sttus == 'x' or failed or sheets.*.attempt_count > 9 or /sheets/9")
    assert found.never == ("/sheets/2/sttus", "/failed", "/sheets/9")
    assert found.found is None


async def test_a_bisect_ends_where_it_is_told_to_and_knows_deletions(backend: RewindBackend) -> None:
    made = await run(backend)
    found = await backend.bisect("job", "sheets.2.attempt_count > 1", at=made[3])
    assert (found.found, found.looked_at) == (None, 4)
    assert (await backend.bisect("job", "sheets.2.attempt_count > 1", at="~1")).looked_at == 5
    await backend.delete("job")
    found = await backend.bisect("job", "config_path == 'anew'")
    assert (found.found, found.looked_at) == (None, len(made))
    anew = await save(backend, config_path="anew")
    found = await backend.bisect("job", "config_path == 'anew'")
    assert found.found is not None and found.found.revision == anew
    assert found.before is not None and found.before.revision == made[-1]


async def test_what_cannot_be_bisected(backend: RewindBackend) -> None:
    await save(backend, "other")
    earlier = await newest(backend, "other")
    await run(backend)
    with pytest.raises(errors.JobNotFoundError, match="no job 'never'"):
        await backend.bisect("never", "status == 'running'")
    for unknown in ("nowhere", "~99", earlier):
        with pytest.raises(errors.RevisionNotFoundError):
            await backend.bisect("job", "status == 'running'", at=unknown)

    async def promised(_: Any) -> bool:
        return False

    for wrong in ("", "status = 1", "sheets.2.status ==", 7, None, ["status"], promised):
        with pytest.raises(errors.InvalidInputError):
            await backend.bisect("job", wrong)  # type: ignore[arg-type]

    def wrong_question(value: Any) -> bool:
        return bool(value["nothing"])

    with pytest.raises(KeyError, match="nothing"):
        await backend.bisect("job", wrong_question)
