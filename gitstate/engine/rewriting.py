"""Writes a history anew: each commit with its tree, message and parents changed by rules, all else as it was.

The same history and the same rules give the same commits, wherever and whenever that is done: a commit depends on what
it is made of and on what it follows, and on nothing else. What comes before the first change keeps its ids.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from gitstate.engine.ancestry import Ancestry
from gitstate.engine.base import Engine
from gitstate.engine.objects import GitObject, Kind, ObjectId
from gitstate.engine.retree import Sink, TreeRewriter
from gitstate.errors import CorruptionError

__all__ = ["Rewriting", "Rules", "Told", "bodies"]

Progress = Callable[[int, int], None]

_AT_ONCE = 1000  # commits whose trees are read in bulk
_MENTION = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{7,40}(?![0-9a-zA-Z])")
_PREFIX = 7  # digits of an id that somebody mentions, at least
_SIGNER = re.compile(rb"(author|committer) (.*?)( ?)<(.*)>( -?\d+ [+-]\d+)", re.DOTALL)
_SIGNATURES = (b"gpgsig", b"gpgsig-sha256", b"mergetag")  # they are of what was signed, not of what it becomes


class _Met(NamedTuple):
    """A commit that is to be looked at."""

    id: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]


class Told(NamedTuple):
    """The message that a commit gets, and whether it goes if nothing is left of its change."""

    message: bytes
    may_go: bool


@dataclass(frozen=True)
class Rules:
    """What a history shall become.

    Args:
        paths: Gives what is to be removed from a root tree: the paths, parted by ``/``. It is told what it gave for the
            first parent's tree, None if there is none, for a tree of which nobody can tell.
        message: Gives the message of a commit that is told whether it changed anything when it was made.
        erase: Gives a part of a header without what is to be erased; None: nothing is, in headers and files.
        file: Gives the content of a file without what is to be erased.
        is_named: Whether the name of a file holds what is to be erased.
    """

    paths: Callable[[ObjectId, Sequence[str] | None], Sequence[str]]
    message: Callable[[bytes, bool], Told]
    erase: Callable[[bytes], bytes] | None = None
    file: Callable[[bytes], bytes] | None = None
    is_named: Callable[[bytes], bool] = lambda _: False


@dataclass(slots=True)
class _Known:
    """A commit that was looked at: its trees before and after, what was removed, and its place in the old history."""

    parents: tuple[ObjectId, ...]
    was: ObjectId
    now: ObjectId
    paths: Sequence[str]
    number: int
    chain: int
    stands: ObjectId  # itself; of one that was dropped, the commit that stands for it


@dataclass
class Rewriting:
    """A rewriting at work. Give it the tips of histories, the most important one first.

    Args:
        engine: Reads what is to be rewritten.
        rules: What it becomes.
        sink: Takes each new object; None: nobody wants them.
        progress: Is told now and then how many commits are done, of how many.
    """

    engine: Engine
    rules: Rules
    sink: Sink | None = None
    progress: Progress | None = None
    commits: dict[ObjectId, ObjectId] = field(default_factory=dict)
    """By each commit that is not what it was the one that it became; one that was dropped became one before it."""
    dropped: set[ObjectId] = field(default_factory=set)
    oldest: list[ObjectId] = field(default_factory=list)
    """The commits that are not what they were, although all before them are."""

    def __post_init__(self) -> None:
        self._known: dict[ObjectId, _Known] = {}
        self._strangers: set[ObjectId] = set()  # commits of other histories
        self._ends: list[ObjectId] = []  # of the chains of first parents
        self._by_prefix: defaultdict[bytes, list[ObjectId]] = defaultdict(list)
        self.trees = TreeRewriter(self.engine, self.rules.file, self.rules.is_named)

    def __contains__(self, commit_id: ObjectId) -> bool:
        """Whether a commit was looked at."""
        return commit_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def new(self, commit_id: ObjectId) -> ObjectId:
        """Return what a commit became."""
        return self.commits.get(commit_id, commit_id)

    def root(self, tip: ObjectId) -> tuple[ObjectId, bytes]:
        """Return the id and the body of the root tree of what a tip became."""
        now = self._known[tip].now
        return now, self.trees.body(now)

    def meets(self, tip: ObjectId) -> bool:
        """Whether a history has a commit in common with those that were looked at."""
        if tip in self._known:
            return True
        met = list(self._new(tip, self._strangers))
        if any(parent in self._known for _, _, parents in met for parent in parents):
            return True
        self._strangers.update(commit_id for commit_id, _, _ in met)
        return False

    def add(self, tip: ObjectId, *, keep: bool = True) -> ObjectId:
        """Rewrite the history of a tip, as far as that is not done; return what it became.

        Args:
            tip: The commit.
            keep: Whether the new objects are wanted.

        Raises:
            CorruptionError: An object is missing or damaged.
        """
        self.trees.sink = self.sink if keep else None
        todo = list(self._new(tip))
        for start in range(0, len(todo), _AT_ONCE):
            self._chunk(todo[start : start + _AT_ONCE])
            if self.progress is not None:
                self.progress(min(start + _AT_ONCE, len(todo)), len(todo))
        return self.new(tip)

    def _new(self, tip: ObjectId, but: Collection[ObjectId] = ()) -> Iterator[_Met]:
        """Yield the commits of a history that were not looked at, parents before their children.

        ``but`` are commits that are passed over, with all before them. The order is told by the history alone: what a
        first parent brings comes first.
        """
        ancestry = Ancestry(self.engine, tip)
        met: dict[ObjectId, _Met] = {}
        placed: set[ObjectId] = set()
        stack = [tip]
        while stack:
            commit_id = stack[-1]
            if commit_id in placed or commit_id in self._known or commit_id in but:
                stack.pop()
                continue
            if commit_id not in met:
                sketch = ancestry.get(commit_id)
                met[commit_id] = _Met(commit_id, sketch.tree, sketch.parents)
            parents = met[commit_id].parents
            done = (placed, self._known, but)
            missing = [parent for parent in parents if not any(parent in each for each in done)]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            placed.add(commit_id)
            yield met.pop(commit_id)

    def _chunk(self, todo: Sequence[_Met]) -> None:
        read = dict(bodies(self.engine, [commit_id for commit_id, _, _ in todo], "commit"))
        self.trees.read_ahead([tree for _, tree, _ in todo])
        paths: dict[ObjectId, Sequence[str]] = {}
        for commit_id, tree, parents in todo:
            before = self._known[parents[0]].paths if parents and parents[0] in self._known else None
            before = paths.get(parents[0], before) if parents else None
            paths[commit_id] = self.rules.paths(tree, before)
        roots = self.trees.rewrite([(tree, tuple(paths[commit_id])) for commit_id, tree, _ in todo])
        for (commit_id, tree, parents), now in zip(todo, roots, strict=True):
            self._place(commit_id, _Known(parents, tree, now, paths[commit_id], len(self._known), 0, commit_id))
            self._finish(commit_id, read[commit_id])
        self.trees.end_chunk()

    def _place(self, commit_id: ObjectId, known: _Known) -> None:
        """Put a commit on the chain of its first parent, if that is the end of one, or else on a new one."""
        parent = self._known.get(known.parents[0]) if known.parents else None
        if parent is not None and self._ends[parent.chain] == known.parents[0]:
            known.chain = parent.chain
            self._ends[known.chain] = commit_id
        else:
            known.chain = len(self._ends)
            self._ends.append(commit_id)
        self._known[commit_id] = known

    def _finish(self, commit_id: ObjectId, body: bytes) -> None:
        known = self._known[commit_id]
        header, gap, message = body.partition(b"\n\n")
        kept = self._kept_parents(known)
        parents = tuple(dict.fromkeys(map(self.new, kept))) if kept != known.parents or self._moved(kept) else kept
        first = self._known[known.parents[0]] if known.parents else None
        told = self.rules.message(message, first is None or first.was != known.was)
        if told.may_go and len(parents) == 1 and self._known[kept[0]].now == known.now:
            known.stands = self._known[kept[0]].stands
            self._became(commit_id, parents[0])
            self.dropped.add(commit_id)
            return
        words = self._with_new_ids(told.message, commit_id) if self.commits else told.message
        erased = self.rules.erase is not None and self._erased(header) != header
        if (known.was, known.parents, message) == (known.now, parents, words) and not erased:
            return
        made = self._header(header, known.now, parents) + gap + words
        if self.trees.sink is not None:
            self.trees.sink("commit", made)
        self._became(commit_id, GitObject("commit", made).id)

    def _became(self, commit_id: ObjectId, new: ObjectId) -> None:
        if not self._moved(self._known[commit_id].parents):
            self.oldest.append(commit_id)
        self.commits[commit_id] = new
        self._by_prefix[commit_id[:_PREFIX].encode()].append(commit_id)

    def _moved(self, commits: Iterable[ObjectId]) -> bool:
        return any(commit_id in self.commits for commit_id in commits)

    def _kept_parents(self, known: _Known) -> tuple[ObjectId, ...]:
        """Return the parents of a commit, but for those whose line is gone: what stands for it is in another line."""
        parents = list(known.parents)
        for parent in [each for each in parents if each in self.dropped] if len(parents) > 1 else ():
            stands = self._known[parent].stands
            if any(self._is_before(stands, self._known[other].stands) for other in parents if other != parent):
                parents.remove(parent)
        return tuple(parents)

    def _is_before(self, one: ObjectId, other: ObjectId) -> bool:
        """Whether a commit is in the history of another one, or is that."""
        wanted = self._known[one]
        pending, seen = [other], set[ObjectId]()
        while pending:
            commit_id = pending.pop()
            known = self._known[commit_id]
            if commit_id in seen or known.number < wanted.number:
                continue
            if known.chain == wanted.chain:
                return True  # a chain is a line of first parents, and this is further on in it
            seen.add(commit_id)
            pending += known.parents
        return False

    def _with_new_ids(self, message: bytes, commit_id: ObjectId) -> bytes:
        """Return a message that mentions what commits of its history became, also by the first digits of an id."""

        def new(found: re.Match[bytes]) -> bytes:
            word = found[0]
            meant = [each for each in self._by_prefix.get(word[:_PREFIX], ()) if each.encode().startswith(word)]
            meant = [each for each in meant if each != commit_id and self._is_before(each, commit_id)]
            return self.commits[meant[0]].encode()[: len(word)] if len(meant) == 1 else word

        return _MENTION.sub(new, message)

    def _header(self, header: bytes, tree: ObjectId, parents: Iterable[ObjectId]) -> bytes:
        lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
        goes = False
        for line in self._erased(header).split(b"\n"):
            word = line.partition(b" ")[0]
            goes = (goes and line.startswith(b" ")) or word in (b"tree", b"parent", *_SIGNATURES)
            if not goes:
                lines.append(line)
        return b"\n".join(lines)

    def _erased(self, header: bytes) -> bytes:
        """Return a header without what is to be erased from names, addresses and what others add."""
        erase = self.rules.erase
        if erase is None:
            return header
        lines = []
        for line in header.split(b"\n"):
            word, space, value = line.partition(b" ")
            signer = _SIGNER.fullmatch(line)
            if signer is not None:
                told = (signer[1], b" ", erase(signer[2]), signer[3], b"<", erase(signer[4]), b">", signer[5])
                lines.append(b"".join(told))
            else:
                lines.append(line if word in (b"tree", b"parent", *_SIGNATURES) else word + space + erase(value))
        return b"\n".join(lines)


def bodies(engine: Engine, ids: Iterable[ObjectId], kind: Kind) -> Iterator[tuple[ObjectId, bytes]]:
    """Yield the bodies of objects, each once, read in bulk as far as that can be done.

    Raises:
        CorruptionError: One is missing, damaged or of another kind.
    """
    wanted = iter(dict.fromkeys(ids))
    while several := list(islice(wanted, _AT_ONCE)):
        given = set()
        for item in engine.bulk(several):
            if item.kind != kind:
                raise CorruptionError(f"{item.id} is a {item.kind} and no {kind}")
            given.add(item.id)
            yield item.id, item.body
        for object_id in several:
            if object_id not in given:
                yield object_id, engine.read(object_id, kind)
