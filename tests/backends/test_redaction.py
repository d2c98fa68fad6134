"""Credentials in what is saved and recorded are marks in the store, and nothing there shows them."""

import asyncio
import json
import pickle
import random
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, HttpUrl

from gitstate import CheckpointState, ConflictError, GitStateBackend, InMemoryStateBackend, Redactor, SheetStatus
from gitstate.backends.proposing import ProposingBackend
from gitstate.errors import InvalidInputError, UnstorableError
from gitstate.format import secret_tokens
from tests.credentials import credential, key_block
from tests.git import git

TOKEN = credential("github-token", 1)[0]
OTHER = credential("anthropic-key", 2)[0]
MARK = "[redacted: github-token]"
OTHER_MARK = "[redacted: anthropic-key]"


def job(job_id: str = "nightly", sheets: int = 3) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name="Nightly", total_sheets=sheets)


async def stored(backend: Any, job_id: str = "nightly") -> CheckpointState:
    state: CheckpointState | None = await backend.load(job_id)
    assert state is not None
    return state


def holding(folder: Path, secret: str) -> list[str]:
    """Return the files and objects of a store that hold a text, also compressed."""
    found = [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    batch = ["git", "-C", str(folder), "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    if secret.encode() in subprocess.run(batch, capture_output=True, check=True).stdout:
        found.append("an object")
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        starts = (
            [place for place in range(len(data)) if data[place : place + 1] == b"\x78"] if len(data) < 10**6 else []
        )
        found += [str(path) for place in starts if secret.encode() in _inflated(data[place:])]
    return found


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return b""


async def test_everything_that_is_saved_and_recorded(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "store") as backend:
        state = job()
        state.error_message = f"refused: {TOKEN}"
        state.metadata["env"] = {"TOKEN": TOKEN, "n": 1, TOKEN: [TOKEN]}
        state.config_snapshot = {"url": "postgres://app:s3cr3t-w0rd@db/jobs"}
        state.mark_sheet_failed(1, f"exit 1, {TOKEN}", stderr_tail=TOKEN, stdout_tail=key_block(random.Random(1)))
        state.sheets[1].validation_details = [{"said": TOKEN}]
        await backend.save(
            state, execution={"sheet_num": 1, "attempt_num": 1, "prompt": f"use {TOKEN}", "output": TOKEN}
        )
        await backend.record_execution("nightly", 2, 1, f"\0 {TOKEN} \ud800", f"{OTHER}\r\n")
        await backend.mark_sheet_status("nightly", 2, SheetStatus.FAILED, f"no {TOKEN}")
        await backend.skip_sheets("nightly", [3], message=f"because of {TOKEN}")
        await backend.rollback("nightly", "~1", message=f"{TOKEN} again")
        assert state.error_message == f"refused: {TOKEN}"  # the program's own object stays as it is
        told = [record["prompt"] + record["output"] for record in await backend.get_execution_history("nightly")]
        assert told == [f"\0 {MARK} \ud800{OTHER_MARK}\r\n", f"use {MARK}{MARK}"]
        now = await stored(backend)
        assert now.metadata == {"env": {"TOKEN": MARK, "n": 1, MARK: [MARK]}}
        assert now.config_snapshot == {"url": "postgres://app:[redacted: url-password]@db/jobs"}
        assert now.sheets[1].stdout_tail == "[redacted: private-key]"
        assert now.sheets[2].error_message == f"no {MARK}"
        assert (await backend.history("nightly"))[0].message == f"{MARK} again"
        assert (await stored_at(backend, "~1")).sheets[3].error_message == f"because of {MARK}"
    for secret in (TOKEN, OTHER, "s3cr3t-w0rd", key_block(random.Random(1))[100:140]):
        assert holding(tmp_path / "store", secret) == []
    assert holding(tmp_path / "store", MARK) != []


async def stored_at(backend: Any, at: str) -> CheckpointState:
    state: CheckpointState | None = await backend.load("nightly", at=at)
    assert state is not None
    return state


class TestTheNextSave:
    async def test_of_the_same_object_changes_nothing_about_it(self, backend: ProposingBackend) -> None:
        state = job()
        state.metadata["key"] = TOKEN
        state.mark_sheet_started(1)
        state.sheets[1].stdout_tail = TOKEN
        await backend.save(state)
        state.mark_sheet_completed(2)
        await backend.save(state)
        changes = await backend.diff("nightly", "~1", None)
        assert {change.pointer for change in changes.changes if "updated" not in change.pointer} <= {
            "/last_completed_sheet",
            "/sheets/2",
            "/status",
        }
        now = await stored(backend)
        assert (now.metadata, now.sheets[1].stdout_tail) == ({"key": MARK}, MARK)

    async def test_after_somebody_else_saved_is_merged_and_brings_nothing_back(self, backend: ProposingBackend) -> None:
        mine = job()
        mine.metadata |= {"key": TOKEN, "n": 1}
        await backend.save(mine)
        theirs = await stored(backend)
        theirs.metadata["theirs"] = OTHER
        await backend.save(theirs)
        mine.metadata["n"] = 2
        await backend.save(mine)
        now = await stored(backend)
        assert now.metadata == {"key": MARK, "n": 2, "theirs": OTHER_MARK}
        assert [checkpoint.event for checkpoint in await backend.history("nightly")] == ["merged", "saved", "created"]

    async def test_of_copies_and_pickles(self, backend: ProposingBackend) -> None:
        state = job()
        state.metadata["key"] = TOKEN
        await backend.save(state)
        copies = [state.model_copy(deep=True), pickle.loads(pickle.dumps(state)), state.model_copy()]
        for number, copy in enumerate(copies):
            copy.metadata = copy.metadata | {str(number): OTHER}
            await backend.save(copy)
        assert (await stored(backend)).metadata == {"key": MARK, "0": OTHER_MARK, "1": OTHER_MARK, "2": OTHER_MARK}

    async def test_with_another_credential_in_its_place_is_no_change(self, backend: ProposingBackend) -> None:
        state = job()
        state.metadata["key"] = TOKEN
        await backend.save(state)
        theirs = await stored(backend)
        theirs.metadata["key"] = "none"
        await backend.save(theirs)
        state.metadata["key"] = credential("github-token", 7)[0]
        await backend.save(state)
        assert (await stored(backend)).metadata == {"key": "none"}

    async def test_that_conflicts_shows_marks(self, backend: ProposingBackend) -> None:
        state = job()
        state.metadata["key"] = "a"
        await backend.save(state)
        theirs = await stored(backend)
        theirs.metadata["key"], state.metadata["key"] = OTHER, TOKEN
        await backend.save(theirs)
        with pytest.raises(ConflictError) as raised:
            await backend.save(state)
        (conflict,) = raised.value.conflicts
        assert (conflict.ours, conflict.theirs) == (MARK, OTHER_MARK)

    async def test_overlapping_saves(self, backend: ProposingBackend) -> None:
        state = job()
        await backend.save(state)
        saves = []
        for number in range(10):
            state.metadata[str(number)] = f"{TOKEN} {number}"
            saves.append(asyncio.ensure_future(backend.save(state)))
        await asyncio.gather(*saves)
        assert (await stored(backend)).metadata == {str(number): f"{MARK} {number}" for number in range(10)}


class TestWhatWasThereBefore:
    async def test_becomes_a_mark_with_the_next_save(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path, redact=False) as plain:
            state = job()
            state.metadata |= {"key": TOKEN, "n": 1}
            await plain.save(state)
            assert (await stored(plain)).metadata["key"] == TOKEN
            async with GitStateBackend(tmp_path) as backend:
                mine = await stored(backend)
                theirs = await stored(plain)
                theirs.metadata["n"] = 2
                await plain.save(theirs)
                mine.metadata["m"] = 3
                await backend.save(mine)
                assert (await stored(backend)).metadata == {"key": MARK, "n": 2, "m": 3}
                assert (await stored_at(backend, "~1")).metadata["key"] == TOKEN  # history is never rewritten

    async def test_stays_where_a_sheet_is_marked_or_somebody_goes_back(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path, redact=False) as plain:
            state = job()
            state.metadata["key"] = TOKEN
            await plain.save(state)
        async with GitStateBackend(tmp_path) as backend:
            await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
            await backend.rollback("nightly", "~1")
            assert (await stored(backend)).metadata["key"] == TOKEN


class TestTwoStores:
    async def test_one_object_is_saved_to_a_store_that_redacts_and_to_one_that_does_not(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path / "one") as one, GitStateBackend(tmp_path / "two", redact=False) as two:
            state = job()
            state.mark_sheet_completed(1, stdout_tail=TOKEN)
            for _ in range(3):
                await one.save(state)
                await two.save(state)
                assert (await stored(one)).sheets[1].stdout_tail == MARK
                assert (await stored(two)).sheets[1].stdout_tail == TOKEN
                state.mark_sheet_started(2)


class Strict(BaseModel):
    job_id: str
    job_name: str = ""
    token: str = Field(default="", pattern=r"^(gh._\w+)?$")
    notes: list[str] = []


class WithAddress(BaseModel):
    job_id: str
    address: HttpUrl


class TestModels:
    async def test_a_field_that_takes_no_mark_is_refused_by_name(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path, model=Strict) as backend:
            with pytest.raises(UnstorableError, match="/token holds a credential") as raised:
                await backend.save(Strict(job_id="a", token=TOKEN))  # type: ignore[arg-type]
            assert TOKEN not in str(raised.value)
            assert raised.value.pointer == "/token"
            assert await backend.load("a") is None

    async def test_other_models_and_their_fields_that_others_know_not(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path) as ours, GitStateBackend(tmp_path, model=Strict) as theirs:
            state = job("a")
            state.metadata["key"] = TOKEN
            await ours.save(state)
            narrow: Any = await theirs.load("a")
            narrow.notes = [f"x {OTHER}", "y"]
            await theirs.save(narrow)
            narrow.notes = [*narrow.notes, "z"]
            await theirs.save(narrow)
            now = await stored(ours, "a")
            assert now.metadata == {"key": MARK}
            assert now.model_extra is not None
            assert now.model_extra["notes"] == [f"x {OTHER_MARK}", "y", "z"]

    async def test_an_address_stays_one(self, tmp_path: Path) -> None:
        async with GitStateBackend(tmp_path, model=WithAddress) as backend:
            for _ in range(2):
                state = WithAddress(job_id="a", address=HttpUrl("https://me:s3cr3t-w0rd@host/x"))
                await backend.save(state)  # type: ignore[arg-type]
                loaded: Any = await backend.load("a")
                assert "s3cr3t" not in str(loaded.address)
                await backend.save(loaded)
        assert "[redacted: url-password]@host" in git(tmp_path, "show", "HEAD:jobs/a/job.json")

    async def test_ids_of_jobs_are_left_alone(self, backend: ProposingBackend) -> None:
        state = job(TOKEN)
        state.metadata["key"] = TOKEN
        await backend.save(state)
        assert (await stored(backend, TOKEN)).metadata == {"key": MARK}


class TestOptions:
    async def test_off(self) -> None:
        async with InMemoryStateBackend(redact=False) as backend:
            state = job()
            state.error_message = TOKEN
            await backend.save(state, execution={"sheet_num": 1, "attempt_num": 1, "output": TOKEN})
            assert (await stored(backend)).error_message == TOKEN
            assert (await backend.get_execution_history("nightly"))[0]["output"] == TOKEN

    async def test_patterns_of_the_caller(self) -> None:
        redactor = Redactor(patterns=[("acme-key", r"acme_[0-9a-f]{8}")], allow=[TOKEN])
        async with InMemoryStateBackend(redact=redactor) as backend:
            state = job()
            state.error_message = f"{TOKEN} acme_0123abcd"
            await backend.save(state)
            assert (await stored(backend)).error_message == f"{TOKEN} [redacted: acme-key]"

    @pytest.mark.parametrize("wrong", ["yes", None, 1])
    def test_what_cannot_be_meant_is_refused_before_anything_is_made(self, wrong: Any, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="redact is True, False or a Redactor"):
            GitStateBackend(tmp_path / "store", redact=wrong)
        assert not (tmp_path / "store").exists()
        with pytest.raises(InvalidInputError):
            InMemoryStateBackend(redact=wrong)


class TestImport:
    async def test_of_states_and_executions(self, tmp_path: Path) -> None:
        state = job()
        state.error_message = TOKEN
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "nightly.json").write_text(state.model_dump_json())
        async with GitStateBackend(tmp_path / "store") as backend:
            for outcome in ("imported", "unchanged"):
                report = await backend.import_from(tmp_path / "old")
                assert [each.outcome for each in report.jobs] == [outcome]
            assert (await stored(backend)).error_message == MARK
        assert holding(tmp_path / "store", TOKEN) == []


async def test_a_thousand_sheets_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    words = secret_tokens._long_words

    def spy(data: bytes) -> Any:
        looked.append(len(data))
        return words(data)

    monkeypatch.setattr(secret_tokens, "_long_words", spy)
    async with InMemoryStateBackend() as backend:
        state = job(sheets=1000)
        for number in range(1, 1001):
            state.mark_sheet_completed(number, stdout_tail="x" * 100)
        await backend.save(state)
        assert sum(looked) > 100_000
        looked.clear()
        state.mark_sheet_failed(7, TOKEN)
        await backend.save(state)
        assert sum(looked) < 5_000
        assert json.dumps((await stored(backend)).sheets[7].error_message) == f'"{MARK}"'


@pytest.mark.parametrize("name", [TOKEN, f"before-{OTHER}.1", f"not a name: {TOKEN}"])
async def test_no_pin_and_no_proposal_is_named_by_a_credential(tmp_path: Path, name: str) -> None:
    async with GitStateBackend(tmp_path / "store") as backend:
        await backend.save(job())
        before = git(tmp_path / "store", "for-each-ref")
        for dry_run in (True, False):
            for what, made in (
                ("pin", backend.pin("nightly", name, dry_run=dry_run)),
                ("proposal", backend.propose(name, dry_run=dry_run)),
                ("proposal", backend.propose(f"refs/heads/proposals/{name}", dry_run=dry_run)),
            ):
                with pytest.raises(InvalidInputError, match=f"the name of this {what} holds a credential") as caught:
                    await made
                said = f"{caught.value} {caught.value.hint}"
                assert TOKEN not in said
                assert OTHER not in said
        assert git(tmp_path / "store", "for-each-ref") == before
        assert holding(tmp_path / "store", name) == []


async def test_a_name_is_taken_where_nothing_is_redacted_or_it_is_allowed_and_one_that_is_there_goes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    async with GitStateBackend(folder, redact=False) as backend:
        await backend.save(job())
        await backend.pin("nightly", TOKEN)
        await backend.propose(TOKEN)
    async with GitStateBackend(folder) as backend:
        assert [each.name for each in await backend.pins("nightly")] == [TOKEN]
        await backend.unpin("nightly", TOKEN)
        await backend.drop_proposal(TOKEN)
        with pytest.raises(InvalidInputError, match="a pin cannot be named 7"):
            await backend.pin("nightly", 7)  # type: ignore[arg-type]  # somebody may
    async with GitStateBackend(folder, redact=Redactor(allow=[TOKEN])) as backend:
        assert (await backend.pin("nightly", TOKEN)).name == TOKEN
