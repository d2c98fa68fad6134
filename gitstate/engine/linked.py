"""The worktrees of a repository in which its branch is checked out.

Where they are: https://git-scm.com/docs/gitrepository-layout (``worktrees/``).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gitstate.engine import files, refs
from gitstate.engine.repository import Repository

__all__ = ["elsewhere"]


def elsewhere(repository: Repository) -> Iterator[Repository]:
    """Yield the other worktrees of the repository, linked or its first one, in which the branch is checked out.

    One whose folder belongs to another user is left out, and so is one whose folder does not say that it belongs to the
    repository, as by git: it was moved away, or never was ours.
    """
    for git_dir, worktree in _worktrees(repository):
        if git_dir == repository.git_dir or os.path.realpath(git_dir) == os.path.realpath(repository.git_dir):
            continue
        found = replace(repository, git_dir=git_dir, worktree=worktree)
        with suppress(OSError):
            mine = {os.geteuid(), os.stat(repository.common_dir).st_uid}
            if refs.read_head(found) == repository.ref and os.stat(worktree).st_uid in mine:
                yield found


def _worktrees(repository: Repository) -> Iterator[tuple[Path, Path]]:
    """Yield the git directory and the folder of each worktree."""
    common = repository.common_dir
    if repository.git_dir != common and common.name == ".git":
        yield common, common.parent
    try:
        names = sorted(os.listdir(common / "worktrees"))
    except OSError:
        return
    for name in names:
        git_dir = common / "worktrees" / name
        with suppress(OSError):
            back = Path(os.path.normpath(git_dir / os.fsdecode(files.read(git_dir / "gitdir").strip())))
            link = files.read(back)
            target = back.parent / os.fsdecode(link[8:].strip())
            if link.startswith(b"gitdir: ") and os.path.realpath(target) == os.path.realpath(git_dir):
                yield git_dir, back.parent
