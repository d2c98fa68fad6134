"""Notes which stores a test opens, and with which models, so that they can be verified after it."""

import functools
import subprocess
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gitstate import CheckpointState, GitStateBackend, Store
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError, StoreNotFoundError, UnsupportedError
from gitstate.format.codec import Codec
from gitstate.format.layout import Layout
from gitstate.format.message import JOB
from gitstate.store import verify
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.verify import Report

__all__ = ["close_all", "forget", "leave_damaged", "note", "opened", "verify_all"]

JOBS = Collection("jobs", Layout(), id_field="job_id", trailer=JOB)
NOTES = Collection("notes", Layout(), id_field="id", trailer="Gitstate-Note")

opened: dict[tuple[Path, str], list[type[BaseModel]]] = {}
"""The stores by path and branch, with the models of the backends that opened them."""

_stores: "weakref.WeakSet[Store]" = weakref.WeakSet()

damaged: set[Path] = set()
"""Those that the test leaves damaged on purpose."""


def note(path: Any, branch: str = "main", **_: Any) -> list[type[BaseModel]]:
    """Note a store, and return the models of the backends that opened it, to which more can be added."""
    return opened.setdefault((Path(path).absolute(), branch), [])


def _noting(open_store: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(open_store)
    def wrapped(cls: Any, path: Any, **options: Any) -> Any:
        store = open_store(cls, path, **options)
        note(path, **options)
        _stores.add(store)
        return store

    return wrapped


def _noting_models(make: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(make)
    def wrapped(self: Any, path: Any, **options: Any) -> None:
        make(self, path, **options)
        note(path, **options).append(options.get("model", CheckpointState))

    return wrapped


Store.open = classmethod(_noting(Store.open.__func__))  # type: ignore[assignment, attr-defined, method-assign]
GitStateBackend.__init__ = _noting_models(GitStateBackend.__init__)  # type: ignore[method-assign]


def leave_damaged(path: Path) -> None:
    """Say that the test leaves a store damaged on purpose; that the check finds it so is then a must."""
    damaged.add(path)


def forget() -> None:
    """Begin anew, for the next test."""
    opened.clear()
    damaged.clear()
    _stores.clear()


def close_all() -> None:
    """Close what the test left open: its threads would look for a folder that is gone."""
    for store in list(_stores):
        store.close()


def verify_all(folder: Path | None) -> None:
    """Verify every store that was noted and is still one, and those in a folder: other processes made them."""
    if folder is not None:
        known = {path for path, _ in opened}
        for path in (folder, *folder.glob("*/"), *folder.glob("*/*/")):
            if path not in known and (path / ".git/gitstate").is_dir() and _holds_a_store(path):
                note(path)
    for (path, branch), models in opened.items():
        if path.exists():
            report = _verify(path, branch, models or [CheckpointState])
            assert report is None or report.ok == (path not in damaged), f"{path}: {report}"


def _holds_a_store(path: Path) -> bool:
    command: list[str | Path] = ["git", "-C", path, "cat-file", "blob", "refs/heads/main:gitstate.json"]
    return b'"format"' in subprocess.run(command, capture_output=True).stdout


def _is_there(path: Path, branch: str) -> bool:
    command: list[str | Path] = ["git", "-C", path, "rev-parse", "-q", "--verify", f"refs/heads/{branch}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _verify(path: Path, branch: str, models: list[type[BaseModel]]) -> Report | None:
    codecs = [Codec(model) for model in dict.fromkeys(models)]

    def validate(snapshot: Snapshot) -> None:
        if snapshot.collection is JOBS and not any(_reads(codec, snapshot) for codec in codecs):
            raise snapshot.corrupt("no model that the test used takes it")

    if branch.startswith("proposals/") and not _is_there(path, branch):
        return None  # it was applied, or dropped
    try:
        repository = open_repository(path, branch=branch, create=False)
    except (UnsupportedError, StoreNotFoundError):
        return None  # the test made something else of it
    return verify.check_repository(repository, [JOBS, NOTES], validate, repair=False)


def _reads(codec: Codec[Any], snapshot: Snapshot) -> bool:
    try:
        codec.decode_text(snapshot.text())
    except CorruptionError:
        return False
    return True
