"""The line of first parents: the commits on it, what was merged into it, and which documents each of them touched."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice, takewhile
from types import MappingProxyType
from typing import NamedTuple

from gitstate.engine import graph, trees
from gitstate.engine.base import Engine, Step
from gitstate.engine.objects import Commit, ObjectId, parse_commit
from gitstate.errors import CorruptionError, UnsupportedError
from gitstate.format import names
from gitstate.format.message import Message
from gitstate.store.documents import Collection
from gitstate.store.reader import FORMAT_FILE, Reader

__all__ = ["TooFar", "Touch", "chain", "followed", "lost", "own", "sides", "steps"]

_ATTACHED = 8  # files of a commit that are known: an execution has two
_ONE_BY_ONE = 64  # commits: to read in bulk takes 10 ms to begin, and then a tenth of the time


class TooFar(Exception):  # noqa: N818 - no error: there is more to do than the caller has time for
    """There are more commits than were asked for."""


class Touch(NamedTuple):
    """What a commit did to a document: its own tree after that, None if it is there no more, whether anything of it is
    another than it was, and some files attached to it that are, by path.

    One that did not change is one that the commit says it is about: an execution that left no files.
    """

    document: str
    tree: ObjectId | None
    changed: bool
    attached: Mapping[str, ObjectId] = MappingProxyType({})

    @property
    def removed(self) -> bool:
        """Whether it is there no more."""
        return self.tree is None


def steps(engine: Engine, head: ObjectId, known: ObjectId | None, at_most: int) -> list[Step] | None:
    """Return the steps that lead from a commit that is known, or from the first one, to the head, newest first.

    None: the line from the head does not come by the known one; history was rewritten.

    Raises:
        TooFar: There are more than ``at_most``.
        CorruptionError: A commit is missing or damaged; the message names it.
    """
    found = list(islice(_one_by_one(engine, head, lambda commit_id: commit_id == known), _ONE_BY_ONE + 1))
    if len(found) > _ONE_BY_ONE:
        found = list(islice(engine.line(head, known), at_most + 1))
        if not _is_line(head, found):
            found = []
        if known is None or not found:  # else it need not end at what is known: history may have been rewritten
            rest = next(iter(found[-1].commit.parents), None) if found else head
            left = max(0, at_most + 1 - len(found))
            found += islice(_one_by_one(engine, rest, lambda commit_id: commit_id == known), left)
    if len(found) > at_most:
        raise TooFar
    parents = found[-1].commit.parents[:1] if found else ()
    return found if parents == (() if known is None else (known,)) else None


def chain(
    engine: Engine, start: ObjectId, until: ObjectId | None, ends: Callable[[ObjectId], bool], at_most: int
) -> list[Step]:
    """Return the steps on the line of first parents from a commit to before the first one that ``ends`` it.

    ``until`` is a commit whose history has that one, if there is such a commit. Raises as :func:`steps` does.
    """
    found = list(islice(_one_by_one(engine, start, ends), _ONE_BY_ONE + 1))
    if len(found) > _ONE_BY_ONE:
        bulk = takewhile(lambda step: not ends(step.id), engine.line(start, until))
        found = list(islice(bulk, at_most + 1))
        if not _is_line(start, found):
            found = []
        rest = next(iter(found[-1].commit.parents), None) if found else start
        found += islice(_one_by_one(engine, rest, ends), max(0, at_most + 1 - len(found)))
    if len(found) > at_most:
        raise TooFar
    return found


def sides(engine: Engine, line: list[Step], ends: Callable[[ObjectId], bool], at_most: int) -> list[list[Step]]:
    """Return what was merged into a line, as lines of their own, newest first; each commit stands in one of them.

    Raises as :func:`steps` does.
    """
    seen = {step.id for step in line}
    stack = [(parent, step.commit.parents[0]) for step in line for parent in step.commit.parents[1:]]
    found: list[list[Step]] = []
    while stack:
        start, first = stack.pop()
        side = chain(engine, start, first, lambda commit_id: commit_id in seen or ends(commit_id), at_most - len(seen))
        if side:
            seen.update(step.id for step in side)
            stack += [(parent, step.commit.parents[0]) for step in side for parent in step.commit.parents[1:]]
            found.append(side)
    return found


def _one_by_one(engine: Engine, commit_id: ObjectId | None, ends: Callable[[ObjectId], bool]) -> Iterator[Step]:
    while commit_id is not None and not ends(commit_id):
        body = engine.read(commit_id, "commit")
        step = Step(commit_id, body, parse_commit(body), None, {})
        yield step
        commit_id = next(iter(step.commit.parents), None)


def _is_line(head: ObjectId, steps: list[Step]) -> bool:
    """Whether commits follow from one another, the first being the head."""
    expected = [head, *(next(iter(step.commit.parents), "") for step in steps[:-1])]
    return [step.id for step in steps] == expected


def followed(
    reader: Reader, collection: Collection, oldest_first: Iterable[Step]
) -> Iterator[tuple[Step, list[Touch]]]:
    """Yield steps that follow one another with the documents that each touched, as its first parent had them."""
    follower = _Follower(reader, collection)
    for step in oldest_first:
        yield step, follower.touches(step)


def own(reader: Reader, collection: Collection, merge: Commit, touches: Iterable[Touch]) -> list[Touch]:
    """Return those of the touches of a merge, as its first parent had the documents, that are in their histories: where
    it took no side whole, or says that it is about them.
    """
    named = Message.parse(merge.message).all(collection.trailer)
    others = [graph.root(reader.engine, parent) for parent in merge.parents[1:]]

    def is_of_none(document: str) -> bool:
        here = reader.locate(merge.tree, collection, document)
        return all(reader.locate(other, collection, document) != here for other in others)

    return [touch for touch in touches if touch.document in named or is_of_none(touch.document)]


def lost(reader: Reader, collection: Collection, merge: Commit) -> set[str]:
    """Return the documents that are not there after a merge, and were on another side than the first."""
    roots = [graph.root(reader.engine, parent) for parent in merge.parents[1:]]
    return {
        document for root in roots for document, _, now in reader.differing(collection, root, merge.tree) if now is None
    }


class _Follower:
    """Goes along the line from an older commit to newer ones, and remembers what the last one told."""

    def __init__(self, reader: Reader, collection: Collection) -> None:
        self._reader = reader
        self._collection = collection
        self._last: Step | None = None
        self._levels: int | None = None  # of folders, under which documents lie
        self._there: dict[str, bool] = {}  # documents, and whether they have their root file

    def touches(self, step: Step) -> list[Touch]:
        commit, before = step.commit, self._tree_before(step.commit)
        files = step.files
        if self._levels is None or files is None or FORMAT_FILE in files:
            self._levels = self._levels_of(commit)
            files = None
        self._last = step
        if before == commit.tree:
            return self._claimed(commit)
        named = None if files is None or self._levels is None else self._named(step, files, self._levels)
        if named is not None:
            return named
        differing = list(self._reader.differing(self._collection, before, commit.tree))
        for document, _, _ in differing:
            self._there.pop(document, None)
        return [self._touch(document, now, self._beside(was, now)) for document, was, now in differing]

    def _tree_before(self, commit: Commit) -> ObjectId | None:
        """Return the root tree of a commit's first parent."""
        if not commit.parents:
            return None
        if self._last is not None and self._last.id == commit.parents[0]:
            return self._last.commit.tree
        return graph.read(self._reader.engine, commit.parents[0]).tree

    def _levels_of(self, commit: Commit) -> int | None:
        try:
            return self._reader.format(commit.tree).fanout
        except UnsupportedError:
            return None  # no store's: it holds no documents

    def _claimed(self, commit: Commit) -> list[Touch]:
        """Return the document that a commit without a change says it is about."""
        document = Message.parse(commit.message).get(self._collection.trailer)
        if not document or len(commit.parents) != 1:
            return []
        return [Touch(document, self._tree(commit, document), changed=False)]

    def _named(self, step: Step, files: Mapping[str, ObjectId | None], levels: int) -> list[Touch] | None:
        """Return the documents to whose folders files belong; None: their names alone do not tell."""
        top, layout = f"{self._collection.name}/", self._collection.layout
        folders: dict[str, dict[str, ObjectId | None]] = {}
        for path, blob in files.items():
            if path.startswith(top):
                *above, rest = path.split("/", levels + 2)
                if len(above) == levels + 2:
                    folders.setdefault("/".join(above), {})[rest] = blob
        found: list[Touch] = []
        for folder, inner in folders.items():
            document = names.decode(folder.rpartition("/")[2])
            if document is None or self._collection.folder(document, levels) != folder:
                return None
            if layout.root in inner:
                self._there[document] = inner[layout.root] is not None
            is_there = self._there.get(document, False)
            if not is_there and not any(map(layout.owns, inner)):
                return None  # files of others alone make no document
            tree = step.folders.get(folder) if is_there else None
            found.append(self._touch(document, tree or self._tree(step.commit, document), inner.items()))
        return found

    def _touch(self, document: str, tree: ObjectId | None, files: Iterable[tuple[str, ObjectId | None]]) -> Touch:
        """Return what became of a document in which some files changed."""
        if tree is None:
            return Touch(document, None, changed=True)
        is_attached = self._collection.layout.attached
        found = ((path, blob) for path, blob in files if blob is not None and is_attached(path))
        return Touch(document, tree, changed=True, attached=dict(islice(found, _ATTACHED)))

    def _beside(self, was: ObjectId | None, now: ObjectId | None) -> Iterator[tuple[str, ObjectId | None]]:
        """Yield the files beside the value that differ between two trees of a document; fewer where one is damaged."""
        with suppress(CorruptionError):
            changes = trees.diff(self._reader.engine, was, now, leaving=self._collection.layout.top_names)
            yield from ((each.path, None if each.after is None else each.after.id) for each in changes)

    def _tree(self, commit: Commit, document: str) -> ObjectId | None:
        return self._reader.locate(commit.tree, self._collection, document)
