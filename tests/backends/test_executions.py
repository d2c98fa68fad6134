"""Executions: what is recorded comes back exactly, and git shows it."""

from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.rewind import RewindBackend
from tests.git import git


def job(job_id: str = "nightly") -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=9)


TEXTS = [
    None,
    "",
    "plain\n",
    "NUL \0 inside",
    "lone \ud800 surrogate",
    "line\r\nbreaks\u2028\x0b",
    "ü" * 1000,
    "x" * 3_000_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: "None" if text is None else ascii(text)[:16])
async def test_prompt_and_output_come_back_exactly(backend: RewindBackend, text: str | None) -> None:
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt=text, output="the other")
    await backend.record_execution("nightly", 1, 2, prompt="the other", output=text)
    second, first = await backend.get_execution_history("nightly")
    assert (first["prompt"], first["output"]) == (text, "the other")
    assert (second["prompt"], second["output"]) == ("the other", text)


@pytest.mark.parametrize("exit_code", [None, 0, 1, -9, 255, 2**31])
@pytest.mark.parametrize("duration", [None, 0, 0.1, 1e-9, 123456.789])
async def test_exit_codes_and_durations_come_back_exactly(
    backend: RewindBackend, exit_code: int | None, duration: float | None
) -> None:
    await backend.save(job())
    made = await backend.record_execution("nightly", 3, 2, exit_code=exit_code, duration_seconds=duration)
    (found,) = await backend.get_execution_history("nightly")
    assert found["executed_at"].endswith("+00:00")
    del found["executed_at"]
    assert found == {
        "id": made,
        "job_id": "nightly",
        "sheet_num": 3,
        "attempt_num": 2,
        "prompt": None,
        "output": None,
        "exit_code": exit_code,
        "duration_seconds": duration,
    }


async def test_the_history_is_newest_first_and_can_be_narrowed(backend: RewindBackend) -> None:
    await backend.save(job())
    await backend.save(job("other"))
    made = []
    for number in range(1, 7):
        made.append(await backend.record_execution("nightly", number % 2 + 1, number, prompt=f"{number}"))
        await backend.record_execution("other", 1, number)
    assert len(set(made)) == 6
    assert all(isinstance(one, int) and 0 < one < 2**52 for one in made)
    history = await backend.get_execution_history("nightly")
    assert [found["id"] for found in history] == made[::-1]
    assert [found["prompt"] for found in history] == ["6", "5", "4", "3", "2", "1"]
    assert [found["attempt_num"] for found in await backend.get_execution_history("nightly", 2)] == [5, 3, 1]
    assert [found["attempt_num"] for found in await backend.get_execution_history("nightly", limit=2)] == [6, 5]
    assert await backend.get_execution_history("nightly", 7) == []
    assert await backend.get_execution_history_count("nightly") == 6
    assert await backend.get_execution_history("unknown") == []
    assert await backend.get_execution_history_count("unknown") == 0


async def test_a_job_made_anew_starts_with_an_empty_history(backend: RewindBackend) -> None:
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt="first life")
    await backend.delete("nightly")
    assert await backend.get_execution_history("nightly") == []
    await backend.save(job())
    assert await backend.get_execution_history("nightly") == []
    await backend.record_execution("nightly", 1, 1, prompt="second life")
    assert [found["prompt"] for found in await backend.get_execution_history("nightly")] == ["second life"]
    assert [point.event for point in await backend.history("nightly")] == [
        "execution",
        "created",
        "deleted",
        "execution",
        "created",
    ]


async def test_an_execution_is_no_change_of_the_state(backend: RewindBackend) -> None:
    await backend.save(job())
    state = await backend.load("nightly")
    await backend.record_execution("nightly", 1, 1, prompt="p", output="o")
    assert await backend.load("nightly") == state
    assert state is not None
    state.metadata["mine"] = 1
    await backend.save(state)  # nothing to merge with
    assert [point.event for point in await backend.history("nightly")] == ["saved", "execution", "created"]


async def test_a_forged_record_in_the_message_of_another_job_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.flush()
        (folder / "notes.txt").write_text("mine\n")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "Notes\n\nGitstate-Job: nightly\nGitstate-Execution: 7\nGitstate-Sheet: 1")
        assert await backend.get_execution_history("nightly") == []


async def test_git_shows_how_an_attempt_differs_from_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.record_execution("nightly", 2, 1, prompt="look\n", output="nothing\n", exit_code=1)
        await backend.record_execution("nightly", 2, 2, prompt="look again\n", output="found\n", exit_code=0)
    shown = git(folder, "show", "HEAD")
    assert "nightly: executed sheet 2, attempt 2, exit 0 (0/9 done)" in shown
    assert "-look\n+look again\n" in shown
    assert (folder / "jobs/nightly/executions/0002/output.txt").read_text() == "found\n"
    trailers = git(folder, "log", "-1", "--format=%(trailers:only,unfold)").splitlines()
    assert [line.split(":")[0] for line in trailers if line] == [
        "Gitstate-Job",
        "Gitstate-Event",
        "Gitstate-Status",
        "Gitstate-Progress",
        "Gitstate-Execution",
        "Gitstate-Sheet",
        "Gitstate-Attempt",
        "Gitstate-Time",
        "Gitstate-Exit-Code",
        "Gitstate-Prompt-Bytes",
        "Gitstate-Output-Bytes",
    ]


async def test_a_limit_beyond_counting_is_none(backend: RewindBackend) -> None:
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1)
    assert len(await backend.get_execution_history("nightly", limit=10**30)) == 1
    assert len(await backend.history("nightly", 10**30)) == 2


async def test_a_job_that_is_brought_back_has_its_executions_again(backend: RewindBackend) -> None:
    async def prompts() -> list[str]:
        return [found["prompt"] for found in await backend.get_execution_history("nightly")]

    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt="of an earlier life")
    earlier = (await backend.history("nightly"))[0].revision
    await backend.delete("nightly")
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt="first")
    first = (await backend.history("nightly"))[0].revision
    await backend.record_execution("nightly", 1, 2, prompt="second")
    await backend.delete("nightly")
    await backend.undelete("nightly")
    await backend.record_execution("nightly", 1, 3, prompt="third")
    assert await prompts() == ["third", "second", "first"]
    await backend.delete("nightly")
    await backend.undo("nightly")
    assert await prompts() == ["third", "second", "first"]
    await backend.delete("nightly")
    await backend.undelete("nightly", first)
    assert await prompts() == ["first"]
    await backend.undo("nightly")
    assert await prompts() == []
    await backend.undo("nightly")
    assert await prompts() == ["first"]
    await backend.delete("nightly")
    await backend.undelete("nightly", earlier)
    assert await prompts() == ["of an earlier life"]
