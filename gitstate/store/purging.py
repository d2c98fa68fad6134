"""Purges documents and values from all of a store's history: a plan first, and then just that.

The new history is written beside the old one, its objects become durable, and the branch moves once. What comes after
that, from the other refs to the removal of the old objects from the disk, is finished by the next purge, or by `verify
--repair`, should this one be killed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitstate.engine import files, folding, linked, purging, refs, removal, roots, upkeep
from gitstate.engine.git import GitEngine
from gitstate.engine.locks import alone
from gitstate.engine.objects import FILE, Commit, GitObject, ObjectId, TreeEntry, parse_commit, parse_tree
from gitstate.engine.packfile import PackFile
from gitstate.engine.purging import RefMove
from gitstate.engine.repository import BRANCHES
from gitstate.engine.rewriting import Rewriting
from gitstate.errors import (
    BusyError,
    ConflictError,
    CorruptionError,
    GitStateError,
    InvalidInputError,
    JobNotFoundError,
    NotFoundError,
    StaleError,
    UnsupportedError,
)
from gitstate.format import message, names
from gitstate.format.message import Event, Message
from gitstate.format.purged import PURGED_FILE, Purge, Purged
from gitstate.store.purge import purged_at
from gitstate.store.purge_plan import HeldBy, Progress, PurgePlan, PurgeReport, Wanted, token
from gitstate.store.purge_refs import PurgedRefs
from gitstate.store.purge_rules import PurgeRules
from gitstate.store.worktree import Worktree
from gitstate.words import counted

if TYPE_CHECKING:
    from gitstate.engine.base import Engine
    from gitstate.engine.repository import Repository
    from gitstate.engine.retree import Sink
    from gitstate.store.reader import Reader
    from gitstate.store.views import Views

__all__ = ["Purging"]

_log = logging.getLogger("gitstate")

_PATIENCE = 60.0  # seconds to wait for another process's upkeep
_PRIVATE = ("judged", "judged.new", "index-*.db*")  # what tells of commits, and is found again
_LISTED = 5  # so many edited files are named in an error
_FORKED = "it was forked from what goes, and has what it took over: purge it as well"
_LOOKING, _REMOVING = "looking at commits", "removing old objects"


@dataclass(frozen=True)
class _Work:
    """What was worked out: the plan, and what is to be done with refs, the branch first."""

    plan: PurgePlan
    moves: tuple[RefMove, ...]
    lost: tuple[ObjectId, ...]  # commits to which nothing leads even now, and that hold what is purged


class Purging:
    """Purges from one store. Safe to use from any thread.

    Args:
        engine: The store's.
        reader: Reads it.
        repository: Where it is; None: in memory.
        views: The folders that show it.
    """

    def __init__(self, engine: Engine, reader: Reader, repository: Repository | None, views: Views) -> None:
        if repository is None or not isinstance(engine, GitEngine):
            raise UnsupportedError(
                "nothing is purged from a store in memory", hint="it is gone with its process, with all that it held"
            )
        self._engine = engine
        self._reader = reader
        self._repository = repository
        self._views = views

    def plan(self, wanted: Wanted, progress: Progress | None = None) -> PurgePlan:
        """Return what a purge would do; nothing is written, but one that was cut short is finished first.

        Raises:
            JobNotFoundError: One of the documents is nowhere in the history.
            NotFoundError: Nothing of what is to be erased is anywhere.
            InvalidInputError: It stands in the name of a file or a ref, or where a mark would make a document none.
            ConflictError: A folder that shows the store has edits, or a merge that was not ended.
            CorruptionError: An object is missing or damaged.
        """
        self.finish()
        work = self._work(wanted, None, progress)
        with files.storage_errors(self._repository.common_dir):
            self._refuse_edits(work.moves)
        return work.plan

    def purge(self, wanted: Wanted, confirmed: str, progress: Progress | None = None) -> PurgeReport:
        """Do what a plan says, if nothing moved since it was made.

        Raises:
            StaleError: The token is that of another plan, or a branch or tag moved since; nothing was written.
            BusyError: Another process writes, or works on packs, for too long. If the branch had moved by then, the
                rest is to be done: the message says so.
            StorageError: The disk refused; as above.
            As :meth:`plan` does.
        """
        with self._alone() as held:
            self._finish_last(held)
            with folding.workshop(self._repository, "upkeep", self._engine.lock) as shop:
                pack = PackFile(shop)
                try:
                    work = self._work(wanted, pack.add, progress)
                    if work.plan.token != confirmed:
                        raise StaleError(
                            "something moved since the plan was made, or the token is that of another one; nothing was "
                            "written",
                            hint="look at a new plan; its token is another one",
                        )
                    made = pack.finish() if len(pack) else None
                finally:
                    pack.close()
                with files.storage_errors(self._repository.common_dir), self._engine.lock():
                    self._refuse_edits(work.moves)
                    purging.begin(self._repository, work.moves, made, self._engine.signature())
            removed, stayed = self._finish(work.moves, held, wanted, work.lost, progress)
        return PurgeReport(work.plan, removed, tuple(stayed))

    def finish(self) -> bool:
        """Finish a purge that was cut short; return whether there was one. Raises as :meth:`purge` does."""
        if not purging.is_pending(self._repository):
            return False
        with self._alone() as held:
            return self._finish_last(held)

    def _finish_last(self, held: int) -> bool:
        with self._engine.lock():
            moves = purging.pending(self._repository)
        if moves:
            self._finish(moves, held)
            _log.warning("a purge of %s that had been cut short is done now", self._repository.common_dir)
        return bool(moves)

    # The plan

    def _work(self, wanted: Wanted, sink: Sink | None, progress: Progress | None) -> _Work:
        with files.storage_errors(self._repository.common_dir):
            head = self._reader.head()
            told = None if progress is None else lambda done, total: progress(_LOOKING, done, total)
            rules = PurgeRules(self._reader, wanted)
            rewriting = Rewriting(self._engine, rules.rules(), sink, told)
            new = rewriting.add(head)
            self._refuse_named(rewriting)
            rules.refuse_unreadable(head, rewriting.trees)
            found = PurgedRefs(self._engine, self._repository, wanted, rewriting)
            found.look()
            self._refuse_named(rewriting)
            documents = rules.purged(rewriting.trees)
            tip = self._recorded(head, new, rewriting, wanted, documents)
            moves = (RefMove(self._repository.ref, head, tip), *found.moves)
            plan = PurgePlan(
                token="",
                head=head,
                new_head=tip,
                commits=len(rewriting),
                rewritten=len(rewriting.commits) - len(rewriting.dropped),
                dropped=len(rewriting.dropped),
                oldest=tuple(sorted(rewriting.oldest)),
                moved=tuple(move.ref for move in moves if move.after is not None and move.before != move.after),
                deleted=tuple(move.ref for move in moves if move.after is None),
                remotes=found.remotes,
            )
            is_guest, lost = upkeep.is_guest(self._repository), roots.lost(self._repository)
            is_found = bool(plan.oldest or found.moves)
            tips = self._lost_tips(lost, wanted, rewriting) if is_guest or not is_found else ()
            documents = rules.purged(rewriting.trees)
            self._refuse_nothing(wanted, documents, found=is_found or bool(tips) or self._is_hidden(lost, wanted))
        forked = [HeldBy(f"job {fork}", _FORKED) for fork in sorted(rules.forks)]
        plan = replace(
            plan,
            token=token(moves, documents),
            jobs=tuple(documents),
            files=dict(sorted(rewriting.trees.changed.items())),
            held=(*forked, *found.held),
            unreachable=0 if is_guest else len(lost),
        )
        return _Work(plan, moves, tips)

    def _recorded(
        self, head: ObjectId, new: ObjectId, rewriting: Rewriting, wanted: Wanted, documents: Sequence[str]
    ) -> ObjectId:
        """Return the commit that follows the rewritten ones and says what was purged.

        Who makes it, and when, is told by the one that it follows: so it is the same on every clone.
        """
        if not rewriting.oldest:
            return new
        last, eraser = parse_commit(self._engine.read(head, "commit")), wanted.eraser
        known = purged_at(self._reader.source, last.tree)
        entry = Purge.of(rewriting.oldest, documents, values=eraser is not None)
        if entry in known.entries:
            return new  # what came back by another way
        content = GitObject("blob", known.united(Purged((entry,))).to_bytes())
        _, body = rewriting.root(head)
        tree = parse_tree(body).with_entries({PURGED_FILE: TreeEntry(FILE, content.id)}).to_object()
        who = last.committer
        if eraser is not None:
            who = replace(who, name=eraser.replace(who.name), email=eraser.replace(who.email))
        parts = [counted(len(documents), "job")] if documents else []
        what = " and ".join([*parts, *(["a value"] if eraser is not None else [])])
        told = Message(
            f"purged {what or 'what others had purged'}",
            "The commits before this one were written anew.",
            ((message.EVENT, Event.PURGED.value),),
        )
        commit = Commit(tree.id, (new,), who, who, told.to_bytes()).to_object()
        for item in (content, tree, commit) if rewriting.sink is not None else ():
            rewriting.sink(item.kind, item.body)  # type: ignore[misc]  # it was asked for
        return commit.id

    def _refuse_named(self, rewriting: Rewriting) -> None:
        named = rewriting.trees.named
        if named:
            raise InvalidInputError(
                f"what is to be purged stands in the names of files or folders, {len(named)} in all, where no mark can "
                "stand",
                hint="if it is a part of a job's id, purge that job; else rename these files first",
            )

    def _refuse_nothing(self, wanted: Wanted, documents: Sequence[str], *, found: bool) -> None:
        missing = [each for each in wanted.documents if each not in documents]
        if missing and not (found and not documents):
            raise JobNotFoundError(
                f"no commit of the store has anything of {', '.join(map(repr, missing))}",
                hint="`gitstate list` and `gitstate list --deleted` show which jobs there are and were",
            )
        if not found:
            raise NotFoundError(
                "what is to be purged is nowhere in the store",
                hint="it is looked for as text and as JSON escapes it, not in Base64 or compressed",
            )

    def _lost_tips(self, lost: set[bytes], wanted: Wanted, rewriting: Rewriting) -> tuple[ObjectId, ...]:
        """Return the commits to which nothing leads that have a document which goes."""
        tips = []
        for key in sorted(lost) if wanted.documents else ():
            commit_id = key.hex()
            with suppress(CorruptionError):  # it is no commit, or not whole
                if rewriting.add(commit_id, keep=False) != commit_id:
                    tips.append(commit_id)
        return tuple(tips)

    def _is_hidden(self, lost: set[bytes], wanted: Wanted) -> bool:
        """Whether an object to which nothing leads holds what is to be erased."""
        return bool(lost) and wanted.eraser is not None and removal.holds(self._repository, lost, wanted.eraser.message)

    # What is done once the branch has moved

    def _finish(
        self,
        moves: Sequence[RefMove],
        held: int,
        wanted: Wanted | None = None,
        lost: Sequence[ObjectId] = (),
        progress: Progress | None = None,
    ) -> tuple[int, list[str]]:
        """Do all that is to be done once the branch has moved; return how many objects went, and which refs stayed."""
        try:
            return self._clear_away(moves, held, wanted, lost, progress)
        except GitStateError as error:
            error.message = f"the store is purged, and the old commits are not all cleared away: {error.message}"
            error.hint = "`gitstate verify --repair` does the rest, and so does the next purge"
            raise

    def _clear_away(
        self,
        moves: Sequence[RefMove],
        held: int,
        wanted: Wanted | None,
        lost: Sequence[ObjectId],
        progress: Progress | None,
    ) -> tuple[int, list[str]]:
        repository, engine = self._repository, self._engine
        with files.storage_errors(repository.common_dir):
            with engine.lock():
                stayed = purging.finish_refs(repository, moves, engine.signature())
            self._forget()
            with self._shown(moves) as views:
                for view in views:
                    pending = view.refresh().pending
                    if pending:
                        raise BusyError(f"{view.path} does not show them: {pending}")
                with engine.lock():
                    purging.clear(repository, moves, engine.signature(), _PRIVATE)
                for view in views:
                    view.forget_past()
            if wanted is not None:
                with engine.lock():
                    purging.clear_indexes(repository, map(names.encode, wanted.documents))
                self._clear_discarded(wanted)
            if progress is not None:
                progress(_REMOVING, 0, 1)
            erased = None if wanted is None or wanted.eraser is None else wanted.eraser.message
            was = [*lost, *(each.before for each in moves if each.before is not None)]
            going = removal.gone(repository, was, erased)
            removal.remove(repository, going, engine.lock, keep_open=held)
            self._forget()
            purging.done(repository)
        return len(going.ids), stayed

    def _forget(self) -> None:
        self._engine.forget()
        self._reader.contents.forget()

    def _clear_discarded(self, wanted: Wanted) -> None:
        """Take what is purged out of the files that were put aside when edits were discarded."""
        top = self._repository.private / "discarded"
        folders = tuple(f"{folder}/" for folder in PurgeRules(self._reader, wanted).folders())
        for place, _, found in os.walk(top):
            for name in found:
                path = os.path.join(place, name)
                inner = os.path.relpath(path, top).partition("/")[2]
                data = files.read(path)
                if inner.startswith(folders):
                    os.unlink(path)
                elif wanted.eraser is not None and (kept := wanted.eraser.file(data)) != data:
                    files.overwrite(path, kept, durable=True)

    # The folders that show the branches

    @contextmanager
    def _shown(self, moves: Sequence[RefMove]) -> Iterator[list[Worktree]]:
        """Give the views of all branches that are moved."""
        engines: list[GitEngine] = []
        views = [view for view in self._views.each() if view.is_shown]
        try:
            for ref in (move.ref for move in moves[1:] if move.after is not None):
                if not ref.startswith(BRANCHES) or refs.checked_out(self._repository, ref) is None:
                    continue
                repository = replace(self._repository, branch=ref.removeprefix(BRANCHES))
                engines.append(engine := GitEngine(repository))
                if repository.worktree is not None and refs.read_head(repository) == ref:
                    views.append(Worktree(repository, engine))
                views += [Worktree(each, engine) for each in linked.elsewhere(repository)]
            yield views
        finally:
            for engine in engines:
                engine.close()

    def _refuse_edits(self, moves: Sequence[RefMove]) -> None:
        with self._shown(moves) as views:
            for view in views:
                unfinished = roots.unfinished(view.git_dir)
                if unfinished is not None:
                    raise ConflictError(
                        f"something that git began in {view.path} is not ended ({unfinished}); nothing was written",
                        hint="`git status` there tells what, and how to end it",
                    )
                pending = view.refresh().pending
                found = view.edits((), lambda _: False)
                if pending or found.pending:
                    raise ConflictError(f"{view.path} cannot be looked at: {pending or found.pending}")
                if found.edits:
                    listed = ", ".join(edit.path for edit in found.edits[:_LISTED])
                    more = f" and {len(found.edits) - _LISTED} more" if len(found.edits) > _LISTED else ""
                    raise ConflictError(
                        f"files in {view.path} were edited and not committed: {listed}{more}; nothing was written",
                        hint="commit or discard these edits first: `gitstate status` shows them",
                    )

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Keep all others who work on packs out."""
        private = self._repository.private
        with alone(private / "upkeep", _PATIENCE) as held, alone(private / "fold", _PATIENCE) as other:
            if held < 0 or other < 0:
                raise BusyError(
                    f"another process does upkeep for more than {_PATIENCE:g} s; nothing was written",
                    hint="try again later",
                )
            yield held
