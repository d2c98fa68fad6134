"""Brings back what a commit took back that was made from a view behind the head.

Whoever commits in the folder commits what git's index says. If that still said what the view had shown some saves ago,
the commit is without these saves, though nobody meant that. So the next writer, or the next refresh of the view,
whichever comes first, follows it with ``merge3(shown, parent, commit)``.

Which commits others made, the branch's reflog tells; what the view showed, its record. What a person took back on
purpose stays so: a commit is held to come from an older view only if all that the view did not show yet is in it as the
view had it, or was edited there.

`git reset` and `git stash` put the branch where they found it when they began, and so drop the saves of the moment that
they took. Where it was asked for nothing but that edits go, these saves come back, as the very commits that they were.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from gitstate.engine import files, refs
from gitstate.engine.objects import ObjectId
from gitstate.engine.reflog import Move
from gitstate.engine.repository import Repository
from gitstate.errors import GitStateError
from gitstate.store.batch import Batch
from gitstate.store.documents import Collection
from gitstate.store.view_record import FROM_THE_INDEX, RESET, Sight

__all__ = ["Reconciler"]

_log = logging.getLogger("gitstate")

_JUDGED = "judged"  # a private file that names the last commit that was looked at


class Reconciler:
    """Follows the commits that others make.

    Args:
        repository: Whose branch they move.
        sights: Gives the views in which they may have been at work.
        collections: Those whose documents are merged as values, by name; more may come.
    """

    def __init__(
        self,
        repository: Repository,
        sights: Callable[[], Iterable[Sight]],
        collections: Mapping[str, Collection],
    ) -> None:
        self._repository = repository
        self._sights = sights
        self._collections = collections

    def is_due(self) -> bool:
        """Whether others have committed since we wrote last, or looked at what they did."""
        return _is_due(self._moves())

    def bring_back(self, batch: Batch) -> None:
        """Let a batch begin with the commits that bring back what others' commits took back without meaning to.

        Trouble is told and fails no write: what could not be brought back stays in the history.
        """
        try:
            moves = self._moves()
            if not _is_due(moves):
                return  # as a rule: another process of ours saved
            from gitstate.store.bring_back import follow, rejoin
            from gitstate.store.foreign import commits

            tip, collections = batch.tip, list(self._collections.values())
            for move in filter(_is_slip, moves):
                rejoin(batch, collections, move)
            # The newest first: what that one took back of the one before must not count as its own change of that.
            for made, base in reversed(list(commits(batch.reader, moves, list(self._sights())))):
                follow(batch, collections, made, base)
            if batch.tip == tip:  # else the branch's reflog will tell
                self._judged(tip)
        except (GitStateError, OSError) as error:
            _log.warning("a commit in the folder may have taken saves back, and cannot be merged: %s", error)

    def _moves(self) -> list[Move]:
        """Return what others did that was not looked at yet."""
        moves = refs.moves(self._repository, self._repository.ref)
        try:
            judged = files.read(self._repository.private / _JUDGED).decode("ascii", "replace") if moves else ""
        except FileNotFoundError:
            return moves
        known = [number for number, move in enumerate(moves, 1) if move.after == judged]
        return moves[max(known, default=0) :]

    def _judged(self, tip: ObjectId) -> None:
        """Note that nothing up to a commit is to be brought back: once the view went on, nobody can tell so well."""
        beside = self._repository.private / f"{_JUDGED}.new"
        files.overwrite(str(beside), tip.encode(), durable=False)
        beside.replace(self._repository.private / _JUDGED)


def _is_due(moves: Iterable[Move]) -> bool:
    return any(move.note.startswith(FROM_THE_INDEX) or _is_slip(move) for move in moves)


def _is_slip(move: Move) -> bool:
    """Whether git moved the branch although it was only told to drop edits."""
    return move.note == RESET and move.before not in (None, move.after)
