"""The names of revisions, as people give them: ``~3``, a pin, a time, ``@deleted``, a commit id or its first digits.

What stands before a ``~3``, the head if nothing does, is looked for in this order: ``@`` or ``HEAD``, ``@deleted``, a
whole commit id, a pin of the document, a tag of git's, the first digits of a commit id, a time.
docs/reference/revisions.md is for people.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from itertools import islice

from gitstate import clock
from gitstate.engine import graph
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import TAGS
from gitstate.errors import CorruptionError, GitStateError, InvalidInputError, RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.documents import Collection, Revision
from gitstate.store.history import revisions
from gitstate.store.moments import moment
from gitstate.store.pins import Pins
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.trails import Trail

__all__ = ["Names", "resolve"]

_HEADS = ("@", "HEAD")
_DELETED = "@deleted"

_ID = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_PREFIX = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)
_BACK = re.compile(r"(.*?)~([0-9]{0,9})", re.DOTALL)
_TAG = re.compile(r"[^\s\0-\x20\x7f~^:?*\[\\\ud800-\udfff]{1,200}")  # what git refuses in a name is none
_LONGEST = 300  # characters: a tag may have two thirds of them
_LISTED = 4  # so many candidates are named in an error
_FORMS = "name it by the first digits of its commit id, ~1 for the one before, a pin, a time, or @deleted"
_STORE_FORMS = "name it by the first digits of its commit id, a tag, or a time"


def resolve(reader: Reader, name: str) -> ObjectId:
    """Return the commit that a name stands for, of whatever document: an id or its first digits, a tag, or a time.

    Raises:
        RevisionNotFoundError: No revision answers to the name, or several do; the message lists them.
        InvalidInputError: It is no text, or needs a document, as ``~1`` and ``@deleted`` do.
    """
    _check(name)
    if name in _HEADS:
        return reader.head()
    if _BACK.fullmatch(name) or name == _DELETED:
        raise InvalidInputError(f"revision {name!r} counts the revisions of one document", hint=_STORE_FORMS)
    commit_id = _by_id_or_tag(reader, name, None)
    time = None if commit_id else moment(name, clock.now())
    if time is not None:
        walked = graph.walk(reader.source, reader.head())
        commit_id = next((found for found, sketch in walked if sketch.time <= time.timestamp()), None)
        if commit_id is None:
            raise RevisionNotFoundError(f"the store is younger than {time:%Y-%m-%d %H:%M:%SZ}", hint=_STORE_FORMS)
    if commit_id is None:
        raise RevisionNotFoundError(f"there is no revision {name!r}", hint=_STORE_FORMS)
    return _of_store(reader, commit_id)


class Names:
    """The names of the revisions of one document."""

    def __init__(self, reader: Reader, collection: Collection, document: str) -> None:
        self._reader = reader
        self._collection = collection
        self._document = document
        self._pins = Pins(reader.engine, collection, document)

    def resolve(self, name: str) -> ObjectId:
        """Return the commit that a name stands for.

        Raises:
            RevisionNotFoundError: No revision answers to the name, or several do; the message lists candidates.
            InvalidInputError: It is no text.
        """
        _check(name)
        back = _BACK.fullmatch(name)
        if back is not None:
            start = self._reader.head() if not back[1] else self.resolve(back[1])
            return self._back(start, int(back[2] or "1"), name)
        if name in _HEADS:
            return self._reader.head()
        if name == _DELETED:
            return self._before_deletion()
        commit_id = self._find(name)
        if commit_id is not None:
            return _of_store(self._reader, commit_id)
        time = moment(name, clock.now())
        if time is not None:
            return self._at(time)
        raise self._unknown(name)

    def _find(self, name: str) -> ObjectId | None:
        if not _ID.fullmatch(name) and (pinned := self._pins.find(name)) is not None:
            return pinned
        return _by_id_or_tag(self._reader, name, self)

    def own(self, commit_ids: list[ObjectId]) -> list[ObjectId]:
        """Return those of some commits that say that they are about the document."""
        found = ((commit_id, _read(self._reader, commit_id)) for commit_id in commit_ids)
        return [commit_id for commit_id, each in found if each.message.get(self._collection.trailer) == self._document]

    def _revisions(self, start: ObjectId | None = None) -> Iterator[Revision]:
        return revisions(self._reader, Trail(self._collection, self._document, start or self._reader.head()))

    def _states(self, start: ObjectId | None = None) -> Iterator[Revision]:
        """Yield the revisions that are states; an execution is recorded beside one."""
        for revision in self._revisions(start):
            told = revision.message
            ours = told.get(self._collection.trailer) == self._document
            if not ours or told.get(message.EVENT) != Event.EXECUTION:
                yield revision

    def _back(self, start: ObjectId, count: int, name: str) -> ObjectId:
        found = list(islice(self._states(start), count + 1))
        if len(found) > count:
            return found[count].id
        if not found:
            raise self._unknown(name)
        raise RevisionNotFoundError(
            f"{self._document!r} does not go back to {name!r}: it has {len(found)} revisions from there",
            hint=f"the oldest is {found[-1].id[:12]}, {found[-1].message.subject}",
        )

    def _before_deletion(self) -> ObjectId:
        for revision in self._revisions():
            removed = revision.removed if revision.removed is not None else not self._holds(revision.id)
            before = next(filter(self._holds, revision.parents), None) if removed else None
            if before is not None:
                return before
        raise RevisionNotFoundError(f"{self._document!r} was never deleted", hint="`gitstate log` lists its revisions")

    def _holds(self, commit_id: ObjectId) -> bool:
        return self._reader.snapshot(self._collection, self._document, commit_id) is not None

    def _at(self, time: datetime) -> ObjectId:
        oldest: Revision | None = None
        for revision in self._revisions():
            if revision.time <= time:
                return revision.id
            oldest = revision
        if oldest is None:
            raise self._unknown(f"{time:%Y-%m-%d %H:%M:%SZ}")
        raise RevisionNotFoundError(
            f"{self._document!r} is younger than {time:%Y-%m-%d %H:%M:%SZ}",
            hint=f"its first revision is {oldest.id[:12]} of {oldest.time:%Y-%m-%d %H:%M:%SZ}",
        )

    def _unknown(self, name: str) -> RevisionNotFoundError:
        pins = [pin.name for pin in self._pins.all()]
        near = get_close_matches(name, pins, _LISTED, 0) or pins[:_LISTED]
        newest = [_told(revision) for revision in islice(self._revisions(), _LISTED - len(near))]
        if not near and not newest:
            return RevisionNotFoundError(
                f"there never was a {self._document!r} in {self._collection.name}/, so it has no revision {name!r}",
                hint="look at its name again",
            )
        named = f"; pins: {', '.join(near)}" if near else ""
        recent = f"; newest: {'; '.join(newest)}" if newest else ""
        return RevisionNotFoundError(f"there is no revision {name!r} of {self._document!r}{named}{recent}", hint=_FORMS)


def _by_id_or_tag(reader: Reader, name: str, names: Names | None) -> ObjectId | None:
    """Return the commit whose id or tag a name is, or begins. Of several the document's own counts, if it is alone."""
    is_tag = _TAG.fullmatch(name) and not _ID.fullmatch(name) and ".." not in name
    if is_tag and (tagged := reader.engine.ref(TAGS + name)) is not None:
        return tagged
    if _ID.fullmatch(name):
        with suppress(CorruptionError):  # quicker than to look for all ids that begin so
            graph.read(reader.engine, name.lower())
            return name.lower()
    found = reader.engine.find(name.lower()) if _PREFIX.fullmatch(name) else []
    if len(found) > 1 and names is not None:
        own = names.own(found)
        found = own if len(own) == 1 else found
    if len(found) > 1:
        listed = "; ".join(_told(_read(reader, commit_id)) for commit_id in found[:_LISTED])
        raise RevisionNotFoundError(f"revision {name!r} is ambiguous: {listed}", hint="give more digits")
    return found[0] if found else None


def _of_store(reader: Reader, commit_id: ObjectId) -> ObjectId:
    try:
        reader.format(graph.read(reader.engine, commit_id).tree)
    except GitStateError as error:
        raise RevisionNotFoundError(
            f"commit {commit_id[:12]} is no revision of a store: it holds no {FORMAT_FILE} that can be read",
            hint=_STORE_FORMS,
        ) from error
    return commit_id


def _read(reader: Reader, commit_id: ObjectId) -> Revision:
    return Revision.of(commit_id, graph.read(reader.engine, commit_id))


def _told(revision: Revision) -> str:
    return f"{revision.id[:12]} {revision.message.subject}"


def _check(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"a revision is named by a text, not by {name!r}", hint=_FORMS)
    if len(name) > _LONGEST:
        raise RevisionNotFoundError(f"there is no revision whose name has {len(name):,} characters", hint=_FORMS)
