"""Brings back what a commit took back that was made from a view behind the head.

Whoever commits in the folder commits what git's index says. If that still said what the view had shown some saves ago,
the commit is without these saves, though nobody meant that. So the next writer, or the next refresh of the view,
whichever comes first, follows it with ``merge3(shown, parent, commit)``.

Which commits others made, the branch's reflog tells; what the view showed, its record. What a person took back on
purpose stays so: a commit is held to come from an older view only if all that the view did not show yet is in it as the
view had it, or was edited there.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gitstate.engine import graph, refs, trees
from gitstate.engine.beyond import beyond
from gitstate.engine.objects import Commit, ObjectId, TreeEntry
from gitstate.engine.reflog import Move
from gitstate.engine.repository import Repository
from gitstate.engine.staging import Staging
from gitstate.engine.trees import Changes
from gitstate.errors import GitStateError, StateCorruptionError
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.batch import Batch
from gitstate.store.documents import Collection
from gitstate.store.merging import MergedDocument, merge_roots
from gitstate.store.reader import Reader
from gitstate.store.view_record import Sight, ViewRecord

__all__ = ["Reconciler"]

_log = logging.getLogger("gitstate")

_FROM_THE_INDEX = ("commit", "revert", "cherry-pick")  # git's commands that commit what its index says
_WHAT = "brought back what a commit from an older view took back"
_LISTED = 10  # so many conflicts are named in a message
_NAMED = 60  # so many characters of a document's id are shown; the trailer has it whole


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
        """Whether others have committed since we wrote last."""
        return any(move.note.startswith(_FROM_THE_INDEX) for move in refs.moves(self._repository, self._repository.ref))

    def bring_back(self, batch: Batch) -> None:
        """Let a batch begin with the commits that bring back what others' commits took back without meaning to.

        Trouble is told and fails no write: what could not be brought back stays in the history.
        """
        moves = refs.moves(self._repository, self._repository.ref)
        if not any(move.note.startswith(_FROM_THE_INDEX) for move in moves):
            return
        try:
            edited = _first(batch.reader, moves, list(self._sights()))
            if edited is not None:
                _follow(batch, list(self._collections.values()), edited)
        except (GitStateError, OSError) as error:
            _log.warning("a commit in the folder may have taken saves back, and cannot be merged: %s", error)


@dataclass
class _Edited:
    """A commit of somebody's, and which of its files do not come from the commit before it.

    ``base`` says from what they come: None for those that were not there. ``shown`` is the commit that the view showed.
    """

    move: Move
    before: ObjectId
    shown: ObjectId
    base: dict[str, TreeEntry | None]


def _first(reader: Reader, moves: list[Move], sights: list[Sight]) -> _Edited | None:
    """Return the first commit that is a part of the branch's history and was made from an older view."""
    for move in moves:
        if move.before is None or not move.note.startswith(_FROM_THE_INDEX):
            continue
        if beyond(reader.source, move.after, [reader.head()]):
            continue  # it was taken back since
        for sight in sights:
            found = _look(reader, move, move.before, sight)
            if found.base:
                return found
    return None


def _look(reader: Reader, move: Move, before_id: ObjectId, sight: Sight) -> _Edited:
    """Return what of a commit comes from an older view, if it was made in the folder of that one."""
    before, after = (graph.read(reader.source, commit_id) for commit_id in (before_id, move.after))
    base: dict[str, TreeEntry | None] = {}
    shown = before_id
    for candidate in _shown(sight.record, after):
        if base or candidate == before_id or beyond(reader.source, candidate, [before_id]):
            continue  # what is not in its history is no older view: a `git reset --soft` went back
        base = _from_there(reader, candidate, before, after, move, sight)
        shown = candidate if base else shown
    for path, entry in sight.record.bases.items():
        if _file(reader, after.tree, path) != _file(reader, before.tree, path):
            base[path] = entry
    return _Edited(move, before.tree, shown, base)


def _shown(record: ViewRecord, made: Commit) -> Iterator[ObjectId]:
    """Yield the commits that the view may have shown when a commit began: git says when, in whole seconds."""
    if record.head is not None:
        yield record.head
    if record.previous is not None and record.since >= made.author.time:
        yield record.previous


def _from_there(
    reader: Reader, shown: ObjectId, before: Commit, after: Commit, move: Move, sight: Sight
) -> dict[str, TreeEntry | None]:
    """Return the files that a view did not show as they were, and that a commit has as it did, or edited from there."""
    tree = graph.read(reader.source, shown).tree
    as_shown: dict[str, TreeEntry | None] = {}
    edited: dict[str, TreeEntry | None] = {}
    was_newer = False
    for path, was, now in trees.diff(reader.source, tree, before.tree):
        made = _file(reader, after.tree, path)
        was_newer = was_newer or made == now
        if made != now:
            (as_shown if made == was else edited)[path] = was
    went_on = shown != sight.record.head  # the view, before git said that it was done
    git_went_on = any(other.note.startswith("reset: ") for other in sight.moves)
    if was_newer:
        return {} if went_on or git_went_on else edited
    if after.tree == tree:  # nothing else was changed: was it meant?
        begun_before = not went_on or sight.record.since >= after.author.time + 1
        return as_shown if begun_before and not git_went_on and move.note.startswith("commit") else {}
    return {**as_shown, **edited}


def _file(reader: Reader, root: ObjectId, path: str) -> TreeEntry | None:
    entry = trees.find(reader.source, root, path)
    return None if entry is None or entry.is_directory else entry


def _follow(batch: Batch, collections: list[Collection], edited: _Edited) -> None:
    """Commit what both did: the saves that the commit took back, and what it changed."""
    scratch = Staging(batch.reader.source)
    reader = batch.reader.over(scratch)
    head = graph.read(scratch, batch.tip).tree
    base = _base(reader, scratch, collections, edited)
    merged = merge_roots(reader, collections, base, head, edited.before)
    why = (
        f"The folder showed {edited.shown[:12]} when {edited.move.after[:12]} was committed there, which took back "
        "what had been saved since."
    )
    files = Message(f"{_WHAT}, in other files", body=why, trailers=((message.EVENT, Event.MERGED.value),))
    if merged.onto != head:  # all documents were moved as well: everything at once
        made = merged.edit(reader)
        batch.commit(made.id, made.objects, files)
        return
    for document in merged.documents:
        _commit(batch, document.changes, _told(document, why))
    _commit(batch, merged.files, files)


def _base(reader: Reader, scratch: Staging, collections: list[Collection], edited: _Edited) -> ObjectId:
    """Return the tree that the commit came from: that of the commit before it, but for what comes from elsewhere."""
    made = trees.edit(scratch, edited.before, edited.base)
    scratch.add(made.objects)
    shown = graph.read(scratch, edited.shown).tree
    whole: dict[str, TreeEntry | None] = {}
    for collection in collections:
        for document, _, tree in reader.differing(collection, edited.before, made.id):
            try:
                if tree is not None:
                    reader.snapshot_of(collection, document, made.id, tree).content()
            except StateCorruptionError:  # a mixture of two that is none: as the view showed it then
                folder = reader.folder(shown, collection, document)
                whole[folder] = trees.find(scratch, shown, folder)
    again = trees.edit(scratch, made.id, whole)
    scratch.add(again.objects)
    return again.id


def _told(merged: MergedDocument, why: str) -> Message:
    """Say what became of a document, the places where the commit stands included."""
    pointers = [conflict.pointer or "/" for conflict in merged.conflicts]
    lines = [why]
    if merged.note:
        lines.append(f"Of both: {merged.note}.")
    if pointers:
        more = f", and {len(pointers) - _LISTED} more" if len(pointers) > _LISTED else ""
        lines.append(f"Both had changed {', '.join(pointers[:_LISTED])}{more}: there the commit counts.")
    subject = f"{merged.document[:_NAMED]}: {_WHAT}"
    trailers = ((merged.collection.trailer, merged.document), (message.EVENT, Event.MERGED.value))
    return Message(subject, body="\n".join(lines), trailers=trailers)


def _commit(batch: Batch, changes: Changes, told: Message) -> None:
    made = trees.edit(batch.reader.source, graph.read(batch.reader.source, batch.tip).tree, changes)
    if made.objects:
        batch.commit(made.id, made.objects, told)
