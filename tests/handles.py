"""Tells what this process has open; only Linux says that."""

import os

__all__ = ["open_below"]


def open_below(folder: str | os.PathLike[str]) -> list[str]:
    """Return the files below a folder that this process has open, those too that were removed."""
    found: list[str] = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [path for path in found if path.startswith(os.fspath(folder))]
