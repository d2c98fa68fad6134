"""Folders that cannot be written, whoever runs the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

__all__ = ["READ_ONLY", "ReadOnly"]

_SOMEBODY = 12345  # a user without rights

ReadOnly = Callable[[Path], AbstractContextManager[Path]]
"""Makes a folder read-only as long as the block runs; gives the path to read it at."""


@contextmanager
def by_permissions(folder: Path) -> Iterator[Path]:
    """Take away the right to write. Root has it anyhow, so that the block runs as somebody else then.

    What the block runs must be imported before: that user may not reach the interpreter's own files.
    """
    place = Path(tempfile.mkdtemp(prefix="gitstate-read-only-"))  # that of pytest is closed to others
    place.chmod(0o755)
    copy = place / folder.name
    shutil.copytree(folder, copy, symlinks=True)
    is_root = os.geteuid() == 0
    everything = [copy, *copy.rglob("*")]
    for path in everything:
        if is_root:
            os.chown(path, _SOMEBODY, _SOMEBODY)
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        if is_root:
            os.seteuid(_SOMEBODY)
        yield copy
    finally:
        if is_root:
            os.seteuid(0)
        for path in everything:
            path.chmod(path.stat().st_mode | 0o200)
        shutil.rmtree(place)


@contextmanager
def by_mount(folder: Path) -> Iterator[Path]:
    """Mount the folder once more, read-only, where the machine permits it."""
    there = folder.with_name(folder.name + "-mounted")
    there.mkdir()
    if subprocess.run(["mount", "--bind", folder, there], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here; the same is tested with permissions")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", there], check=True)
        yield there
    finally:
        subprocess.run(["umount", there], check=True)


READ_ONLY: dict[str, ReadOnly] = {"permissions": by_permissions, "mount": by_mount}
"""Each way by its name."""
