"""Executions: what is recorded comes back exactly, and git shows it."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gitstate import (
    CheckpointState,
    ConflictError,
    GitStateBackend,
    InvalidInputError,
    JobNotFoundError,
    SheetStatus,
)
from gitstate.backends.executions import ExecutionRecord
from gitstate.backends.payloads import Payloads
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import StaleError
from gitstate.format.codec import Codec
from gitstate.format.message import EVENT, JOB, UNDOES, Event, Message
from gitstate.store.documents import Draft
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


async def test_50_megabytes_come_back_exactly(backend: RewindBackend) -> None:
    prompt, output = "line\n" * 10_000_000, "\0 \udc80 ü" * 7_142_858
    assert len(output.encode("utf-8", "surrogatepass")) >= 50_000_000 == len(prompt)
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt, output)
    (found,) = await backend.get_execution_history("nightly")
    assert found["prompt"] == prompt and found["output"] == output


async def test_an_execution_of_a_job_that_is_not_stored(backend: RewindBackend) -> None:
    await backend.save(job())
    await backend.delete("nightly")
    for job_id in ("unknown", "nightly"):
        with pytest.raises(JobNotFoundError, match=job_id):
            await backend.record_execution(job_id, 1, 1)
        assert await backend.get_execution_history_count(job_id) == 0


WRONG: list[dict[str, Any]] = [
    {"sheet_num": 0, "attempt_num": 1},
    {"sheet_num": 1, "attempt_num": 0},
    {"sheet_num": 1, "attempt_num": -1},
    {"sheet_num": True, "attempt_num": 1},
    {"sheet_num": 10**18, "attempt_num": 1},
    {"sheet_num": 1, "attempt_num": 1.0},
    {"sheet_num": 1, "attempt_num": 1, "exit_code": "1"},
    {"sheet_num": 1, "attempt_num": 1, "exit_code": -(10**18)},
    {"sheet_num": 1, "attempt_num": 1, "duration_seconds": float("nan")},
    {"sheet_num": 1, "attempt_num": 1, "duration_seconds": 10**400},
    {"sheet_num": 1, "attempt_num": 1, "prompt": b"bytes"},
    {"sheet_num": 1, "attempt_num": 1, "output": 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
async def test_what_is_no_execution_writes_nothing(backend: RewindBackend, wrong: dict[str, Any]) -> None:
    state = job()
    await backend.save(state)
    stamp = state.updated_at
    with pytest.raises(InvalidInputError):
        await backend.record_execution("nightly", **wrong)
    with pytest.raises(InvalidInputError):
        await backend.save(state, execution=wrong)
    assert state.updated_at == stamp
    assert len(await backend.history("nightly")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 0},
        {"id": 2**52},
        {"id": -1},
        {"id": True},
        {"id": "7"},
        {"id": 7.0},
        {"id": None},
        {"executed_at": datetime(2026, 1, 1)},  # noqa: DTZ001  # naive
        {"executed_at": "2026-01-01T00:00:00+00:00"},
        {"executed_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},  # in UTC of no year
    ],
    ids=repr,
)
def test_a_record_has_an_id_and_a_time_that_can_be_read_again(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="of an execution is"):
        ExecutionRecord(1, 1, **wrong)


@pytest.mark.parametrize("number", [1, 2**52 - 1])
async def test_the_time_of_a_record_is_written_in_utc(backend: RewindBackend, number: int) -> None:
    elsewhere = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await backend.save(job(), execution=ExecutionRecord(1, 1, executed_at=elsewhere, id=number))
    (found,) = await backend.get_execution_history("nightly")
    assert (found["id"], found["executed_at"]) == (number, "2025-12-31T20:00:00+00:00")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "no sheet_num"),
        ({"sheet_num": 1}, "no attempt_num"),
        ({"sheet_num": 1, "attempt_num": 1, "promt": ""}, "no place for 'promt'"),
        ({"sheet_num": 1, "attempt_num": 1, "id": 7}, "no place for 'id'"),
        ((1, 1), "a mapping, not tuple"),
    ],
)
async def test_a_save_with_what_is_no_execution_says_why(backend: RewindBackend, wrong: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        await backend.save(job(), execution=wrong)
    assert await backend.load("nightly") is None


async def test_a_save_and_its_execution_are_one_commit(backend: RewindBackend) -> None:
    state = job()
    state.mark_sheet_started(2)
    await backend.save(state)
    state.mark_sheet_failed(2, "no column")
    record = ExecutionRecord(2, 1, prompt="look\n", output="\0 \ud800", exit_code=-9, duration_seconds=0.125)
    await backend.save(state, execution=record)
    newest, _ = await backend.history("nightly")
    assert (newest.event, newest.subject) == ("saved", "nightly: sheet 2 failed (0/9 done)")
    (found,) = await backend.get_execution_history("nightly")
    del found["executed_at"]
    assert found == {
        "id": record.id,
        "job_id": "nightly",
        "sheet_num": 2,
        "attempt_num": 1,
        "prompt": "look\n",
        "output": "\0 \ud800",
        "exit_code": -9,
        "duration_seconds": 0.125,
    }
    assert await backend.get_execution_history_count("nightly") == 1
    before = await backend.load("nightly", at="~1")
    assert before is not None and before.sheets[2].status == SheetStatus.IN_PROGRESS, "it is a save to ~1"
    await backend.save(state, execution={"sheet_num": 1, "attempt_num": 1, "exit_code": 0})
    assert (await backend.history("nightly", 1))[0].subject == "nightly: executed sheet 1, attempt 1, exit 0 (0/9 done)"
    assert [one["sheet_num"] for one in await backend.get_execution_history("nightly")] == [1, 2]


async def test_the_first_save_of_a_job_may_record_an_execution(backend: RewindBackend) -> None:
    await backend.save(job(), execution=ExecutionRecord(1, 1, output="first"))
    (point,) = await backend.history("nightly")
    assert (point.event, point.subject) == ("created", "nightly: created, executed sheet 1, attempt 1 (0/9 done)")
    assert [found["output"] for found in await backend.get_execution_history("nightly")] == ["first"]


async def test_a_save_that_is_merged_records_its_execution_once(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    state.metadata["mine"] = True
    await backend.save(state, execution=ExecutionRecord(3, 1))
    newest = (await backend.history("nightly", 1))[0]
    assert newest.event == "merged"
    assert newest.subject == "nightly: executed sheet 3, attempt 1, merged (1/9 done)"
    assert await backend.get_execution_history_count("nightly") == 1


async def test_a_save_that_is_made_anew_records_its_execution_once(
    backend: RewindBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When somebody's git moved the branch between reading and swapping, the edit runs again."""
    state = job()
    await backend.save(state)
    engine: Any = backend.store._engine
    publish, refused = engine.publish, list[object]()

    def refuse_once(*words: Any, **named: Any) -> None:
        if not refused:
            refused.append(named)
            raise StaleError("moved")
        publish(*words, **named)

    monkeypatch.setattr(engine, "publish", refuse_once)
    record = ExecutionRecord(3, 1, output="once")
    await backend.save(state, execution=record)
    assert refused
    assert [found["id"] for found in await backend.get_execution_history("nightly")] == [record.id]


async def test_a_record_that_is_saved_twice_is_one_execution(backend: RewindBackend) -> None:
    """A save whose error came after the branch had moved is tried again by its caller."""
    state, record = job(), ExecutionRecord(1, 1, output="once")
    await backend.save(state, execution=record)
    await backend.save(state, execution=record)
    assert [found["output"] for found in await backend.get_execution_history("nightly")] == ["once"]
    assert await backend.get_execution_history_count("nightly") == 1
    assert len(await backend.attempts("nightly")) == 1


async def test_a_save_that_conflicts_records_nothing(backend: RewindBackend) -> None:
    one = job()
    await backend.save(one)
    other = await backend.load("nightly")
    assert other is not None
    other.config_path = "theirs"
    await backend.save(other)
    one.config_path = "ours"
    with pytest.raises(ConflictError):
        await backend.save(one, execution=ExecutionRecord(1, 1))
    assert await backend.get_execution_history_count("nightly") == 0


async def test_a_forged_record_in_the_message_of_another_job_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.flush()
        (folder / "notes.txt").write_text("mine\n")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "Notes\n\nGitstate-Job: nightly\nGitstate-Execution: 7\nGitstate-Sheet: 1")
        assert await backend.get_execution_history("nightly") == []


@pytest.mark.parametrize("source", ["", "~9", "never\udcff", "~0", "0" * 40])
async def test_a_job_that_says_falsely_that_it_was_brought_back_has_its_executions(tmp_path: Path, source: str) -> None:
    forged = ((JOB, "nightly"), (EVENT, Event.UNDONE.value), (UNDOES, source))
    value = Codec(CheckpointState).encode(job())
    assert isinstance(value, dict)
    async with GitStateBackend(tmp_path / "state") as backend:
        draft = Draft(Message("forged", trailers=forged), value=value)
        backend.store.submit(backend._jobs, "nightly", lambda _: draft).result()
        await backend.record_execution("nightly", 1, 1)
        assert await backend.get_execution_history_count("nightly") == 1
        assert len(await backend.attempts("nightly")) == 1


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


async def test_texts_that_were_read_lately_stay_in_memory_but_not_all(backend: RewindBackend) -> None:
    await backend.save(job())
    kept = backend._payloads = Payloads(backend.store, backend._jobs, limit=5000)
    for number in range(20):
        await backend.record_execution("nightly", 1, number + 1, f"{number}" * 200, "the same" * 10)
    await backend.record_execution("nightly", 1, 21, "large" * 1000, "the same" * 10)
    first, again = [await backend.get_execution_history("nightly") for _ in range(2)]
    assert first == again
    assert [each["prompt"] for each in first] == [
        "large" * 1000,
        *(f"{number}" * 200 for number in reversed(range(20))),
    ]
    assert 3000 < sum(map(sys.getsizeof, kept._texts.values())) == kept._size <= 5000
    kept.clear()
    assert (await backend.get_execution_history("nightly"), kept._size <= 5000) == (first, True)


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
