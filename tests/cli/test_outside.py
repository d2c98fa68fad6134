"""No verb writes outside the folder of the store, or into what git runs, whatever a job is called or a commit holds."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests import stores
from tests.cli.conftest import Gitstate
from tests.git import git

NAMES = [
    "../../outside/x",
    "..",
    ".",
    ".git",
    ".git/hooks/pre-commit",
    "a/../../../outside/x",
    "/tmp/outside",
    "nul\0name",
    "two\nlines",
    "back\\slash\\..\\x",
    "C:\\x",
    "~/x",
    "$(touch outside)",
    "-rf",
    "ｇit/．．／x",
    ".GIT",
    "g\u200cit",
    "\ud800",
    "é" * 300,
    "../" * 200,
]

VERBS: list[tuple[str, ...]] = [
    ("status",),
    ("commit", "-m", "by hand"),
    ("skip", "nightly", "3"),
    ("reset", "nightly", "3"),
    ("discard", "nightly"),
    ("propose", "idea"),
    ("--proposal", "idea", "skip", "nightly", "2"),
    ("apply", "idea"),
    ("verify", "--repair"),
    ("export",),
    ("hooks", "install"),
    ("attributes", "install", "--shared"),
    ("gc",),
]


def snapshot(folder: Path, leave_out: str = "") -> dict[str, object]:
    """Return all that is in a folder: what files hold, where links lead."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if leave_out and (name == leave_out or name.startswith(f"{leave_out}/")):
            continue
        found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def outside(tmp_path: Path, store: Path) -> Iterator[Path]:
    """Give a folder beside the store, laid out as a job is; nothing but the store may change, whatever is done."""
    outside = tmp_path / "outside"
    for name in ("job.json", "sheets/0001.json", "executions/0001/output.txt", "nightly/job.json"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text("Not yours.\n")
    before = snapshot(tmp_path, store.name)
    yield outside
    assert snapshot(tmp_path, store.name) == before


@pytest.mark.parametrize("job", NAMES, ids=range(len(NAMES)))
def test_a_job_may_be_called_anything(gitstate: Gitstate, store: Path, outside: Path, job: str) -> None:
    before = snapshot(store / ".git/hooks")

    async def work() -> None:
        async with GitStateBackend(store) as backend:
            state = CheckpointState(job_id=job, job_name=job.replace("\ud800", "?"), total_sheets=3)
            await backend.save(state)
            await backend.record_execution(job, 1, 1, "../../outside/job.json\0", "#!/bin/sh\ntouch /outside\n")
            await backend.flush()
            await backend.fork(job, f"{job}/../..")
            await backend.delete(job)
            await backend.flush()

    asyncio.run(work())
    assert {path.name for path in store.iterdir()} <= {".git", "gitstate.json", "jobs"}
    assert all(path.name.isascii() for path in (store / "jobs").rglob("*"))
    assert snapshot(store / ".git/hooks") == before
    assert git(store, "status", "--porcelain") == ""
    assert gitstate("--store", store, "status").status == 0


def the_jobs(store: Path, outside: Path) -> None:
    git(store, "rm", "-rqf", "jobs")
    (store / "jobs").symlink_to(outside)


def a_job(store: Path, outside: Path) -> None:
    git(store, "rm", "-rqf", "jobs/nightly")
    (store / "jobs/nightly").symlink_to(outside)


def its_sheets(store: Path, outside: Path) -> None:
    git(store, "rm", "-rqf", "jobs/nightly/sheets")
    (store / "jobs/nightly/sheets").symlink_to(outside / "sheets")


def its_parent(store: Path, outside: Path) -> None:
    git(store, "rm", "-rqf", "jobs/nightly/sheets")
    (store / "jobs/nightly/sheets").symlink_to("..")


def its_attempts(store: Path, outside: Path) -> None:
    git(store, "rm", "-rqf", "--ignore-unmatch", "jobs/nightly/executions")
    (store / "jobs/nightly/executions").symlink_to(outside / "executions")


def its_file(store: Path, outside: Path) -> None:
    (store / "jobs/nightly/job.json").unlink()
    (store / "jobs/nightly/job.json").symlink_to(outside / "job.json")


def its_attributes(store: Path, outside: Path) -> None:
    (store / ".gitattributes").symlink_to(outside / "job.json")


def the_hooks(store: Path, outside: Path) -> None:
    """A link to where git keeps what it runs."""
    git(store, "rm", "-rqf", "jobs/nightly/sheets")
    (store / "jobs/nightly/sheets").symlink_to("../../.git/hooks")


PLANTS = [the_jobs, a_job, its_sheets, its_parent, its_attempts, its_file, its_attributes, the_hooks]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_no_link_leads_a_verb_astray(
    gitstate: Gitstate, store: Path, outside: Path, plant: Callable[[Path, Path], None], committed: bool
) -> None:
    if committed and plant not in (its_attributes, a_job):  # a link in the place of a job is only in the way of one
        stores.leave_damaged(store)
    plant(store, outside)
    if committed:
        git(store, "add", "-A")
        git(store, "commit", "-qm", "a plant")
    hooks = set(snapshot(store / ".git/hooks"))
    for verb in VERBS:
        ran = gitstate("--store", store, *verb)
        assert ran.status != 1 and "Traceback" not in ran.err, (verb, ran.err)
        found = set(snapshot(store / ".git/hooks"))
        assert verb == ("hooks", "install") or found == hooks
        hooks = found
