"""Rescues: states that were refused, or lost a merge, kept whole: ``refs/gitstate/rescue/<document>/<commit>``.

To git a rescue is a commit that is on no branch, and its ref keeps it from every clean-up. It follows what the state
was based on, and its tree is that of the commit before it with the document as it would have been, so that ``git show``
tells what was wanted. A ref of this kind never moves. Refs that came from elsewhere may be anything: what is no rescue
is named and left out, and stops nothing.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from gitstate.engine import graph, trees
from gitstate.engine.base import Engine, Source
from gitstate.engine.check import Problem
from gitstate.engine.objects import HEX_ID, ID_PREFIX, ObjectId
from gitstate.engine.repository import OURS
from gitstate.errors import CorruptionError, InvalidInputError, NotFoundError, StaleError, UnsupportedError
from gitstate.format import message, names
from gitstate.format.message import Event, Message
from gitstate.store.batch import Batch
from gitstate.store.documents import Collection, Draft, Revision, Snapshot
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.values.canonical import Value, equal
from gitstate.words import SHORT_ID

__all__ = [
    "BY_HAND",
    "FOLDER",
    "INVALID",
    "PARKED",
    "REFUSED",
    "Rescue",
    "Rescues",
    "named",
    "place",
    "problems",
    "refs",
    "trailers",
    "well_named",
]

FOLDER = f"{OURS}rescue/"
"""What the names of the refs begin with."""

REFUSED = "refused"
"""Of a save that could not be merged."""
PARKED = "parked"
"""Of the side that lost where two histories were joined."""
INVALID = "invalid"
"""Of a document from elsewhere that is none."""
BY_HAND = "by hand"
"""A ref that somebody made with git at any commit."""

_log = logging.getLogger("gitstate")

_ODD = (CorruptionError, UnsupportedError)
_REASONS = (REFUSED, PARKED, INVALID)
_REF = re.compile(f"{re.escape(FOLDER)}([^/]+)/({HEX_ID.pattern})")
_NAMED = 60  # so many characters of an id are shown
_LISTED = 10  # so many rescues are named in an error


class Rescue(NamedTuple):
    """A state that was kept aside.

    ``commit`` holds it, ``base`` is the commit before that: what the state was based on, or of one that lost a merge
    the revision that lost. ``conflicts`` are the pointers that could not be merged, ``against`` is the commit at which
    the document kept its own state, None if it is not said.
    """

    ref: str
    document: str
    commit: ObjectId
    base: ObjectId | None
    reason: str
    conflicts: tuple[str, ...]
    against: ObjectId | None
    revision: Revision

    @property
    def name(self) -> str:
        """What people call it: the document as it stands in the ref, and the first digits of the commit."""
        return self.ref.removeprefix(FOLDER)[: SHORT_ID - 40]

    @property
    def time(self) -> datetime:
        """When it was kept, or the losing revision was made."""
        return self.revision.time

    @property
    def author(self) -> str:
        """Whose state it is."""
        return self.revision.author


class Rescues:
    """The rescues of a store's documents of one collection. Safe to use from any thread."""

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        collection: Collection,
        stamp: Callable[[], Sequence[tuple[str, str]]] = tuple,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._collection = collection
        self._stamp = stamp

    def over(self, source: Source) -> "Rescues":
        """Return the same rescues, with commits read from a source that has more of them."""
        return Rescues(self._engine, self._reader.over(source), self._collection, self._stamp)

    def all(self, document: str | None = None) -> list[Rescue]:
        """Return the rescues, those of one document or all, the newest first.

        What is no rescue, though its ref says so, is told of in the log and left out.
        """
        found, odd = self.look(document)
        for problem in odd:
            _log.warning("left out of the rescues: %s: %s", problem.place, problem.what)
        return found

    def look(self, document: str | None = None) -> tuple[list[Rescue], list[Problem]]:
        """Return the rescues as :meth:`all` does, and what is wrong with the refs that are none."""
        found: list[Rescue] = []
        odd: list[Problem] = []
        below = FOLDER if document is None else f"{FOLDER}{names.ref_encode(document)}/"
        for ref in self._engine.refs(below):
            try:
                rescue = _read(self._reader, self._collection, ref)
            except _ODD as error:
                odd.append(Problem("rescue", ref, error.message, severity="warning"))
            else:
                if rescue is not None:
                    found.append(rescue)
        return sorted(found, key=lambda each: (each.time, each.ref), reverse=True), odd

    def counts(self) -> Mapping[str, int]:
        """Return how many rescues each document has that has any."""
        return Counter(rescue.document for rescue in self.look()[0])

    def find(self, name: str) -> Rescue:
        """Return the rescue that a person names: ``nightly/1a2b3c4d``, the first digits of the commit, or the ref; or
        the document, if it has a single one.

        Raises:
            NotFoundError: There is none, or several answer to the name; the message lists them.
            InvalidInputError: It is no text.
            CorruptionError: A ref of this name stands there, and is no rescue.
        """
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"a rescue is named by a text, not by {name!r}", hint=_FORMS)
        if _REF.fullmatch(name) and self._engine.ref(name) is not None:
            return self.at(name)
        there = self.all()
        found = [rescue for rescue in there if _is_called(rescue, name)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join([each.name for each in (found or there)[:_LISTED]]) or "none"
        if found:
            raise NotFoundError(f"several rescues answer to {name!r}: {listed}", hint=_FORMS)
        raise NotFoundError(f"there is no rescue {name!r}", hint=f"the rescues: {listed}")

    def snapshot(self, rescue: Rescue) -> Snapshot:
        """Return the state that was kept."""
        found = self._reader.snapshot(self._collection, rescue.document, rescue.commit)
        if found is None:  # it was there when the rescue was read
            raise CorruptionError(f"{rescue.ref} is not readable any more")
        return found

    def at_revision(self, document: str, commit_id: ObjectId) -> Snapshot | None:
        """Return a document as it stands in a commit. Raises CorruptionError: the commit is missing or damaged."""
        return self._reader.snapshot(self._collection, document, commit_id)

    def revision(self, commit_id: ObjectId) -> Revision:
        """Return what a commit says. Raises CorruptionError: it is missing or damaged."""
        return Revision.of(commit_id, graph.read(self._reader.source, commit_id))

    def keep(
        self,
        document: str,
        draft: Draft,
        base: ObjectId | None,
        base_value: dict[str, Value] | None = None,
        *,
        volatile: Container[str] = (),
    ) -> Rescue:
        """Keep the state that a draft makes of a document, durably; one that is kept already is not kept twice.

        Args:
            document: Its id.
            draft: Its value and attachments, and a message with :func:`trailers`.
            base: The commit that it is based on; None: nobody knows which.
            base_value: What the document was there, where that is not what the commit holds: a commit of its own says
                so.
            volatile: Fields of the value in which a state may differ that is kept already.

        Raises:
            CorruptionError: The base is missing or damaged.
            BusyError: Another process did not let go of the store in time.
            StorageError: The disk refused.
        """
        batch = Batch(self._engine, self._reader, base, self._stamp())
        if base is None:
            first = trees.edit(self._engine, None, {FORMAT_FILE: self._format()})
            batch.commit(first.id, first.objects, self._said(document, "what came before is not known"))
        if base_value is not None:
            said = self._said(document, "what a state that was kept aside is based on")
            batch.write(self._collection, document, lambda _: Draft(said, value=base_value))
        batch.write(self._collection, document, lambda _: draft)
        kept = next((each for each in self.look(document)[0] if self._is_same(each, document, batch, volatile)), None)
        if kept is not None:
            return kept
        ref = place(document, batch.tip)
        try:
            self._engine.create_ref(ref, batch.tip, objects=batch.objects)
        except StaleError:  # another process kept the same in the same second
            if self._engine.ref(ref) != batch.tip:
                raise
        return self.at(ref)

    def at(self, ref: str) -> Rescue:
        """Return the rescue of a ref. Raises CorruptionError: it is none, and the message says why."""
        try:
            found = _read(self._reader, self._collection, ref)
        except _ODD as error:
            raise CorruptionError(f"{ref} is no rescue: {error.message}", hint=error.hint) from error
        if found is None:
            raise CorruptionError(f"{ref} is about no document of {self._collection.name}/")
        return found

    def drop(self, rescue: Rescue) -> None:
        """Remove a rescue's ref; its commit stays in the repository until git clears it away.

        Raises:
            StaleError: It is not there any more.
            BusyError: Another process did not let go of the store in time.
        """
        self._engine.delete_ref(rescue.ref, expected=rescue.commit)

    def _said(self, document: str, text: str) -> Message:
        own = ((self._collection.trailer, document), (message.EVENT, Event.RESCUED.value))
        return Message(f"{named(document)}: {text}", trailers=own)

    def _format(self) -> bytes:
        return self._reader.format(self._reader.root(self._reader.head())).to_bytes()

    def _is_same(self, kept: Rescue, document: str, batch: Batch, volatile: Container[str]) -> bool:
        """Whether a rescue is what a batch made, but for its time and for volatile fields."""
        reader = batch.reader
        made = Revision.of(batch.tip, graph.read(reader.source, batch.tip))
        keys = (message.RESCUE, message.EXECUTION)
        if any(kept.revision.message.get(key) != made.message.get(key) for key in keys):
            return False
        if not _begin_alike(reader, kept.revision.parents, made.parents):
            return False
        one, other = (reader.snapshot(self._collection, document, each) for each in (kept.commit, made.id))
        if one is None or other is None:
            return False
        paths = {change.path for change in trees.diff(reader.source, one.tree, other.tree)}
        return not paths or (
            paths == {self._collection.layout.root} and equal(_lasting(one, volatile), _lasting(other, volatile))
        )


_FORMS = "name it as `gitstate rescue list` does: nightly/1a2b3c4d5e"


def place(document: str, commit_id: ObjectId) -> str:
    """Return the ref of a document's rescue."""
    return f"{FOLDER}{names.ref_encode(document)}/{commit_id}"


def trailers(
    reason: str, conflicts: Iterable[str] = (), against: ObjectId | None = None
) -> tuple[tuple[str, str], ...]:
    """Return what the commit of a rescue says beside its document and event. Places beyond measure are the whole."""
    found = tuple((message.CONFLICT, pointer) for pointer in conflicts)
    if message.fitting(found) != found:
        found = ((message.CONFLICT, ""),)
    return ((message.RESCUE, reason), *found, *(() if against is None else ((message.AGAINST, against),)))


def refs(engine: Engine) -> Mapping[str, ObjectId]:
    """Return the refs of all rescues, of whatever collection, that stand at the commit that their names say.

    Others stay here: neither are they sent to a remote, nor do they stop anything.
    """
    found: dict[str, ObjectId] = {}
    for ref in engine.refs(FOLDER):
        with suppress(CorruptionError):  # `verify` names it
            found[ref] = engine.ref(ref) or ""
    return well_named(found)


def well_named(refs: Mapping[str, ObjectId]) -> Mapping[str, ObjectId]:
    """Return those of some refs that have the name of a rescue, and stand at the commit that it says."""
    named = ((_REF.fullmatch(ref), ref, commit_id) for ref, commit_id in refs.items())
    return {ref: commit_id for match, ref, commit_id in named if match is not None and match[2] == commit_id}


def problems(reader: Reader, collections: Sequence[Collection], refs: Iterable[str]) -> tuple[int, list[Problem]]:
    """Return how many of some refs are rescues, and what is wrong with those that are none.

    That what they reach is whole is not looked at.
    """
    count = 0
    odd: list[Problem] = []
    for ref in refs:
        try:
            is_one = any(_checked(reader, collection, ref) for collection in collections)
        except _ODD as error:
            odd.append(Problem("rescue", ref, error.message, error.hint, "warning"))
        else:
            count += is_one
            if not is_one:
                said = "no document that this program knows is in it"
                odd.append(Problem("rescue", ref, said, severity="warning"))
    return count, odd


def _checked(reader: Reader, collection: Collection, ref: str) -> bool:
    """Whether a ref is a rescue of a document of a collection. Raises as :func:`_read` does, and if it has no value."""
    rescue = _read(reader, collection, ref)
    if rescue is None:
        return False
    snapshot = reader.snapshot(collection, rescue.document, rescue.commit)
    if snapshot is not None and rescue.reason != INVALID:
        snapshot.content()
    return True


def _read(reader: Reader, collection: Collection, ref: str) -> Rescue | None:
    """Return the rescue that a ref is; None: it is about another collection.

    Raises:
        CorruptionError: It is none, or damaged; the message says why.
        UnsupportedError: Its commit is that of no store, or of one that is newer than this program.
    """
    match = _REF.fullmatch(ref)
    if match is None:
        raise CorruptionError("its name is not that of a rescue")
    commit_id = match[2]
    if reader.engine.ref(ref) != commit_id:
        raise CorruptionError("it does not stand at the commit that its name says")
    revision = Revision.of(commit_id, graph.read(reader.source, commit_id))
    said = revision.message
    ours = said.get(message.EVENT) == Event.RESCUED
    if ours and said.get(collection.trailer) is None:
        return None
    document = next(_called(match[1], [*said.all(collection.trailer), names.ref_decode(match[1])]), None)
    if document is None or reader.snapshot(collection, document, commit_id) is None:
        raise CorruptionError(f"its commit holds no document in {collection.name}/ that has the name of the ref")
    reason, against = said.get(message.RESCUE) if ours else None, said.get(message.AGAINST) or ""
    return Rescue(
        ref,
        document,
        commit_id,
        revision.parents[0] if revision.parents else None,
        reason if reason in _REASONS else BY_HAND,
        tuple(said.all(message.CONFLICT)) if ours else (),
        against if ours and HEX_ID.fullmatch(against) else None,
        revision,
    )


def _called(component: str, documents: Iterable[str | None]) -> Iterator[str]:
    """Yield those of some ids that a component of a ref's name may stand for."""
    return (each for each in documents if each and names.ref_encode(each) == component)


def _is_called(rescue: Rescue, name: str) -> bool:
    """Whether a person may mean a rescue by a name."""
    if name in (rescue.ref, rescue.document):
        return True
    document, slash, digits = name.removeprefix(FOLDER).rpartition("/")
    is_its = not slash or document in (rescue.document, names.ref_encode(rescue.document))
    return is_its and bool(ID_PREFIX.fullmatch(digits)) and rescue.commit.startswith(digits.lower())


def _begin_alike(reader: Reader, one: tuple[ObjectId, ...], other: tuple[ObjectId, ...]) -> bool:
    """Whether two states have the same base: a commit, or two that were made for them and are alike."""
    if one == other or len(one) != 1 or len(other) != 1:
        return one == other
    bases = [graph.read(reader.source, each[0]) for each in (one, other)]
    made = all(Message.parse(base.message).get(message.EVENT) == Event.RESCUED for base in bases)
    return made and bases[0].tree == bases[1].tree and _begin_alike(reader, bases[0].parents, bases[1].parents)


def _lasting(snapshot: Snapshot, volatile: Container[str]) -> dict[str, Value]:
    return {key: each for key, each in snapshot.content().value.items() if key not in volatile}


def named(document: str) -> str:
    """Return a document's id as the subject of a commit has it; the trailer has it whole."""
    return document if len(document) <= _NAMED else document[: _NAMED - 1] + "…"
