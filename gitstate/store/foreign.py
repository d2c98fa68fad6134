"""Commits of others, made in a folder that shows the branch: from what each of their files comes.

A commit has what git's index said. Which commit that was at is told by the reflog of ``HEAD`` in that folder, which
says where git itself brought it, and by the record of the view. A file as the index had it comes from itself; another
one was edited, and comes from what the folder showed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from gitstate.engine import graph, trees
from gitstate.engine.beyond import is_in_history
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.reflog import Move
from gitstate.store.reader import Reader
from gitstate.store.view_record import CHECKOUT, FROM_THE_INDEX, Sight, file_at, likeliest, moved_to
from gitstate.store.view_record import past as before_that

__all__ = ["Made", "commits"]

_FAR = 100  # commits between an older view and the commit that is looked at


@dataclass
class Made:
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
    def of(cls, reader: Reader, move: Move, before: ObjectId, sight: Sight, replaced: Mapping[str, ObjectId]) -> "Made":
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
    ) -> "Made":
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
        moved = moved_to(self.reader.source, path, self.past)
        content = b"" if made is None else self.reader.source.read(made.id, "blob")
        return likeliest(self.reader.source, made, content, (*moved, known, self._file(index, path), was))

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


def commits(
    reader: Reader, moves: list[Move], sights: list[Sight]
) -> Iterator[tuple[Made, dict[str, TreeEntry | None]]]:
    """Yield the commits of others that are a part of the branch's history and took something back, oldest first, with
    what some of their files come from: see :meth:`Made.base`.
    """
    tip, replaced = reader.head(), dict[ObjectId, ObjectId]()
    for move in moves:
        if move.before is None or not move.note.startswith(FROM_THE_INDEX):
            continue
        before = replaced.get(move.before, move.before)  # what was amended twice was there before both
        if not is_in_history(reader.source, move.after, tip):
            replaced[move.after] = before
            continue
        for sight in [sight for sight in sights if move in sight.moves] or sights:
            made = Made.of(reader, move, before, sight, replaced)
            base = made.base()
            if base:
                yield made, base
                break  # it was made in one folder, and counts once
