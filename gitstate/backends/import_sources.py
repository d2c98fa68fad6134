"""Where state is imported from: a folder of JSON files, one a job, or one such file; SQLite is another module's."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import aiofiles

from gitstate import clock
from gitstate.backends.executions import ExecutionRecord
from gitstate.errors import GitStateError, InvalidInputError
from gitstate.values import canonical

__all__ = ["MAX_BYTES", "Found", "JsonFiles", "Source", "is_sqlite"]

MAX_BYTES = 64 * 2**20
"""A JSON file that is larger is taken for a mistake, and skipped."""

_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True)
class Found:
    """A job as a source tells it: its plain ``value``, or the reason why there is none; ``name`` says where it is.

    ``written`` is when the source was last written; ``key`` is how the source knows the job's executions.
    """

    name: str
    value: dict[str, Any] | None
    written: datetime
    problem: str = ""
    job_id: str | None = None
    key: Any = None
    notes: list[str] = field(default_factory=list)


class Source(Protocol):
    """Tells of jobs, one after another, and of the executions of each."""

    def total(self) -> int:
        """Return how many jobs there may be."""

    def jobs(self) -> AsyncIterator[Found]:
        """Yield what is found, jobs and what should be one and is not."""

    def executions(self, found: Found, job_id: str) -> Iterator[ExecutionRecord]:
        """Yield the executions of a job, the oldest first; what cannot be one is told in ``found.notes``."""

    def notes(self) -> list[str]:
        """Return what is to be said of the source as a whole."""

    def close(self) -> None:
        """Let go of it."""


def is_sqlite(path: Path) -> bool:
    """Whether a file says that it is an SQLite database.

    Raises:
        OSError: It cannot be read.
        InvalidInputError: It is neither file nor folder.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise InvalidInputError(f"{str(path)!r} is neither a file nor a folder")
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


class JsonFiles:
    """The files of a folder whose names end in ``.json``, or one file whatever its name. Their order is by name."""

    def __init__(self, path: Path) -> None:
        is_folder = path.is_dir()
        self._folder = path if is_folder else path.parent
        names = [name for name in os.listdir(path) if name.endswith(".json")] if is_folder else [path.name]
        self._names = sorted(names)
        self._real = self._folder.resolve()

    def total(self) -> int:
        """Return how many files there are."""
        return len(self._names)

    async def jobs(self) -> AsyncIterator[Found]:
        """Yield each file as a job, or why it is none."""
        for name in self._names:
            yield await self._read(name)

    def executions(self, found: Found, job_id: str) -> Iterator[ExecutionRecord]:  # noqa: ARG002  # there are none
        """Yield nothing: files hold states only."""
        return iter(())

    def notes(self) -> list[str]:
        """Say nothing more."""
        return []

    def close(self) -> None:
        """Hold nothing."""

    async def _read(self, name: str) -> Found:
        path, written = self._folder / name, clock.now()
        try:
            problem, written = await asyncio.to_thread(self._look, path)
            if problem:
                return Found(name, None, written, problem)
            async with aiofiles.open(path, "rb") as file:
                data = await file.read(MAX_BYTES + 1)  # it may have grown
            if len(data) > MAX_BYTES:
                return Found(name, None, written, _too_large(len(data)))
            value = await asyncio.to_thread(canonical.loads, data)
        except OSError as error:
            return Found(name, None, written, f"it cannot be read: {error.strerror or error}")
        except GitStateError as error:
            return Found(name, None, written, error.message)
        if not isinstance(value, dict):
            return Found(name, None, written, "it holds no JSON object")
        return Found(name, value, written)

    def _look(self, path: Path) -> tuple[str, datetime]:
        """Return why a file is not even opened, or nothing, and when it was last written."""
        found = path.stat()
        written = datetime.fromtimestamp(int(found.st_mtime), UTC)
        if path.is_symlink() and not path.resolve().is_relative_to(self._real):
            return "it is a link that leads out of the folder", written
        if not stat.S_ISREG(found.st_mode):
            return "it is no file", written
        return (_too_large(found.st_size) if found.st_size > MAX_BYTES else ""), written


def _too_large(size: int) -> str:
    return f"it has {size} bytes, and more than {MAX_BYTES} are taken for a mistake"
