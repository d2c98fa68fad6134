"""Checks everything that a store holds: objects, places, documents; and what is derived from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from gitstate.engine import graph, purging, refs, trees
from gitstate.engine.base import Engine
from gitstate.engine.check import ObjectCheck, Problem, Severity, pack_problems
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.repository import OURS, SEEN, Repository
from gitstate.errors import CorruptionError, GitStateError, ReadOnlyError
from gitstate.format import names
from gitstate.format.version import MAX_FANOUT
from gitstate.store import makers, pins, purge, rescues
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.worktree import Worktree

__all__ = ["DocumentCheck", "Problem", "Report", "Validate", "check", "check_repository"]

_ASIDE = (rescues.FOLDER, SEEN)
"""Where states are kept aside that may be none, here and as they were seen on remotes last."""

Validate: TypeAlias = Callable[[Snapshot], object]
"""Raises CorruptionError when a document is not what its readers ask for."""


@dataclass(frozen=True)
class Report:
    """What a check saw: how many revisions, objects (revisions, trees and files) and documents, what is wrong, and how
    many states that were refused, or lost a merge, are kept aside.
    """

    revisions: int
    objects: int
    documents: int
    problems: tuple[Problem, ...]
    rescues: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is lost or wrong: there may be warnings, and what was repaired."""
        return not any(problem.severity == "error" and not problem.repaired for problem in self.problems)


def check_repository(
    repository: Repository,
    collections: Sequence[Collection],
    validate: Validate,
    *,
    repair: bool,
    worktree: Worktree | None = None,
) -> Report:
    """Check all that the branch and our other refs reach, as it is on the disk, and what is beside it.

    Args:
        repository: Where the store is.
        collections: The collections whose documents are checked.
        validate: Is asked about each document that can be read.
        repair: Whether to mend what is derived or transient.
        worktree: Is checked too, if given.

    Raises:
        BusyError: Another process did not let go of the lock in time.
        StorageError: The disk refused; for a store that is read-only only if it is to be repaired.
    """
    engine = GitEngine(repository)  # a new one: what another remembers says nothing about the disk
    try:
        problems = _transient(engine, repair=repair)
        heads, unreadable = _heads(repository)
        pinned, lost = _pinned(engine, collections)
        problems += [*unreadable, *lost, *pack_problems(repository.objects / "pack")]
        report = check(engine, heads, collections, validate, pinned)
    finally:
        engine.close()
    if purging.is_pending(repository):
        hint = "--repair does the rest, and so does the next purge"
        what = "a purge was cut short, or is at work: what was purged may still be on the disk"
        problems.append(Problem("purge", "gitstate/purge", what, hint, "warning"))
    problems += worktree.check(repair=repair) if worktree is not None else []
    return replace(report, problems=(*problems, *report.problems))


def _transient(engine: GitEngine, *, repair: bool) -> list[Problem]:
    try:
        return engine.check(repair=repair)
    except ReadOnlyError as error:
        if repair:
            raise
        return [Problem("leftover", "gitstate/", f"it cannot be looked at: {error.message}", severity="warning")]


def _heads(repository: Repository) -> tuple[dict[str, ObjectId], list[Problem]]:
    """Return where the branch and refs of ours stand but those that keep states aside, and what is wrong with those
    that cannot be read.
    """
    found: dict[str, ObjectId] = {}
    problems: list[Problem] = []
    for ref in [repository.ref, *sorted(set(refs.names(repository, OURS)))]:
        if ref.startswith(_ASIDE):
            continue
        try:
            commit_id = refs.read(repository, ref)
        except CorruptionError as error:
            problems.append(Problem("ref", ref, error.message, error.hint))
        else:
            if commit_id is not None:
                found[ref] = commit_id
            elif ref == repository.ref:
                problems.append(Problem("ref", ref, "the branch is gone", "its reflog says where it stood"))
    return found, problems


def _pinned(engine: Engine, collections: Sequence[Collection]) -> tuple[dict[str, ObjectId], list[Problem]]:
    """Return where the pins stand, and what is wrong with those that stand at no commit."""
    return _standing(engine, [pins.folder(collection) for collection in collections], "pin")


def _aside(engine: Engine) -> tuple[dict[str, ObjectId], list[Problem]]:
    """Return where states are kept aside, and what is wrong with the refs that stand at no commit."""
    return _standing(engine, _ASIDE, "rescue")


def _standing(engine: Engine, below: Sequence[str], kind: str) -> tuple[dict[str, ObjectId], list[Problem]]:
    found: dict[str, ObjectId] = {}
    problems: list[Problem] = []
    for ref in (ref for prefix in below for ref in engine.refs(prefix)):
        try:
            commit_id = engine.ref(ref)
        except CorruptionError as error:
            problems.append(Problem(kind, ref, error.message, error.hint))
        else:
            if commit_id is None:
                problems.append(Problem(kind, ref, "it stands at no commit", severity="warning"))
            else:
                found[ref] = commit_id
    return found, problems


def check(
    engine: Engine,
    heads: Mapping[str, ObjectId],
    collections: Sequence[Collection],
    validate: Validate,
    pinned: Mapping[str, ObjectId] | None = None,
) -> Report:
    """Check all that some commits reach, each object once, every document at each of the heads, and every rescue.

    Args:
        engine: Reads the objects.
        heads: Commits, by the names of what stands there.
        collections: The collections whose documents are checked.
        validate: Is asked about each document that can be read.
        pinned: More commits: what their documents were was judged when they were heads.
    """
    objects = ObjectCheck(engine)
    reader = Reader(engine)
    aside, lost = _aside(engine)
    for name, commit_id in {**heads, **(pinned or {}), **aside}.items():
        objects.reach(commit_id, name)
    documents = DocumentCheck(reader, validate)
    back: list[Problem] = []
    for commit_id in dict.fromkeys(heads.values()):
        documents.look_at(commit_id, collections)
        back += purge.back(engine, commit_id, {**(pinned or {}), **aside})
    count, odd = rescues.problems(reader, collections, [ref for ref in aside if ref.startswith(rescues.FOLDER)])
    problems = (*objects.problems, *documents.problems, *lost, *odd, *dict.fromkeys(back))
    return Report(objects.commits, objects.objects, len(documents.seen), problems, count)


class _Place(NamedTuple):
    """A collection at a revision: its folder, and under how many levels of folders its documents lie; and a root tree
    of which all is known already.
    """

    collection: Collection
    commit_id: ObjectId
    root: ObjectId
    folder: ObjectId
    fanout: int
    before: ObjectId | None


class DocumentCheck:
    """Looks at the documents of some revisions, at those that are the same only once."""

    def __init__(self, reader: Reader, validate: Validate) -> None:
        self.seen: set[tuple[str, str, ObjectId]] = set()
        self.problems: list[Problem] = []
        self._source = reader.source
        self._reader = reader
        self._validate = validate
        self._places: set[tuple[str, ObjectId, int]] = set()

    def look_at(self, commit_id: ObjectId, collections: Sequence[Collection]) -> None:
        """Check the format and the documents of a revision."""
        try:
            self.look_into(commit_id, graph.read(self._source, commit_id).tree, collections)
        except CorruptionError:
            return  # the check of the objects names it

    def look_into(
        self, commit_id: ObjectId, root: ObjectId, collections: Sequence[Collection], before: ObjectId | None = None
    ) -> None:
        """Check the format and the documents of a root tree; those that are as in the tree ``before`` are passed over.

        Raises:
            CorruptionError: The tree cannot be read.
        """
        entries = trees.read(self._source, root)
        try:
            fanout = self._reader.format(root).fanout
            if not entries[FORMAT_FILE].is_file:
                raise CorruptionError("it is a link or a submodule, and no file")
        except GitStateError as error:
            self.say("format", FORMAT_FILE, commit_id, error.message, error.hint)
            return
        for collection in collections:
            top = entries.get(collection.name)
            if top is not None and not top.is_directory:
                self.say("place", collection.name, commit_id, "it is not a folder", "move it away")
            elif top is not None and (collection.name, top.id, fanout) not in self._places:
                self._places.add((collection.name, top.id, fanout))
                self._look_around(_Place(collection, commit_id, root, top.id, fanout, before))

    def _look_around(self, place: _Place) -> None:
        collection = place.collection
        try:
            for fan, name, entry in self._folders(place, place.folder, known=self._known(place)):
                self._check_place(place, fan, name, entry)
            for document, path, tree in self._reader.places(collection, place.root, place.before):
                if (collection.name, document, tree) not in self.seen:
                    self.seen.add((collection.name, document, tree))
                    snapshot = self._reader.snapshot_of(collection, document, place.commit_id, tree)
                    self._check_document(snapshot, path, place.fanout)
        except CorruptionError as error:
            self.say("place", collection.name, place.commit_id, error.message, error.hint)

    def _known(self, place: _Place) -> TreeEntry | None:
        """Return the folder of the collection in the tree of which all is known, if its documents lie alike."""
        if place.before is None or self._reader.format(place.before).fanout != place.fanout:
            return None
        return trees.find(self._source, place.before, place.collection.name)

    def _folders(
        self, place: _Place, tree: ObjectId, fan: tuple[str, ...] = (), known: TreeEntry | None = None
    ) -> Iterator[tuple[tuple[str, ...], str, TreeEntry]]:
        """Yield the fan, name and entry of all that stands where documents lie, with this fanout or another one; what
        stands in a folder that is known is left out.
        """
        same = trees.read(self._source, known.id if known is not None and known.is_directory else None)
        for name, entry in trees.read(self._source, tree).items():
            if same.get(name) == entry:
                continue
            yield fan, name, entry
            if not entry.is_directory or len(fan) == MAX_FANOUT:
                continue
            if len(fan) < place.fanout or not self._has_root(place, entry):
                yield from self._folders(place, entry.id, (*fan, name), same.get(name))

    def _has_root(self, place: _Place, entry: TreeEntry) -> bool:
        try:
            return place.collection.layout.root in trees.read(self._source, entry.id)
        except CorruptionError:
            return True  # the check of the objects names it; those beside it are looked at

    def _check_place(self, place: _Place, fan: tuple[str, ...], name: str, entry: TreeEntry) -> None:
        """Check that what looks like a document is a folder, where readers look for it."""
        document = names.decode(name)
        if document is None:
            return
        path = "/".join((place.collection.name, *fan, name))
        fits = names.fan(document, len(fan)) == "/".join(fan)  # with some fanout; else it may be anybody's
        if not entry.is_directory:
            if fits and len(fan) == place.fanout and not entry.is_file:
                self.say("place", path, place.commit_id, "it is neither a folder nor a file", severity="warning")
        elif fits != (len(fan) == place.fanout) and self._has_root(place, entry):
            hint = f"its place would be {place.collection.folder(document, place.fanout)}"
            what = "no reader looks for a document here"
            self.say("place", path, place.commit_id, what, hint, "error" if fits else "warning")

    def _check_document(self, snapshot: Snapshot, folder: str, fanout: int) -> None:
        collection, layout = snapshot.collection, snapshot.collection.layout
        try:
            if collection.id_field not in snapshot.value():
                raise snapshot.corrupt(f"{layout.root} does not hold {collection.id_field}")
            if folder != collection.folder(snapshot.document, fanout):
                raise snapshot.corrupt(f"{folder} is not where its folder is")
            self._validate(snapshot)
            for path, entry in snapshot.files().items():
                if layout.attached(path + "/") and not entry.is_file:
                    raise snapshot.corrupt(f"{path} is a link or a submodule, and no file")
        except CorruptionError as error:
            self.say_unfit(folder, snapshot, error)

    def say_unfit(self, folder: str, snapshot: Snapshot, error: CorruptionError) -> None:
        """Note that a document cannot be read, and whose work that is."""
        told = makers.attributed(self._reader, snapshot, error)
        place = f"{folder} at revision {snapshot.revision[:12]}"
        self.problems.append(
            Problem("document", place, told.message, told.hint, revision=told.revision, author=told.author)
        )

    def say(
        self, kind: str, path: str, commit_id: ObjectId, what: str, hint: str = "", severity: Severity = "error"
    ) -> None:
        """Note what is wrong with something at a revision."""
        self.problems.append(Problem(kind, f"{path} at revision {commit_id[:12]}", what, hint, severity))
