"""Blobs in files of their own, as `git add` makes them: what a file held that nobody committed as it was."""

import os
import secrets
import zlib
from pathlib import Path

from gitstate.engine import files
from gitstate.engine.objects import GitObject

__all__ = ["keep"]


def keep(objects: Path, data: bytes) -> None:
    """Keep a blob in a repository's folder of objects, unless it is there in a file of its own.

    Nothing leads to it, so git may drop it after some weeks.

    Raises:
        OSError: The disk refused.
    """
    blob = GitObject("blob", data)
    folder = objects / blob.id[:2]
    target = folder / blob.id[2:]
    if target.exists():
        return
    folder.mkdir(exist_ok=True)
    beside = f"{folder}/tmp_obj_{secrets.token_hex(8)}"  # noqa: S108 - git removes files of such names, after a kill
    # Durable: an empty file, as a cut of the power leaves it, would be a damaged object.
    files.create(beside, zlib.compress(b"blob %d\0" % len(data) + data), mode=0o444)
    os.rename(beside, target)
