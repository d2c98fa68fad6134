"""Edits by people: what somebody changed in the store's folder with an editor, shown, committed or dropped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gitstate.backends.rewind import RewindBackend, note_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitstate.backends.edited import CommittedEdit, DiscardedEdits, FolderEdits

__all__ = ["EditingBackend"]


class EditingBackend(RewindBackend):
    """What a backend does with files that a person edited in the folder of the store and did not commit."""

    async def edits(self, *, volatile: bool = False) -> FolderEdits:
        """Bring the folder to the head, and return what was edited in it: job by job, with what it changes and whether
        it can be committed.

        Args:
            volatile: Whether changes of fields that change with nearly every save are told too.

        Raises:
            CorruptionError: git's index or an object is damaged.
            UnsupportedError: git's index is of a kind that only C git reads, and there is none.
            StorageError: The disk refused.
        """
        from gitstate.backends import edited

        return await asyncio.to_thread(edited.describe, self._store, self._jobs, self._codec, volatile=volatile)

    async def commit_edits(
        self, names: str | Iterable[str] | None = None, *, message: str | None = None
    ) -> list[CommittedEdit]:
        """Make edits checkpoints: each job in a commit of its own, and all files of no job in one more.

        What was saved since an edit began is kept: both are merged, as two saves are. All edits are checked before any
        is written. The folder then shows what came of it.

        Args:
            names: Ids of jobs, and paths of files or folders below the store's folder; None: all that was edited.
            message: Why, for the messages of the commits.

        Returns:
            What was committed; an edit of which the head has everything makes no commit.

        Raises:
            NotFoundError: Nothing was edited there.
            InvalidInputError: What a file says is no state, or it is not ours; or the store shows no files.
            ConflictError: The job moved on at the same places since the edit began; ``conflicts`` lists them.
            BusyError: Somebody's git is at work in the folder.
        """
        from gitstate.backends import edited

        note = note_of(message)
        chosen = [names] if isinstance(names, str) else names
        return await asyncio.to_thread(edited.commit, self._store, self._jobs, self._codec, chosen, note)

    async def discard_edits(self, names: str | Iterable[str] | None = None, *, dry_run: bool = False) -> DiscardedEdits:
        """Drop edits: the files become what the head has, and what is staged of them goes too.

        What stood in them is kept in a private folder for a while: that of the last 20 times.

        Args:
            names: Ids of jobs, and paths of files or folders below the store's folder; None: all that was edited.
            dry_run: Drop nothing, but tell what would be.

        Raises:
            NotFoundError: Nothing was edited there.
            InvalidInputError: A file is not ours; or the store shows no files.
            BusyError: Somebody's git is at work in the folder.
            StorageError: The disk refused to keep what stood there; nothing was dropped.
        """
        from gitstate.backends import edited

        chosen = [names] if isinstance(names, str) else names
        return await asyncio.to_thread(edited.discard, self._store, self._jobs, chosen, dry_run=dry_run)
