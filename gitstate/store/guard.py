"""Checks what is about to become part of a store, and no more than that: what is staged, and what was pushed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gitstate.engine import beyond, graph, trees
from gitstate.engine.check import Problem, Severity
from gitstate.engine.gitindex import is_safe
from gitstate.engine.objects import HEX_ID, NO_ID, ObjectId
from gitstate.engine.onlooker import Onlooker, is_conflicted, staged
from gitstate.errors import CorruptionError, GitStateError, InvalidInputError, UnsupportedError
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.makers import reason_of
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.verify import DocumentCheck, Validate

if TYPE_CHECKING:
    from gitstate.engine.base import Engine, Source
    from gitstate.format.secrets import Redactor

__all__ = ["Fault", "Judged", "judge_range", "judge_staged", "judge_updates"]

_ANEW = "make the commit anew without it: `git commit --amend`, or `git rebase -i` for an older one"


@dataclass(frozen=True)
class Fault(Problem):
    """What is wrong with something that is new.

    ``file`` is where, ``pointer`` the place in its value, empty where that cannot be told. There is no ``revision`` and
    no ``author`` of what is staged.
    """

    file: str = ""
    pointer: str = ""


@dataclass(frozen=True)
class Judged:
    """What was looked at, how many revisions and how many documents that are new in them, and what is wrong."""

    revisions: int
    documents: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is to be refused."""
        return not any(problem.severity == "error" for problem in self.problems)


def judge_staged(
    onlooker: Onlooker, collections: Sequence[Collection], validate: Validate, redactor: "Redactor | None" = None
) -> Judged:
    """Check what git's index would commit, where it differs from what is checked out.

    Where neither of them is a store's nothing is: a project may keep its state on another branch. Of what a redactor
    finds in files that are new there is a warning: they are a person's, and are not changed.

    Raises:
        UnsupportedError: There is no store on the branch either.
        CorruptionError: The index is damaged.
    """
    index = onlooker.index()
    root, source = staged(index, onlooker)
    judge = _Judge(onlooker, source, validate, redactor)
    head = onlooker.checked_out()
    before = None if head is None else graph.read(onlooker, head).tree
    if not judge.is_store(root) and not (before and judge.is_store(before)):
        branch = onlooker.branch()
        if branch is None or not judge.is_store(graph.read(onlooker, branch).tree):
            raise _no_store(onlooker)
    for path in is_conflicted(index):
        judge.say("merge", path, "", "the merge is not finished here", "decide, then `git add` it")
    judge.look(None, root, before, collections)
    return Judged(0, len(judge.seen), tuple(judge.problems))


def judge_range(
    onlooker: Onlooker,
    span: str,
    collections: Sequence[Collection],
    validate: Validate,
    redactor: "Redactor | None" = None,
) -> Judged:
    """Check each commit of a range, where it differs from its first parent.

    Args:
        onlooker: Where the commits are.
        span: ``A..B``: what B has in its history and A has not, everything where A is forty zeros, with which git says
            that there is nothing. Or the name of one commit.
        collections: The collections whose documents are checked.
        validate: Is asked about each document that can be read.
        redactor: Finds credentials, of which there is a warning.

    Raises:
        RevisionNotFoundError: A name is unknown.
        InvalidInputError: It is no range.
        UnsupportedError: None of the commits is of a store.
    """
    first, dots, last = span.partition("..")
    if not span or last.startswith(".") or ".." in last or span.startswith("-"):
        raise InvalidInputError(f"{span!r} is no range of commits", hint="write A..B, or the name of one commit")
    judge = _Judge(onlooker, onlooker, validate, redactor)
    if dots:
        known = [] if first == NO_ID else [onlooker.resolve(first or "HEAD")]
        commits = beyond.beyond(onlooker, onlooker.resolve(last or "HEAD"), known)
    else:
        commits = [onlooker.resolve(span)]
    judge.look_at_all(commits, collections)
    if commits and not judge.met_a_store:
        raise _no_store(onlooker)
    return judge.judged()


def judge_updates(
    onlooker: Onlooker,
    updates: Sequence[str],
    ref: str,
    collections: Sequence[Collection],
    validate: Validate,
    redactor: "Redactor | None" = None,
) -> Judged:
    """Check what a push brings, each commit as :func:`judge_range` does.

    Args:
        onlooker: Where the commits are.
        updates: Lines as git gives them to a pre-receive hook: where a ref stood, where it shall stand, its name.
        ref: The branch of the store. On it each commit must be of a store; elsewhere others are passed over.
        collections: The collections whose documents are checked.
        validate: Is asked about each document that can be read.
        redactor: Finds credentials, of which there is a warning.

    Raises:
        InvalidInputError: A line is not so.
        CorruptionError: A commit is missing or damaged.
    """
    judge = _Judge(onlooker, onlooker, validate, redactor)
    for old, new, name in map(_update, updates):
        head = None if new == NO_ID else onlooker.peel(new)
        if head is None:
            continue  # it goes, or is no commit
        known = onlooker.branch() if old == NO_ID else onlooker.peel(old)
        commits = beyond.beyond(onlooker, head, [] if known is None else [known])
        judge.look_at_all(commits, collections)
        if name == ref and not judge.is_store(graph.read(onlooker, head).tree):
            judge.say("format", FORMAT_FILE, head, "it is missing: this is no store", "push it to another branch")
    return judge.judged()


def _update(line: str) -> tuple[str, str, str]:
    words = line.rstrip("\n").split(" ", 2)
    if len(words) != 3 or not all(map(HEX_ID.fullmatch, words[:2])):
        raise InvalidInputError(
            f"{line[:200]!r} is no update of a ref", hint="git gives such lines to a pre-receive hook: OLD NEW REF"
        )
    return words[0], words[1], words[2]


def _no_store(onlooker: Onlooker) -> UnsupportedError:
    return UnsupportedError(
        f"{onlooker.identity} is a git branch, but no store: {FORMAT_FILE} is missing",
        hint="--branch names the branch that holds the state; where no state is kept any more: `gitstate hooks remove`",
    )


class _Judge(DocumentCheck):
    """Looks at what is new in some trees."""

    def __init__(self, onlooker: Onlooker, source: "Source", validate: Validate, redactor: "Redactor | None") -> None:
        self._documents = Reader(cast("Engine", onlooker)).over(source)  # of an engine, it only reads
        super().__init__(self._documents, validate)
        self.met_a_store = False
        self._revisions: set[ObjectId] = set()
        self._source = source
        self._redactor = redactor
        self._author = ""
        self._faulty: set[tuple[str, str]] = set()  # files at revisions of which something was said

    def judged(self) -> Judged:
        """Return what came of it."""
        return Judged(len(self._revisions), len(self.seen), tuple(self.problems))

    def is_store(self, root: ObjectId) -> bool:
        """Whether a root tree says that it is a store's, in whatever format."""
        return FORMAT_FILE in trees.read(self._source, root)

    def look_at_all(self, commits: Sequence[ObjectId], collections: Sequence[Collection]) -> None:
        """Check some commits, parents before their children."""
        for commit_id in commits:
            if commit_id in self._revisions:
                continue
            self._revisions.add(commit_id)
            commit = graph.read(self._source, commit_id)
            self._author = commit.author.name
            before = graph.read(self._source, commit.parents[0]).tree if commit.parents else None
            self.look(commit_id, commit.tree, before, collections)

    def look(
        self,
        revision: ObjectId | None,
        root: ObjectId,
        before: ObjectId | None,
        collections: Sequence[Collection],
    ) -> None:
        """Check what a root tree has and ``before`` has not. Two trees of no store are passed over."""
        was_store = before is not None and self.is_store(before)
        if not self.is_store(root):
            if was_store:
                what = "it is missing: this is no store any more"
                self.say(
                    "format", FORMAT_FILE, revision or "", what, "bring it back: `git restore --staged --worktree`"
                )
            return
        self.met_a_store = True
        self._check_files(revision or "", root, before, collections)
        self.look_into(revision or "", root, collections, before if was_store and self._can_be_read(before) else None)

    def _check_files(
        self, revision: str, root: ObjectId, before: ObjectId | None, collections: Sequence[Collection]
    ) -> None:
        tops = tuple(f"{collection.name}/" for collection in collections)
        for path, _, after in trees.diff(self._source, before, root):
            if after is None:
                continue
            if not is_safe(path):
                self.say("tree", path, revision, "no file can have this name", "rename it")
            elif path.startswith(tops) and not after.is_file:
                self.say("place", path, revision, "it is a link or a submodule, and no file", "put a file in its place")
            elif self._redactor is not None and after.is_file:
                self._look_for_secrets(self._redactor, revision, path, after.id)

    def _look_for_secrets(self, redactor: "Redactor", revision: str, path: str, blob: ObjectId) -> None:
        from gitstate.store.scanning import hits_in

        try:
            hit = next(hits_in(redactor, path, self._source.read(blob, "blob")), None)
        except CorruptionError:
            return  # the check of the documents names it
        if hit is not None:
            what = f"it holds a credential: {hit.kind}" + ("" if hit.line is None else f", in line {hit.line}")
            hint = _ANEW if revision else "take it out and `git add` it: what is pushed is public for ever"
            self._note("secret", path, revision, what, hint, "warning", pointer=hit.pointer)

    def _can_be_read(self, root: ObjectId | None) -> bool:
        try:
            return root is not None and self._documents.format(root) is not None
        except GitStateError:
            return False

    def say_unfit(self, folder: str, snapshot: Snapshot, error: CorruptionError) -> None:
        """See :meth:`DocumentCheck.say_unfit`."""
        reason = reason_of(error)
        path = reason.split(":")[0].split(" ")[0]
        layout = snapshot.collection.layout
        if layout.owns(path) or layout.attached(path):
            folder = f"{folder}/{path}"
        hint = _ANEW if snapshot.revision else "mend it, then `git add` it"
        self._note("document", folder, snapshot.revision, reason, hint, pointer=error.pointer)

    def say(
        self, kind: str, path: str, commit_id: ObjectId, what: str, hint: str = "", severity: Severity = "error"
    ) -> None:
        """See :meth:`DocumentCheck.say`."""
        self._note(kind, path, commit_id, what, hint, severity)

    def _note(
        self, kind: str, path: str, revision: str, what: str, hint: str, severity: Severity = "error", pointer: str = ""
    ) -> None:
        place = f"{path} {pointer}" if pointer else path
        place += f" at revision {revision[:12]} by {self._author}" if revision else ""
        if (path, revision) not in self._faulty or severity == "error":
            self._faulty.add((path, revision))
            author = self._author if revision else ""
            fault = Fault(
                kind, place, what, hint, severity, revision=revision, author=author, file=path, pointer=pointer
            )
            self.problems.append(fault)
