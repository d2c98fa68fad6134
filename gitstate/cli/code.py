"""Which commit of a project's code ran."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitstate.cli import stores
from gitstate.cli.output import iso, moment, note, print_fields, print_json, short
from gitstate.errors import GitStateError

if TYPE_CHECKING:
    from gitstate.backends.code import JobCode
    from gitstate.backends.git import GitStateBackend

__all__ = ["show_code"]

_DIRTY = {
    True: "yes: tracked files had changes that this commit has not",
    False: "no",
    None: "unknown: nobody looked in time, or git's index is split or sparse",
}


def show_code(job: str, at: str | None, *, as_json: bool) -> None:
    """Print which commit of a project ran when a job's last checkpoint at a revision was made."""
    found, job_id = stores.use_job(job, lambda backend, job_id: _code(backend, job_id, at))
    checkpoint = found.checkpoint
    if as_json:
        print_json(_as_json(found, job_id))
        return
    print_fields(
        [
            ("job", job_id),
            ("checkpoint", f"{short(checkpoint.revision)}  {moment(checkpoint.time)}  {checkpoint.subject}"),
            ("code", checkpoint.code or ""),
            ("dirty", _DIRTY[checkpoint.code_dirty]),
            ("subject", found.subject or ""),
            ("author", "" if found.author is None else f"{found.author} <{found.email}>"),
            ("written", moment(found.time)),
            ("project", "" if found.project is None else str(found.project)),
        ]
    )
    if found.project is None:
        note("No project that was looked into has this commit, or has it any more; GITSTATE_CODE names another one.")
    else:
        note(f"To see it: {shlex.join(['git', '-C', str(found.project), 'show', short(checkpoint.code or '')])}")


async def _code(backend: "GitStateBackend", job_id: str, at: str | None) -> "tuple[JobCode, str]":
    return await backend.code(job_id, at=at, project=_here()), job_id


def _here() -> Path | None:
    """Return the folder of the repository in which the command runs, if commits of that one can be told."""
    from gitstate.engine.project import Project

    with suppress(GitStateError, OSError):
        return Project.of(Path.cwd()).folder
    return None


def _as_json(found: "JobCode", job_id: str) -> dict[str, Any]:
    checkpoint = found.checkpoint
    return {
        "job": job_id,
        "revision": checkpoint.revision,
        "code": checkpoint.code,
        "code_dirty": checkpoint.code_dirty,
        "project": None if found.project is None else str(found.project),
        "subject": found.subject,
        "author": found.author,
        "email": found.email,
        "time": iso(found.time),
    }
