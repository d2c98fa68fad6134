"""Mistakes in the files of a store, and git that may refuse them."""

import os
import subprocess
from pathlib import Path

from gitstate.cli.failures import EXIT_STATUSES
from gitstate.errors import UnsupportedError
from tests.git import git

__all__ = ["JOB", "UNSUPPORTED", "attempt", "edit", "put_right"]

UNSUPPORTED = EXIT_STATUSES[UnsupportedError][0]
JOB = "jobs/weekly/job.json"


def edit(store: Path, path: str = JOB, old: str = '"total_sheets": 1', new: str = '"total_sheets": "many"') -> None:
    text = (store / path).read_text()
    assert old in text
    (store / path).write_text(text.replace(old, new))


def attempt(folder: Path, *words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, env=os.environ | {"GIT_EDITOR": "true"} | variables
    )


def put_right(store: Path) -> Path:
    """A store in which one commit is wrong, by another author, and the next one puts it right."""
    git(store, "tag", "good")
    edit(store)
    git(store, "commit", "-qam", "oops", "--author", "Eve <eve@example.org>")
    git(store, "revert", "--no-edit", "HEAD")
    return store
