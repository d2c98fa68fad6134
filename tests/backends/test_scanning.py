"""A look through the history: what is found where, since when, and that what we write holds nothing."""

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, InvalidInputError, Redactor
from gitstate.backends.proposing import ProposingBackend
from gitstate.format.secrets import KINDS
from gitstate.store.scanning import SecretFound
from tests.credentials import credential, in_context
from tests.git import git, loose, unpack
from tests.stores import leave_damaged

TOKEN, OTHER = credential("github-token", 1)[0], credential("anthropic-key", 2)[0]


@pytest.fixture(params=["memory", "git"])
async def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A backend that replaces nothing."""
    made: Any = InMemoryStateBackend(redact=False)
    if request.param == "git":
        made = GitStateBackend(tmp_path / "state", redact=False)
    async with made as backend:
        yield backend


def job(job_id: str = "nightly", sheets: int = 3) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name="Nightly", total_sheets=sheets)


async def ids(backend: ProposingBackend, job_id: str = "nightly") -> list[str]:
    """Return the revisions of a job, the oldest first."""
    return [each.revision for each in reversed(await backend.history(job_id))]


def told(found: SecretFound) -> tuple[Any, ...]:
    return (found.kind, found.document, found.path, found.first.id, found.last.id, found.is_there)


async def test_where_it_is_and_since_when(plain: ProposingBackend) -> None:
    state = job()
    await plain.save(state)
    state.metadata = {"key": TOKEN}
    await plain.save(state)
    state.metadata["n"] = 1
    await plain.save(state)
    state.metadata = {}
    state.mark_sheet_failed(2, f"no {OTHER}")
    await plain.save(state)
    await plain.record_execution("nightly", 1, 1, f"one\ntwo {TOKEN}", "out")
    await plain.save(job("other"))
    made = await ids(plain)
    head = plain.store.head()
    report = await plain.scan()
    assert [told(found) for found in report.found] == [
        ("github-token", "nightly", "jobs/nightly/executions/0001/prompt.txt", made[4], head, True),
        ("github-token", "nightly", "jobs/nightly/job.json", made[1], made[2], False),
        ("anthropic-key", "nightly", "jobs/nightly/sheets/0002.json", made[3], head, True),
    ]
    prompt, key, error = report.found
    assert (prompt.line, prompt.pointer, prompt.excerpt) == (
        2,
        "",
        "ghp_…" if TOKEN.startswith("ghp_") else prompt.excerpt,
    )
    assert (key.pointer, error.pointer) == ("/metadata/key", "/error_message")
    files = (await plain.scan(at=made[3])).found
    assert [told(found)[:3] for found in files] == [told(error)[:3]]
    assert error.line is not None and error.line > 1
    assert (report.revisions, report.unreadable) == (len(made) + 2, ())
    assert TOKEN not in repr(report) and OTHER not in repr(report)


async def test_messages_of_commits(plain: ProposingBackend) -> None:
    await plain.save(job())
    state = await plain.load("nightly")
    assert state is not None
    state.metadata["n"] = 1
    await plain.save(state)
    await plain.rollback("nightly", "~1", message=f"because of {TOKEN}")
    revision = (await ids(plain))[-1]
    (found,) = (await plain.scan()).found
    assert told(found) == ("github-token", "nightly", None, revision, revision, True)


async def test_what_came_since_and_what_came_back(plain: ProposingBackend) -> None:
    state = job()
    state.metadata["key"] = TOKEN
    await plain.save(state)
    state.metadata.clear()
    await plain.save(state)
    made = await ids(plain)
    assert (await plain.scan(since=made[0])).found == ()
    assert (await plain.scan(since=made[1])).revisions == 0
    await plain.rollback("nightly", made[0])
    (found,) = (await plain.scan()).found
    assert told(found)[3:] == (made[0], plain.store.head(), True)
    with pytest.raises(InvalidInputError):
        await plain.scan(at=made[0], since=made[0])


async def test_patterns_and_progress(plain: ProposingBackend) -> None:
    state = job()
    state.metadata["key"] = "acme-0123"
    await plain.save(state)
    steps: list[tuple[int, int]] = []
    redactor = Redactor(patterns=[("acme-key", r"acme-\d+")])
    report = await plain.scan(redactor=redactor, progress=lambda done, total: steps.append((done, total)))
    assert [found.kind for found in report.found] == ["acme-key"]
    assert report.found[0].excerpt == "…"
    assert steps[-1] == (report.revisions + report.files, report.revisions + report.files)


async def test_what_only_pins_proposals_rescues_or_other_branches_keep(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path, redact=False) as backend:
        await backend.save(job())
        for number, ref in enumerate(
            ["refs/tags/jobs/nightly/a", "refs/heads/proposals/x", "refs/gitstate/y", "refs/heads/z"]
        ):
            token = credential("github-token", number)[0]
            blob = git_in(tmp_path, token, "hash-object", "-w", "--stdin").strip()
            tree = git_in(tmp_path, f"100644 blob {blob}\ttoken\n", "mktree").strip()
            commit = git(tmp_path, "commit-tree", tree, "-m", "x").strip()
            git(tmp_path, "update-ref", ref, commit)
        assert [found.path for found in (await backend.scan()).found] == ["token"] * 3
        assert not any(found.is_there for found in (await backend.scan()).found)
        assert len((await backend.scan(everything=True)).found) == 4
    leave_damaged(tmp_path)


def git_in(folder: Path, told: str, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, input=told, capture_output=True, text=True, check=True).stdout


async def test_files_of_nobody_folders_that_moved_and_jobs_with_odd_names(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path, redact=False) as backend:
        for job_id in ("a/b", "x" * 300):
            state = job(job_id)
            state.metadata["key"] = TOKEN
            await backend.save(state)
        await backend.reshard(2)
        (tmp_path / "notes.md").write_text(f"see {OTHER}")
        git(tmp_path, "add", "notes.md")
        git(tmp_path, "commit", "-qm", "notes")
        found = (await backend.scan()).found
    documents = [each.document for each in found]
    assert documents.count("a/b") == 2  # where it was, and where it is
    assert [each.path for each in found if each.document is None] == ["notes.md"]
    assert sum(name is not None and name.startswith("xxx") for name in documents) == 2


async def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path, redact=False) as backend:
        state = job()
        state.metadata["key"] = TOKEN
        await backend.save(state)
        await backend.record_execution("nightly", 1, 1, "what is lost")
    unpack(tmp_path)
    lost = git(tmp_path, "rev-parse", "HEAD:jobs/nightly/executions/0001/prompt.txt").strip()
    loose(tmp_path, lost).unlink()
    leave_damaged(tmp_path)
    async with GitStateBackend(tmp_path) as backend:
        report = await backend.scan()
    assert report.unreadable == (lost,)
    assert [found.kind for found in report.found] == ["github-token"]


async def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with GitStateBackend(tmp_path, redact=False) as backend:
        state = job()
        state.metadata["key"] = TOKEN
        await backend.save(state)
        await backend.save(job("other"))
        expected = await backend.scan()
        monkeypatch.setenv("PATH", "")
        assert await backend.scan() == expected


_TEXTS = st.builds(
    lambda kind, seed: in_context(credential(kind, seed)[0], random.Random(seed)),
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 9),
)
_VALUES = st.recursive(
    st.one_of(_TEXTS, st.text(max_size=5), st.integers(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=4), _TEXTS), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=8), _VALUES, max_size=3), st.lists(_TEXTS, max_size=3), _TEXTS)
async def test_nothing_is_found_in_what_we_wrote(metadata: dict[str, Any], tails: list[str], output: str) -> None:
    async with InMemoryStateBackend() as backend:
        state = job()
        state.metadata = metadata
        state.validation = tails  # type: ignore[attr-defined]  # a field of somebody's own
        for number, tail in enumerate(tails, 1):
            state.mark_sheet_failed(number, tail, stderr_tail=tail, validation_details=[{"said": tails}])
        await backend.save(state, execution={"sheet_num": 1, "attempt_num": 1, "prompt": output, "output": output * 2})
        state.metadata = {}
        await backend.save(state)
        await backend.rollback("nightly", "~1", message=output)
        report = await backend.scan()
        assert report.found == ()
