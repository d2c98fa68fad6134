"""Packs that arrive, in each of the ways that they are taken in."""

import os
import shutil
from collections.abc import Sequence

import pytest

from gitstate.engine.limits import DEFAULT
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import Repository
from gitstate.engine.transfer import arrivals, incoming
from gitstate.engine.transfer.incoming import Incoming, Limits

__all__ = ["WAYS", "choose", "everything", "no_git", "owned", "take_in"]

WAYS = ["few", "many", "no git"]


def no_git(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "which", lambda _: None)


def choose(way: str, patch: pytest.MonkeyPatch) -> None:
    """Take things in as few objects, as many, or as many where there is no git."""
    if way != "few":
        patch.setattr(incoming, "_FEW", 0)
        patch.setattr(arrivals, "_FEW", 0)
    if way == "no git":
        no_git(patch)


def owned(path: str) -> bool:
    return path.startswith("jobs/")


def take_in(
    repository: Repository,
    data: bytes,
    tips: Sequence[ObjectId],
    known: Sequence[ObjectId] = (),
    limits: Limits = DEFAULT,
    piece: int = 1000,
) -> None:
    """Take a pack in as a fetch does, up to where refs would be made."""
    with Incoming(repository, limits) as arriving:
        for start in range(0, len(data), piece):
            arriving.write(data[start : start + piece])
        arriving.index()
        arriving.check(tips, known, owned)
        arriving.admit()


def everything(repository: Repository) -> dict[str, bytes]:
    """Return all files of a repository, to be compared."""
    files = [path for path in repository.common_dir.rglob("*") if path.is_file()]
    return {os.fspath(path.relative_to(repository.common_dir)): path.read_bytes() for path in files}
