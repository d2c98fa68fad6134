"""The real git, as the tests use it."""

import subprocess
from pathlib import Path

__all__ = ["fsck", "git"]


def git(folder: Path, *words: str) -> str:
    """Run git in a folder and return what it prints; that it fails is an error."""
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def fsck(folder: Path) -> None:
    """Let git check a repository."""
    command = ["git", "fsck", "--strict", "--full"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout + done.stderr, done.stdout + done.stderr
