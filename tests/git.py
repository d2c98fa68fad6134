"""The real git, as the tests use it."""

import subprocess
from pathlib import Path

__all__ = ["fsck", "git", "loose", "unpack"]


def git(folder: Path, *words: str | Path) -> str:
    """Run git in a folder and return what it prints; that it fails is an error."""
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def fsck(folder: Path) -> None:
    """Let git check a repository."""
    command = ["git", "fsck", "--strict", "--full"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout + done.stderr, done.stdout + done.stderr


def unpack(folder: Path) -> None:
    """Put each object of a repository into a file of its own, so that one of them can be damaged or lost."""
    packs = sorted((folder / ".git/objects/pack").iterdir())
    contents = [path.read_bytes() for path in packs if path.suffix == ".pack"]
    for path in packs:
        path.unlink()  # git unpacks nothing that it has
    for content in contents:
        subprocess.run(["git", "unpack-objects", "-q"], cwd=folder, input=content, check=True)


def loose(folder: Path, revision: str) -> Path:
    """Return the file of an object in a repository that was unpacked."""
    object_id = git(folder, "rev-parse", revision).strip()
    return folder / ".git/objects" / object_id[:2] / object_id[2:]
