"""Repositories to be pushed to and fetched from."""

import subprocess
from pathlib import Path

from gitstate.engine.transfer.outgoing import PackSource
from tests.git import git
from tests.servers import bare

__all__ = ["make", "one_more", "pack_of"]


def make(root: Path, name: str, *, size: int = 100) -> tuple[Path, Path]:
    """Make a bare repository with two commits, and a clone of it; return both."""
    origin = bare(root / f"{name}.git")
    work = root.parent / f"{name}-work"
    git(root, "clone", "-q", str(origin), str(work))
    for number in (1, 2):
        (work / "file").write_text("".join(f"{number * each}\n" for each in range(size // 6)))
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", f"Commit {number}")
    git(work, "push", "-q", "origin", "main")
    return origin, work


def one_more(work: Path, text: str = "new\n") -> str:
    """Commit a change; return the commit's id."""
    (work / "file").write_text(text)
    git(work, "commit", "-q", "-am", "One more")
    return git(work, "rev-parse", "HEAD").strip()


def pack_of(work: Path, *revisions: str) -> PackSource:
    """Return what some revisions have, as a finished pack."""
    folder = work.parent / f"{work.name}-pack"
    folder.mkdir(exist_ok=True)
    listed = git(work, "rev-list", "--objects", *revisions)
    ids = "".join(f"{line.split()[0]}\n" for line in listed.splitlines())
    command = ["git", "pack-objects", "--stdout", "-q"]
    packed = subprocess.run(command, cwd=work, input=ids.encode(), capture_output=True, check=True)
    (folder / "pack").write_bytes(packed.stdout)
    return PackSource(ids.count("\n"), path=folder / "pack")
