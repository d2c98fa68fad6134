"""Looks for credentials in all that a history holds: in each file and each message once, however often it is there."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from gitstate.engine import graph, trees
from gitstate.engine.base import Arrival, Engine
from gitstate.engine.objects import Kind, ObjectId
from gitstate.engine.repository import BRANCHES, OURS
from gitstate.errors import CorruptionError
from gitstate.format import names
from gitstate.format.secrets import Redactor, excerpt
from gitstate.format.version import MAX_FANOUT
from gitstate.store import pins
from gitstate.store.documents import Collection, Revision
from gitstate.store.proposals import FOLDER
from gitstate.values import canonical, pointer

__all__ = ["Hit", "Progress", "ScanReport", "SecretFound", "hits_in", "scan", "tips_of"]

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many files and messages were looked at, and of how many."""

_AT_ONCE = 50_000  # objects whose ids are asked for at once
_JSON = ".json"
_STEP = 500  # so many objects are looked into between two looks at the bar


@dataclass(frozen=True)
class SecretFound:
    """A credential: where it stands, and since when and until when.

    ``document`` is whose file holds it, or whom the message is about, None of any other; ``path`` is the file, None:
    the message of a commit.
    ``line`` and, in a JSON file, ``pointer`` say where in it, as it is in ``last``. ``first`` brought it; ``last`` is
    the last one that has it, the head if ``is_there``: of a file as of the message of any commit that is not rewritten.
    ``excerpt`` shows no more than how it begins.
    """

    kind: str
    excerpt: str
    document: str | None
    path: str | None
    line: int | None
    pointer: str
    first: Revision
    last: Revision
    is_there: bool


@dataclass(frozen=True)
class ScanReport:
    """What a look through a history saw: how many revisions and files, and which credentials.

    ``unreadable`` are the ids of what is missing or damaged; `gitstate verify` tells more.
    """

    revisions: int
    files: int
    found: tuple[SecretFound, ...]
    unreadable: tuple[ObjectId, ...] = ()


class Hit(NamedTuple):
    """A credential in one file: its kind, what it is and how it begins, and where it stands."""

    kind: str
    digest: bytes
    excerpt: str
    line: int | None
    pointer: str


@dataclass
class _Trace:
    """Where a credential was in one file, or in messages, as a walk from new to old comes by."""

    hit: Hit
    newest: ObjectId
    oldest: ObjectId
    is_gone: bool  # whether the newest commit that is about it removed it
    holders: set[ObjectId] = field(default_factory=set)


def tips_of(engine: Engine, collections: Iterable[Collection], head: ObjectId, *, everything: bool) -> list[ObjectId]:
    """Return the commits that a store keeps: the head, where pins, proposals and our own refs stand; or all refs."""
    below = [OURS, BRANCHES + FOLDER, *(pins.folder(collection) for collection in collections)]
    found = (engine.ref(ref) for prefix in (["refs/"] if everything else below) for ref in engine.refs(prefix))
    return list(dict.fromkeys([head, *(commit_id for commit_id in found if commit_id is not None)]))


def scan(
    engine: Engine,
    collections: Sequence[Collection],
    redactor: Redactor,
    tips: Sequence[ObjectId],
    without: Sequence[ObjectId] = (),
    *,
    only: ObjectId | None = None,
    progress: Progress = lambda _done, _total: None,
) -> ScanReport:
    """Look for credentials in what some commits have in their history and others have not.

    Args:
        engine: Reads the objects.
        collections: Whose documents are named.
        redactor: Says what is a credential.
        tips: The commits; the first one is the head.
        without: Those whose history is not looked at.
        only: Look at the files and the message of this commit alone, which the first tip is.
        progress: Is told how far it is.
    """
    look = _Look(engine, redactor, progress)
    if only is None:
        look.at(_kinds(engine.arrivals(tips, without)))
    else:
        look.at(_standing(engine, only))
    traces = _traces(engine.arrivals(tips, without), look.hits) if look.hits else {}
    told = [_told(engine, collections, tips[0], *each) for each in traces.items()]
    told.sort(key=lambda each: (each.document or "", each.path or "", each.kind, each.first.time))
    return ScanReport(look.commits, look.files, tuple(told), tuple(look.unreadable))


_Wanted: TypeAlias = dict[ObjectId, tuple[Kind, str]]


def _kinds(arrivals: Iterable[Arrival]) -> _Wanted:
    """Return each object that is looked at, its kind and, of a file, one of its paths."""
    wanted: _Wanted = {}
    for arrival in arrivals:
        wanted[arrival.commit] = "commit", ""
        for path, after, _ in arrival.files:
            if after is not None:
                wanted.setdefault(after, ("blob", path))
    return wanted


def _standing(engine: Engine, commit_id: ObjectId) -> _Wanted:
    """Return what :func:`_kinds` does of what stands at one commit."""
    wanted: _Wanted = {commit_id: ("commit", "")}
    for path, entry in trees.files(engine, graph.root(engine, commit_id)):
        if not entry.is_submodule:
            wanted[entry.id] = "blob", path
    return wanted


class _Look:
    """Looks into objects; keeps what it found, by object."""

    def __init__(self, engine: Engine, redactor: Redactor, progress: Progress) -> None:
        self.hits: dict[ObjectId, list[Hit]] = {}
        self.commits = self.files = 0
        self.unreadable: list[ObjectId] = []
        self._engine = engine
        self._redactor = redactor
        self._progress = progress

    def at(self, wanted: _Wanted) -> None:
        """Look into some objects."""
        self.commits = sum(kind == "commit" for kind, _ in wanted.values())
        self.files = len(wanted) - self.commits
        for done, (object_id, body) in enumerate(self._bodies(wanted)):
            kind, path = wanted[object_id]
            hits = list(hits_in(self._redactor, path, body if kind == "blob" else body.partition(b"\n\n")[2]))
            if hits:
                self.hits[object_id] = hits
            if done % _STEP == 0:
                self._progress(done, len(wanted))
        self._progress(len(wanted), len(wanted))

    def _bodies(self, wanted: _Wanted) -> Iterator[tuple[ObjectId, bytes]]:
        """Yield objects and their bodies, read in bulk as far as that goes."""
        ids = list(wanted)
        for start in range(0, len(ids), _AT_ONCE):
            several = ids[start : start + _AT_ONCE]
            given: set[ObjectId] = set()
            for item in self._engine.bulk(several):
                given.add(item.id)
                yield item.id, item.body
            for object_id in several:
                if object_id not in given:
                    try:
                        yield object_id, self._engine.read(object_id, wanted[object_id][0])
                    except CorruptionError:
                        self.unreadable.append(object_id)


def hits_in(redactor: Redactor, path: str, data: bytes) -> Iterator[Hit]:
    """Yield the credentials in a file, of which the path says what it is, or in a text that has no path."""
    value: object = None
    if path.endswith(_JSON):
        with suppress(CorruptionError):
            value = canonical.loads(data)
    if isinstance(value, dict | list):
        for kind, place, secret in redactor.find_in_value(value):
            yield _hit(kind, secret, _line_of(data, secret), pointer.to_text(place))
        return
    line, at = 1, 0
    for kind, start, end in redactor.find(data):
        secret = data[start:end].decode("utf-8", "replace")
        line, at = line + data.count(b"\n", at, start), start
        yield _hit(kind, secret, line, "")


def _hit(kind: str, secret: str, line: int | None, place: str) -> Hit:
    digest = sha256(secret.encode("utf-8", "surrogatepass")).digest()
    return Hit(kind, digest, excerpt(kind, secret), line, place)


def _line_of(data: bytes, secret: str) -> int | None:
    """Return the line of a JSON file in which a text stands."""
    written = json.dumps(secret.partition("\n")[0], ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    place = data.find(written)
    return None if place < 0 else data.count(b"\n", 0, place) + 1


_Key: TypeAlias = tuple[str | None, str, bytes]  # the path, None of a message; the kind, and what the credential is


def _traces(arrivals: Iterable[Arrival], hits: dict[ObjectId, list[Hit]]) -> dict[_Key, _Trace]:
    """Follow credentials through a history, from new to old."""
    traces: dict[_Key, _Trace] = {}
    for commit_id, files in arrivals:
        for hit in hits.get(commit_id, ()):
            _note(traces, (None, hit.kind, hit.digest), hit, commit_id)
        for path, after, before in files:
            for hit in hits.get(after or "", ()):
                _note(traces, (path, hit.kind, hit.digest), hit, commit_id).holders.add(after or "")
            for object_id in before:
                for hit in hits.get(object_id, ()):
                    key = path, hit.kind, hit.digest
                    if key not in traces:
                        traces[key] = _Trace(hit, commit_id, commit_id, is_gone=True)
                    traces[key].holders.add(object_id)
    return traces


def _note(traces: dict[_Key, _Trace], key: _Key, hit: Hit, commit_id: ObjectId) -> _Trace:
    trace = traces.setdefault(key, _Trace(hit, commit_id, commit_id, is_gone=False))
    trace.oldest = commit_id
    return trace


def _told(engine: Engine, collections: Sequence[Collection], head: ObjectId, key: _Key, trace: _Trace) -> SecretFound:
    path, kind, _ = key
    first = _revision(engine, trace.oldest)
    last = trace.newest
    entry = None if path is None else trees.find(engine, graph.root(engine, head), path)
    is_there = path is None or (entry is not None and entry.id in trace.holders)
    if path is not None and is_there:
        last = head
    elif trace.is_gone:
        parents = graph.read(engine, last).parents
        last = parents[0] if parents else last
    hit = trace.hit
    return SecretFound(
        kind,
        hit.excerpt,
        _named(collections, first) if path is None else _document(collections, path),
        path,
        hit.line,
        hit.pointer,
        first,
        _revision(engine, last),
        is_there,
    )


def _revision(engine: Engine, commit_id: ObjectId) -> Revision:
    return Revision.of(commit_id, graph.read(engine, commit_id))


def _named(collections: Iterable[Collection], revision: Revision) -> str | None:
    """Return the document that a message is about."""
    named = (revision.message.get(collection.trailer) for collection in collections)
    return next(filter(None, named), None)


def _document(collections: Iterable[Collection], path: str) -> str | None:
    """Return the document whose file has a path, whatever the fanout was; of a name that was cut, the name."""
    top, *parts = path.split("/")
    if not any(collection.name == top for collection in collections):
        return None
    for levels in reversed(range(min(len(parts) - 1, MAX_FANOUT + 1))):  # of any fanout: the fan tells, if there is one
        name = parts[levels]
        document = names.decode(name)
        if names.is_cut(name) or (document and names.fan(document, levels) == "/".join(parts[:levels])):
            return document or name
    return None
