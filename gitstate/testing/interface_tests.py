"""The members of the interface: their signatures, ids, the life of a backend, executions and artifacts."""

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitstate.backends.base import StateBackend
from gitstate.backends.statuses import SheetStatus
from gitstate.errors import ClosedError, InvalidInputError
from gitstate.testing.harness import Harness, loaded

__all__ = ["InterfaceTests"]

_SIGNATURES: dict[str, list[tuple[str, Any]]] = {
    "load": [("job_id", inspect.Parameter.empty)],
    "save": [("state", inspect.Parameter.empty)],
    "delete": [("job_id", inspect.Parameter.empty)],
    "list_jobs": [],
    "get_next_sheet": [("job_id", inspect.Parameter.empty)],
    "mark_sheet_status": [
        ("job_id", inspect.Parameter.empty),
        ("sheet_num", inspect.Parameter.empty),
        ("status", inspect.Parameter.empty),
        ("error_message", None),
    ],
    "close": [],
    "record_execution": [
        ("job_id", inspect.Parameter.empty),
        ("sheet_num", inspect.Parameter.empty),
        ("attempt_num", inspect.Parameter.empty),
        ("prompt", None),
        ("output", None),
        ("exit_code", None),
        ("duration_seconds", None),
    ],
    "infer_state_from_artifacts": [
        ("job_id", inspect.Parameter.empty),
        ("workspace", inspect.Parameter.empty),
        ("artifact_pattern", inspect.Parameter.empty),
    ],
}

_IDS = [
    *("a/b", "a:b", "a_b", "A_B", "a%2Fb", "a b", " ab", "ab ", "a\\b", ".", "..", "../..", ".git", "/etc", "~", "-x"),
    *("CON", "nul.txt", "x" * 300, "x" * 299 + "y", "two\nlines", "\n", "\t\x00\x1b[0m", "\u2028", "Gitstate-Job: b"),
    *("🙂", "é", "e\u0301", "\ud800", "\udfff", "a.lock", "a..b", "*", "jobs"),
]

_EXECUTION = {
    *("id", "job_id", "sheet_num", "attempt_num", "prompt"),
    *("output", "exit_code", "duration_seconds", "executed_at"),
}


class InterfaceTests(Harness):
    """What holds for the backend as a whole."""

    @pytest.mark.parametrize("name", _SIGNATURES)
    async def test_arguments_have_the_names_order_and_defaults_of_the_contract(
        self, backend: StateBackend, name: str
    ) -> None:
        """More arguments may follow, if they have defaults."""
        member = getattr(backend, name)
        assert inspect.iscoroutinefunction(member), f"{name} is not async"
        given = list(inspect.signature(member).parameters.values())
        wanted = _SIGNATURES[name]
        assert [(argument.name, argument.default) for argument in given[: len(wanted)]] == wanted
        assert all(argument.default is not argument.empty for argument in given[len(wanted) :])

    async def test_support_for_executions_is_a_property(self, backend: StateBackend) -> None:
        """It is asked without a call."""
        assert isinstance(backend.supports_execution_history, bool)

    # Ids

    async def test_every_id_is_a_job_of_its_own(self, backend: StateBackend) -> None:
        """Nothing collides, nothing is changed on the way, and each can be deleted alone."""
        for job_id in _IDS:
            await backend.save(self.job(job_id, metadata={"id": job_id}))
        for job_id in _IDS:
            state = await loaded(backend, job_id)
            assert (state.job_id, state.metadata) == (job_id, {"id": job_id})
        assert sorted(state.job_id for state in await backend.list_jobs()) == sorted(_IDS)
        assert await backend.delete("a/b")
        assert sorted(state.job_id for state in await backend.list_jobs()) == sorted(set(_IDS) - {"a/b"})

    async def test_every_id_can_be_marked(self, backend: StateBackend) -> None:
        """What is written about a change must hold any id too."""
        for job_id in ("two\nlines", "Gitstate-Job: b", "\ud800", "..", "x" * 300):
            await backend.save(self.job(job_id))
            await backend.mark_sheet_status(job_id, 1, SheetStatus.FAILED, f"failed: {job_id}\n---\nx: y")
            assert (await loaded(backend, job_id)).sheets[1].error_message == f"failed: {job_id}\n---\nx: y"

    async def test_the_empty_id_is_a_clear_error(self, backend: StateBackend) -> None:
        """Wherever it is given."""
        with pytest.raises(ValueError, match=r"\S"):
            await backend.save(self.job(""))
        for call in (backend.load, backend.delete, backend.get_next_sheet):
            with pytest.raises(InvalidInputError):
                await call("")
        with pytest.raises(InvalidInputError):
            await backend.mark_sheet_status("", 1, SheetStatus.COMPLETED)
        assert await backend.list_jobs() == []

    # Life

    async def test_close_is_idempotent(self, backend: StateBackend) -> None:
        """The second call does nothing."""
        await backend.save(self.job())
        await backend.close()
        await backend.close()

    @pytest.mark.parametrize(
        "call",
        [
            lambda backend, _: backend.load("nightly"),
            lambda backend, state: backend.save(state),
            lambda backend, _: backend.delete("nightly"),
            lambda backend, _: backend.list_jobs(),
            lambda backend, _: backend.get_next_sheet("nightly"),
            lambda backend, _: backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED),
        ],
        ids=["load", "save", "delete", "list_jobs", "get_next_sheet", "mark_sheet_status"],
    )
    async def test_a_call_after_close_is_a_clear_error(self, backend: StateBackend, call: Callable[..., Any]) -> None:
        """It neither hangs nor pretends."""
        await backend.save(self.job())
        await backend.close()
        with pytest.raises(ClosedError):
            await call(backend, self.job())

    async def test_async_with_closes(self, backend: StateBackend) -> None:
        """Leaving the block is a call of close."""
        async with backend as entered:
            assert entered is backend
            await backend.save(self.job())
        with pytest.raises(ClosedError):
            await backend.load("nightly")

    async def test_what_was_saved_is_there_after_opening_again(self, backend: StateBackend) -> None:
        """Needs the hook ``reopen``."""
        await backend.save(self.job(metadata={"kept": True}))
        await backend.mark_sheet_status("nightly", 2, SheetStatus.COMPLETED)
        async with await self.reopen(backend) as reopened:
            state = await loaded(reopened)
        assert (state.metadata, state.sheets[2].status) == ({"kept": True}, "completed")

    # Executions

    async def test_an_execution_is_recorded_or_its_loss_is_logged(
        self, backend: StateBackend, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A backend without a history returns None and warns; one with a history returns an integer."""
        await backend.save(self.job())
        with caplog.at_level(logging.WARNING):
            recorded = await backend.record_execution("nightly", 1, 1, "prompt", "output", 0, 1.5)
        if backend.supports_execution_history:
            assert type(recorded) is int
            return
        assert recorded is None
        assert any(record.levelno == logging.WARNING and "nightly" in record.getMessage() for record in caplog.records)

    async def test_the_history_of_executions(self, backend: StateBackend) -> None:
        """Newest first, each with its own id and all that was given; needs no state to be saved again."""
        if not backend.supports_execution_history:
            pytest.skip("this backend records no executions")
        await backend.save(self.job())
        given = [
            (1, 1, "prompt\r\n---\n", "output 🙂\n\n", 1, 0.25),
            (2, 1, None, None, None, None),
            (1, 2, "", "x" * 10_000, 0, 3.0),
        ]
        ids = [await backend.record_execution("nightly", *attempt) for attempt in given]
        assert len(set(ids)) == len(given)
        history: Callable[..., Any] = getattr(backend, "get_execution_history")  # noqa: B009  # not of the base
        records = await history("nightly")
        assert all(record.keys() >= _EXECUTION for record in records)
        assert [record["id"] for record in records] == ids[::-1]
        fields = ("sheet_num", "attempt_num", "prompt", "output", "exit_code", "duration_seconds")
        assert [tuple(record[field] for field in fields) for record in records] == given[::-1]
        assert [record["id"] for record in await history("nightly", sheet_num=1)] == [ids[2], ids[0]]
        assert [record["id"] for record in await history("nightly", limit=1)] == [ids[2]]
        assert await history("another") == []

    async def test_executions_leave_the_state_alone(self, backend: StateBackend) -> None:
        """They are a record beside it."""
        await backend.save(self.job())
        before = await loaded(backend)
        await backend.record_execution("nightly", 1, 1, "prompt", "output", 0, 1.5)
        assert (await loaded(backend)).model_dump() == before.model_dump()

    # Artifacts

    @pytest.mark.parametrize(
        ("names", "pattern", "last"),
        [
            (["sheet1-report.md", "sheet12-report.md", "sheet9-report.md"], "sheet*-report.md", 12),
            (["Sheet_3.md", "SHEET-2.md", "sheet 1.md"], "*.md", 3),
            (["sheet1.md", "batchsheet99.md"], "*.md", 1),
            (["sheet1.md", "sheet2.txt"], "*.md", 1),
            (["out/deep/sheet4.md", "sheet1.md"], "**/*.md", 4),
            (["sheet1.md", "sheet7.md/"], "*.md", 1),
            (["README.md"], "*.md", None),
            ([], "*.md", None),
        ],
    )
    async def test_the_last_sheet_is_read_from_output_files(
        self, backend: StateBackend, tmp_path: Path, names: list[str], pattern: str, last: int | None
    ) -> None:
        """The highest number among the files that match; folders (with a slash here) do not count."""
        workspace = tmp_path / "workspace-of-the-suite"
        workspace.mkdir()
        for name in names:
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).mkdir() if name.endswith("/") else (workspace / name).touch()
        assert await backend.infer_state_from_artifacts("nightly", str(workspace), pattern) == last

    async def test_a_missing_workspace_tells_nothing(self, backend: StateBackend, tmp_path: Path) -> None:
        """It is no error: the fallback has nothing to fall back on."""
        assert await backend.infer_state_from_artifacts("nightly", str(tmp_path / "none"), "sheet*") is None

    @pytest.mark.parametrize("pattern", ["", "/etc/sheet*", "../sheet*", "a/../../sheet*"])
    async def test_a_pattern_stays_in_the_workspace(self, backend: StateBackend, tmp_path: Path, pattern: str) -> None:
        """Whatever it would match outside."""
        (tmp_path / "sheet1.md").touch()
        (tmp_path / "workspace").mkdir()
        with pytest.raises(InvalidInputError):
            await backend.infer_state_from_artifacts("nightly", str(tmp_path / "workspace"), pattern)
