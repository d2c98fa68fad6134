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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from gitstate.engine import files, graph, refs, trees
from gitstate.engine.beyond import is_in_history
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.reflog import Move
from gitstate.engine.repository import Repository
from gitstate.engine.trees import Changes
from gitstate.errors import GitStateError
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.batch import Batch
from gitstate.store.documents import Collection
from gitstate.store.merging import MergedDocument, merge_roots
from gitstate.store.reader import Reader
from gitstate.store.two_moments import Sides
from gitstate.store.view_record import CHECKOUT, FROM_THE_INDEX, RESET, Sight, file_at, likeliest, moved_to
from gitstate.store.view_record import past as before_that

__all__ = ["Reconciler"]

_log = logging.getLogger("gitstate")

_WHAT = "brought back what a commit from an older view took back"
_DROPPED = "brought back the saves that a reset of the folder dropped"
_LISTED = 10  # so many conflicts are named in a message
_FAR = 100  # commits between an older view and the commit that is looked at
_JUDGED = "judged"  # a private file that names the last commit that was looked at
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
        """Whether others have committed since we wrote last, or looked at what they did."""
        return any(move.note.startswith(FROM_THE_INDEX) or _is_slip(move) for move in self._moves())

    def bring_back(self, batch: Batch) -> None:
        """Let a batch begin with the commits that bring back what others' commits took back without meaning to.

        Trouble is told and fails no write: what could not be brought back stays in the history.
        """
        try:
            moves, tip, collections = self._moves(), batch.tip, list(self._collections.values())
            for move in filter(_is_slip, moves):
                _rejoin(batch, collections, move)
            # The newest first: what that one took back of the one before must not count as its own change of that.
            for made in reversed(list(_commits(batch.reader, moves, list(self._sights())))):
                base = made.base()
                if base:
                    _follow(batch, collections, made, base)
            if moves and batch.tip == tip:  # else the branch's reflog will tell
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


@dataclass
class _Made:
    """A commit that somebody made in a folder, told by what else is known of that.

    Args:
        reader: Reads them all.
        move: The line of the reflog that tells of it.
        before: The commit that was there before.
        past: What git did in the folder since the view was refreshed there, up to this.
        stood: The commits that git's index may have been at, the likeliest first, and whether nothing is against it.
        shown: The commit that the view showed when it was refreshed; None: one that tells nothing.
        bases: At what the edits began that this refresh left alone.
    """

    reader: Reader
    move: Move
    before: ObjectId
    past: list[Move]
    stood: list[tuple[ObjectId, bool]]
    shown: ObjectId | None
    bases: Mapping[str, TreeEntry | None]

    @classmethod
    def of(
        cls, reader: Reader, move: Move, before: ObjectId, sight: Sight, replaced: Mapping[str, ObjectId]
    ) -> "_Made":
        """Return a commit; what it ``replaced`` by amending is a part of it."""
        # In whole seconds. The author's time may be that of another commit, of one that is amended or picked.
        began, since = graph.read(reader.source, move.after).committer.time, sight.record.since
        made = cls._told(reader, move, before, sight, replaced, refreshed=since >= began)
        # In the second in which git began the view was refreshed, and git wrote its index after that: it had read an
        # older one before that, or the two followed each other, as in a script.
        unclear = began <= since < began + 1 and move in sight.moves and sight.staged
        if unclear and made._is_meant():
            return cls._told(reader, move, before, sight, replaced, refreshed=False)
        return made

    @classmethod
    def _told(
        cls,
        reader: Reader,
        move: Move,
        before: ObjectId,
        sight: Sight,
        replaced: Mapping[str, ObjectId],
        *,
        refreshed: bool,
    ) -> "_Made":
        """Return a commit; ``refreshed`` says that the view was, while that was made or since."""
        record, began = sight.record, graph.read(reader.source, move.after).committer.time
        head, previous = (replaced.get(known or "", known) for known in (record.head, record.previous))
        is_known = move in sight.moves
        past = [other for other in sight.moves if other.after not in replaced]
        past = past[: past.index(move)] if is_known else []
        # Git itself brings its index to where it says that HEAD went, unless it is told not to.
        stood: list[tuple[ObjectId, bool]] = []
        for other in reversed(past):
            stood.append((other.after, other is past[-1]))
            if other.note.startswith(CHECKOUT):
                stood += ((each, False) for each in islice(before_that(reader.source, other.after), 1, None))
        if head is not None and (is_known or not refreshed):
            stood.append((head, not past))
        if previous is not None and refreshed:
            stood.append((previous, record.since >= began + 1 or (is_known and not sight.staged)))
        stood = [(known, sure) for known, sure in stood if is_in_history(reader.source, known, before)]
        shown, bases = (head, record.bases) if is_known or not refreshed else (previous, {})
        if shown is not None and not past and not is_in_history(reader.source, shown, before):
            shown = None  # the branch was moved elsewhere, and nothing says what became of the folder
        return cls(reader, move, before, past, stood, shown, bases)

    def base(self) -> dict[str, TreeEntry | None]:
        """Return the files that do not come from the commit before, with what they come from (None: from nothing).

        A file that is as git's index had it, and is another one now, was not touched: it comes from itself.
        """
        index = self._index()
        base: dict[str, TreeEntry | None] = {}
        for path, was, made in trees.diff(self.reader.source, self._tree(self.before), self._tree(self.move.after)):
            base[path] = made if self._file(index, path) == made else self._shown(path, index, was, made)
            if base[path] == was:
                del base[path]
        return base

    def _index(self) -> ObjectId:
        """Return the commit that git's index was at when this one began: that from which it differs the least.

        One that differs from it in nothing may have been meant so: that somebody went back to it.
        """
        found, sure, least = self.before, True, self._distance(self.before)
        for commit_id, is_sure in self.stood:
            distance = self._distance(commit_id)
            if distance < least and not self._is_newer(commit_id):
                found, sure, least = commit_id, is_sure, distance
        was_meant = least == 0 and not (sure and self.move.note.startswith("commit"))
        return self.before if was_meant else found

    def _is_meant(self) -> bool:
        """Whether somebody took back on purpose what had come, rather than that git's index was behind.

        So it is where this is the tree of a commit in between, or a file is removed that had just changed.
        """
        older, tree = self._index(), self._tree(self.move.after)
        if older == self.before:
            return False
        commit_id: ObjectId | None = self.before
        for _ in range(_FAR):
            if commit_id is None or commit_id == older:
                break
            if self._tree(commit_id) == tree:
                return True
            commit_id = next(iter(graph.read(self.reader.source, commit_id).parents), None)
        changed = trees.diff(self.reader.source, self._tree(older), self._tree(self.before))
        return any(None not in (was, now) and self._file(self.move.after, path) is None for path, was, now in changed)

    def _shown(self, path: str, index: ObjectId, was: TreeEntry | None, made: TreeEntry | None) -> TreeEntry | None:
        """Return what the folder had at a path before somebody edited it.

        What git did there tells, or else the view; but a reset may have left the file alone, and other commands bring
        single files to the head without a word. The edited file itself tells which of these it comes from.
        """
        known = self.bases[path] if path in self.bases else self._file(self.shown or self.before, path)
        moved = next(moved_to(self.reader.source, path, self.past), known)
        content = b"" if made is None else self.reader.source.read(made.id, "blob")
        return likeliest(self.reader.source, made, content, (moved, known, self._file(index, path), was))

    def _is_newer(self, commit_id: ObjectId) -> bool:
        """Whether this commit has a file as it was right before, and not as that older one has it."""
        older = trees.diff(self.reader.source, self._tree(commit_id), self._tree(self.before))
        return any(self._file(self.move.after, path) == now for path, _, now in older)

    def _distance(self, commit_id: ObjectId) -> int:
        return sum(1 for _ in trees.diff(self.reader.source, self._tree(commit_id), self._tree(self.move.after)))

    def _tree(self, commit_id: ObjectId) -> ObjectId:
        return graph.read(self.reader.source, commit_id).tree

    def _file(self, commit_id: ObjectId, path: str) -> TreeEntry | None:
        return file_at(self.reader.source, commit_id, path)


def _is_slip(move: Move) -> bool:
    """Whether git moved the branch although it was only told to drop edits."""
    return move.note == RESET and move.before not in (None, move.after)


def _rejoin(batch: Batch, collections: list[Collection], move: Move) -> None:
    """Bring back the saves that a reset dropped, which was none of the branch."""
    source, dropped = batch.reader.source, move.before
    if dropped is None or not is_in_history(source, move.after, dropped) or is_in_history(source, dropped, batch.tip):
        return
    if is_in_history(source, batch.tip, dropped):
        batch.advance(dropped)
        return
    trees_of = (graph.read(source, commit_id).tree for commit_id in (move.after, batch.tip, dropped))
    merged = merge_roots(batch.reader, collections, *trees_of)
    whole = merged.edit(batch.reader)
    why = f"`git reset` put the branch back to {move.after[:12]}, which was only meant to drop edits in the folder."
    told = Message(f"{_DROPPED}", body=why, trailers=((message.EVENT, Event.MERGED.value),))
    batch.commit(whole.id, whole.objects, told, dropped)


def _commits(reader: Reader, moves: list[Move], sights: list[Sight]) -> Iterator[_Made]:
    """Yield the commits of others that are a part of the branch's history, oldest first, with where they were made."""
    tip, replaced = reader.head(), dict[ObjectId, ObjectId]()
    for move in moves:
        if move.before is None or not move.note.startswith(FROM_THE_INDEX):
            continue
        before = replaced.get(move.before, move.before)  # what was amended twice was there before both
        if not is_in_history(reader.source, move.after, tip):
            replaced[move.after] = before
            continue
        for sight in [sight for sight in sights if move in sight.moves] or sights:
            yield _Made.of(reader, move, before, sight, replaced)


def _follow(batch: Batch, collections: list[Collection], made: _Made, base: dict[str, TreeEntry | None]) -> None:
    """Commit what both did: the saves that the commit took back, and what it changed."""
    sides = Sides.of(batch.reader, collections, (batch.tip, made.before, made.move.after), base)
    merged = merge_roots(sides.reader, collections, sides.base, sides.head, sides.before)
    why = f"The folder was behind when {made.move.after[:12]} was committed there, which took back what had been saved."
    files = Message(f"{_WHAT}, in other files", body=why, trailers=((message.EVENT, Event.MERGED.value),))
    if merged.onto != sides.head:  # all documents were moved as well: everything at once
        whole = merged.edit(sides.reader)
        batch.commit(whole.id, whole.objects, files)
        return
    for document in merged.documents:
        _commit(batch, {**sides.mended.get(document.document, {}), **document.changes}, _told(document, why))
    _commit(batch, merged.files, files)


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
