"""What no fetch takes is not saved either, so that no store gets a history that other machines refuse for good."""

from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from gitstate.engine.limits import DEFAULT, Limits
from gitstate.engine.transfer import incoming
from gitstate.errors import ConflictError, TooLargeError, UntrustedError
from gitstate.store import sizes
from tests.backends.test_saves import job, stored
from tests.git import git

SMALL = Limits(document_bytes=20_000, object_bytes=100_000, commit_bytes=5_000, nesting=150, path_bytes=120)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "DEFAULT", SMALL)


def large(size: int = SMALL.document_bytes) -> CheckpointState:
    state = job()
    state.metadata["text"] = "x" * size
    return state


def at_head(folder: Path) -> str:
    return git(folder, "rev-parse", "main")


async def test_a_state_of_seventy_megabytes_is_refused(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "store") as backend:
        await backend.save(job())
        before = at_head(tmp_path / "store")
        state = await stored(backend)
        state.metadata["text"] = "x" * 70_000_000
        with pytest.raises(
            TooLargeError, match=r"jobs/nightly/job.json of 'nightly' .* more than 67,108,864"
        ) as caught:
            await backend.save(state)
        assert "output of an execution" in caught.value.hint
        await backend.flush()
        assert at_head(tmp_path / "store") == before
        state.metadata["text"] = "short"
        await backend.save(state)  # what was refused does not count as saved: this is one change since the load
        assert (await stored(backend)).metadata == {"text": "short"}
        assert [each.subject for each in await backend.history("nightly", 1)] == ["nightly: saved (0/4 done)"]
    count = git(tmp_path / "store", "count-objects", "-v")
    assert int(count.split("size-pack: ")[1].split("\n")[0]) < 1000


async def test_a_prompt_and_an_output_of_fifty_megabytes_are_taken(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "store", redact=False) as backend:
        await backend.save(job())
        await backend.record_execution(
            "nightly", 1, 1, prompt="p" * 50_000_000, output="o" * (DEFAULT.document_bytes + 1)
        )
        (found,) = await backend.get_execution_history("nightly")
        assert (len(found["prompt"]), len(found["output"])) == (50_000_000, DEFAULT.document_bytes + 1)


@pytest.mark.usefixtures("small")
class TestWithSmallLimits:
    async def test_what_is_saved_is_taken_and_one_byte_more_is_neither(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, hub = tmp_path / "one", tmp_path / "hub"
        git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub")
        async with GitStateBackend(folder) as one:
            await one.save(job("most"))
            empty = len(git(folder, "show", "main:jobs/most/job.json"))
            state = await stored(one, "most")
            state.metadata["t"] = ""
            await one.save(state)
            room = SMALL.document_bytes - len(git(folder, "show", "main:jobs/most/job.json"))
            assert room < SMALL.document_bytes - empty
            state.metadata["t"] = "x" * (room + 1)
            with pytest.raises(TooLargeError, match="it has 20,001 bytes, more than 20,000"):
                await one.save(state)
            state.metadata["t"] = "x" * room
            await one.save(state)
            await one.add_remote("origin", str(hub))
            await one.sync()
            monkeypatch.setattr(incoming.Incoming.__init__, "__defaults__", (SMALL,))
            git(tmp_path, "clone", "-q", str(hub), "two")
            state.metadata["t"] = "y" * room
            await one.save(state)
            await one.sync()
            async with GitStateBackend(tmp_path / "two") as two:
                assert (await two.sync()).is_clean
                assert (await stored(two, "most")).metadata["t"] == "y" * room
                monkeypatch.setattr(sizes, "DEFAULT", DEFAULT)  # as it was before
                state.metadata["t"] = "z" * (room + 1)
                await one.save(state)
                await one.sync()
                with pytest.raises(UntrustedError, match="20001 bytes, more than 20000"):
                    await two.sync()

    async def test_those_that_are_saved_with_it_are_saved(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path / "store") as backend:
            await backend.save(job("small"))
            with pytest.raises(TooLargeError, match=r"jobs/nightly/job\.json of 'nightly'"):
                await backend.save(large())
            assert await backend.load("nightly") is None
            sheet = await stored(backend, "small")
            sheet.mark_sheet_completed(1, stdout_tail="x" * 30_000)
            with pytest.raises(TooLargeError, match=r"jobs/small/sheets/0001\.json of 'small'"):
                await backend.save(sheet)
            with pytest.raises(TooLargeError, match=r"executions/0001/output.txt .* more than 100,000"):
                await backend.record_execution("small", 1, 1, output="x" * 100_001)
            await backend.record_execution("small", 1, 1, output="x" * 100_000)

    async def test_a_message_that_is_too_long(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path / "store") as backend:
            state = job()
            await backend.save(state)
            state.job_name = "other"
            await backend.save(state)
            with pytest.raises(TooLargeError, match=r"message of the commit of 'nightly' .* more than 5,000") as caught:
                await backend.rollback("nightly", "~1", message="why " * 2000)
            assert "shorten the note" in caught.value.hint
            assert len(await backend.history("nightly")) == 2
            await backend.rollback("nightly", "~1", message="why " * 1000)

    async def test_a_merge_that_makes_too_much(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path / "store") as backend:
            await backend.save(job())
            mine, other = await stored(backend), await stored(backend)
            mine.metadata["mine"], other.metadata["other"] = "x" * 11_000, "y" * 11_000
            await backend.save(other)
            with pytest.raises(TooLargeError):
                await backend.save(mine)
            assert (await stored(backend)).metadata == other.metadata

    async def test_a_conflict_stays_a_conflict_whatever_can_be_kept(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path / "store") as backend:
            await backend.save(job())
            mine, other = await stored(backend), await stored(backend)
            mine.metadata["a"], other.metadata["a"] = "x" * 30_000, "y"
            await backend.save(other)
            with pytest.raises(ConflictError):
                await backend.save(mine)

    @pytest.mark.parametrize(
        ("path", "data", "said"),
        [
            ("jobs/nightly/job.json", None, "jobs/nightly/job.json"),
            ("jobs/nightly/notes.json", b"[" * 200 + b"]" * 200, "notes.json of 'nightly' .* 150 levels deep"),
            ("jobs/nightly/notes.json", b'"' + b"x" * 20_000 + b'"', "notes.json of 'nightly' .* more than 20,000"),
            ("jobs/nightly/notes.txt", b"x" * 100_001, "notes.txt of 'nightly' .* more than 100,000"),
            ("notes.json", b"x" * 100_001, "notes.json .* more than 100,000"),
            ("jobs/nightly/a\nb.txt", b"x", r"a\\nb.txt of 'nightly' .* control character"),
            (f"jobs/nightly/{'d/' * 60}notes.txt", b"x", "its path is too long"),
        ],
    )
    async def test_what_a_person_commits(self, tmp_path: Path, path: str, data: bytes | None, said: str) -> None:
        folder = tmp_path / "store"
        async with GitStateBackend(folder) as backend:
            await backend.save(job())
            await backend.flush()
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_bytes().replace(b'"Nightly"', b'"' + b"n" * 20_000 + b'"') if data is None else data
            assert data is not None or len(text) > 20_000
            file.write_bytes(text)
            git(folder, "add", path)
            before = at_head(folder)
            with pytest.raises(TooLargeError, match=said):
                await backend.commit_edits()
            assert at_head(folder) == before

    @pytest.mark.parametrize(
        ("path", "data"),
        [
            ("jobs/nightly/notes.txt", b"[" * 20_001),
            ("notes.json", b"[" * 20_001),
            ("jobs/nightly/notes.json", b'"' + b"[" * 10_000 + b'"'),
        ],
    )
    async def test_what_a_person_may_commit(self, tmp_path: Path, path: str, data: bytes) -> None:
        folder = tmp_path / "store"
        async with GitStateBackend(folder) as backend:
            await backend.save(job())
            await backend.flush()
            (folder / path).write_bytes(data)
            git(folder, "add", path)
            await backend.commit_edits()
        assert git(folder, "show", f"main:{path}").encode() == data

    async def test_what_is_there_already_stops_no_other_save(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with GitStateBackend(tmp_path / "store") as backend:
            with monkeypatch.context() as patched:
                patched.setattr(sizes, "DEFAULT", DEFAULT)
                await backend.save(large())
            state: Any = await stored(backend)
            await backend.save(job("other"))
            await backend.mark_sheet_status("other", 1, SheetStatus.COMPLETED)
            await backend.delete("nightly")
            assert await backend.load("nightly") is None
            with pytest.raises(TooLargeError):
                await backend.save(state)
