"""Checks states before they become part of a store, in the middle of git's own work: see :mod:`gitstate.store.guard`.

Nothing is written or mended, and what is there already is not looked at.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gitstate.backends.collection import JOBS
from gitstate.engine.onlooker import Onlooker
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError
from gitstate.store import guard
from gitstate.store.documents import Snapshot
from gitstate.store.guard import Judged

if TYPE_CHECKING:
    from gitstate.backends.models import CheckpointState
    from gitstate.format.codec import Codec
    from gitstate.format.secrets import Redactor

__all__ = ["judge_range", "judge_staged", "judge_updates"]


def judge_staged(path: Path, branch: str) -> Judged:
    """Check what git's index would commit; see :func:`gitstate.store.guard.judge_staged`."""
    with _looking(path, branch) as (onlooker, _):
        return guard.judge_staged(onlooker, [JOBS], _validator(), _redactor(path))


def judge_range(path: Path, branch: str, span: str) -> Judged:
    """Check each commit of a range; see :func:`gitstate.store.guard.judge_range`."""
    with _looking(path, branch) as (onlooker, _):
        return guard.judge_range(onlooker, span, [JOBS], _validator(), _redactor(path))


def judge_updates(path: Path, branch: str, updates: Sequence[str]) -> Judged:
    """Check what a push brings; see :func:`gitstate.store.guard.judge_updates`."""
    with _looking(path, branch) as (onlooker, ref):
        return guard.judge_updates(onlooker, updates, ref, [JOBS], _validator(), _redactor(path))


@contextmanager
def _looking(path: Path, branch: str) -> Iterator[tuple[Onlooker, str]]:
    repository = open_repository(path, branch=branch, create=False)
    onlooker = Onlooker(repository)
    try:
        yield onlooker, repository.ref
    finally:
        onlooker.close()


def _redactor(path: Path) -> "Redactor | None":
    """Return what finds credentials; None where the repository wants nothing of that."""
    from gitstate.engine.settings import redacts
    from gitstate.format.secrets import Redactor

    return Redactor() if redacts(path) else None


def _validator() -> Callable[[Snapshot], object]:
    @cache
    def codec() -> "Codec[CheckpointState]":
        from gitstate.backends.models import CheckpointState  # pydantic takes a while, and most commits touch no job
        from gitstate.format.codec import Codec

        return Codec(CheckpointState)

    def validate(snapshot: Snapshot) -> None:
        text = snapshot.text()
        try:
            codec().decode_text(text)
        except CorruptionError as error:
            raise snapshot.unfit(error) from error

    return validate
