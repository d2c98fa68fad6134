"""What was edited in the folder of a store, as data; and how edits are chosen, committed and dropped."""

import logging
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitstate.backends.hand_edits import HandEdit, Plan
from gitstate.backends.review import JobDiff
from gitstate.backends.sides import JobSide
from gitstate.errors import BusyError, ConflictError, GitStateError, InvalidInputError, NotFoundError
from gitstate.format.codec import Codec
from gitstate.format.message import Event
from gitstate.store.documents import Collection, Draft, Revision, Snapshot
from gitstate.store.edited import DocumentEdits, FolderState
from gitstate.store.edits import Edit
from gitstate.store.store import Store
from gitstate.values.merge import ABSENT

__all__ = ["CommittedEdit", "DiscardedEdits", "EditedFile", "EditedJob", "FolderEdits", "commit", "describe", "discard"]

_log = logging.getLogger("gitstate")


@dataclass(frozen=True)
class EditedFile:
    """A file that was edited: its path below the store's folder, what was done to it (``added``, ``changed`` or
    ``deleted``), and whether something is staged of it.
    """

    path: str
    what: str
    staged: bool

    @classmethod
    def of(cls, edit: Edit) -> "EditedFile":
        """Return what is told of an edit."""
        gone = edit.found is None and not edit.odd
        return cls(edit.path, "deleted" if gone else "added" if edit.base is None else "changed", edit.staged)


@dataclass(frozen=True)
class EditedJob:
    """A job of which files were edited.

    Args:
        job_id: The job.
        event: What a commit would be: ``edited``, ``created`` or ``deleted``.
        files: The files.
        diff: What the edit changes; None where that cannot be told.
        problem: Why it cannot be committed as it stands; empty if it can.
        moved: Whether the job was changed since the edit began, so that both would be merged.
        conflicts: The places where that fails.
        unknown: The places that the model does not know: they would be committed, and mean nothing to it.
    """

    job_id: str
    event: str
    files: tuple[EditedFile, ...]
    diff: JobDiff | None
    problem: str = ""
    moved: bool = False
    conflicts: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderEdits:
    """How the folder of a store stands beside the head.

    Args:
        path: The folder; None: the store shows no files.
        behind: By how many revisions the folder lags behind the head; None: nobody knows.
        pending: Why it could not be brought there, or be looked at; empty if it could.
        jobs: The jobs that were edited.
        files: Other files that were edited.
        problem: Why these cannot be committed; empty if they can.
        others: Files that git does not know and that are not ours; of a whole folder with a slash.
    """

    path: Path | None
    behind: int | None = 0
    pending: str = ""
    jobs: tuple[EditedJob, ...] = ()
    files: tuple[EditedFile, ...] = ()
    problem: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommittedEdit:
    """An edit that became a checkpoint.

    ``job_id`` is None for the files of no job; ``revision`` is None where the head had everything already; ``merged``
    says whether it was merged with what others changed since the edit began.
    """

    job_id: str | None
    event: str
    revision: str | None
    files: tuple[EditedFile, ...]
    merged: bool = False


@dataclass(frozen=True)
class DiscardedEdits:
    """Edits that were dropped, and the folder in which what they held is kept; None: there was nothing to keep.

    ``left`` are the paths of those that were edited once more in that moment, and stay.
    """

    files: tuple[EditedFile, ...]
    kept: Path | None
    left: tuple[str, ...] = ()


def describe(store: Store, jobs: Collection, codec: Codec[Any], *, volatile: bool) -> FolderEdits:
    """Return what was edited in the folder of a store. Raises as :meth:`Store.edits` does."""
    state = store.folder.find(jobs)
    told = [
        _told(HandEdit(codec, store, jobs, each), store.load(jobs, each.document), volatile=volatile)
        for each in state.documents
    ]
    problem = ""
    try:
        store.folder.commit_files(state.files, dry_run=True)
    except (InvalidInputError, ConflictError) as error:
        problem = error.message
    files = tuple(map(EditedFile.of, state.files))
    return FolderEdits(state.path, state.behind, state.pending, tuple(told), files, problem, state.others)


def _told(edit: HandEdit, current: Snapshot | None, *, volatile: bool) -> EditedJob:
    job_id = edit.edited.document
    found = EditedJob(job_id, Event.EDITED.value, tuple(map(EditedFile.of, edit.edited.edits)), None)
    found = replace(found, moved=bool(edit.moved(current)))
    try:
        values = edit.values(current)
    except InvalidInputError as error:
        return replace(found, problem=error.message)
    sides = (JobSide(job_id, None, values.base is not None), JobSide(job_id, None, values.value is not None))
    if not values.unreadable:
        before, after = (ABSENT if value is None else value for value in (values.base, values.value))
        found = replace(found, diff=JobDiff.of(sides, before, after, volatile=volatile))
    try:
        plan = edit.plan(current)
        return replace(found, event=plan.event.value, unknown=edit.unknown(values))
    except InvalidInputError as error:
        return replace(found, problem=error.message)
    except ConflictError as error:
        pointers = tuple(conflict.pointer for conflict in error.conflicts)
        return replace(found, problem=error.message, conflicts=pointers)


def commit(
    store: Store, jobs: Collection, codec: Codec[Any], names: Iterable[str] | None, note: str
) -> list[CommittedEdit]:
    """Commit edits; see :meth:`gitstate.backends.editing.EditingBackend.commit_edits`."""
    with store.folder.alone():
        return _commit(store, jobs, codec, names, note)


def _commit(
    store: Store, jobs: Collection, codec: Codec[Any], names: Iterable[str] | None, note: str
) -> list[CommittedEdit]:
    state = _chosen(store.folder.find(jobs), names)
    edits = [HandEdit(codec, store, jobs, each, note) for each in state.documents]
    for edit in edits:
        current = store.load(jobs, edit.edited.document)
        edit.plan(current)
        unknown = edit.unknown(edit.values(current)) if current is not None else ()
        if unknown:
            _log.warning("no state has %s: in job %r it means nothing", ", ".join(unknown), edit.edited.document)
    store.folder.commit_files(state.files, note, dry_run=True)
    pending = [(edit, *_submitted(store, jobs, edit)) for edit in edits]
    done: list[CommittedEdit] = []
    failed: list[GitStateError] = []
    for edit, future, plans in pending:
        try:
            revision = future.result()
        except GitStateError as error:  # the job moved on since it was looked at
            failed.append(error)
            continue
        done.append(_committed(edit.edited.document, plans[-1], revision, edit.edited.edits))
        _take(store, edit.edited.edits)
    if state.files and not failed:
        revision = store.folder.commit_files(state.files, note)
        done.append(_committed(None, Plan(Event.EDITED, None), revision, state.files))
        _take(store, state.files)
    if failed:
        for each in done:
            _log.warning("committed before that: job %r, as %s", each.job_id, each.revision)
        raise failed[0]
    return done


def _take(store: Store, edits: Iterable[Edit]) -> None:
    """Bring files that were committed to the head; what was staged, and is not what stood there, is kept aside."""
    edits = list(edits)
    kept = store.folder.put_aside(replace(edit, data=None) for edit in edits)
    if kept is not None:
        _log.warning("what was staged is not what stood in the files; it is kept in %s", kept)
    store.folder.take(edits)


def _submitted(store: Store, jobs: Collection, edit: HandEdit) -> "tuple[Future[Revision | None], list[Plan]]":
    plans: list[Plan] = []  # the last one counts: a write may be made again

    def write(current: Snapshot | None) -> Draft | None:
        plans.append(edit.plan(current))
        return plans[-1].draft

    return store.submit(jobs, edit.edited.document, write), plans


def _committed(job_id: str | None, plan: Plan, revision: Revision | None, edits: Iterable[Edit]) -> CommittedEdit:
    files = tuple(map(EditedFile.of, edits))
    return CommittedEdit(job_id, plan.event.value, None if revision is None else revision.id, files, plan.merged)


def discard(store: Store, jobs: Collection, names: Iterable[str] | None, *, dry_run: bool = False) -> DiscardedEdits:
    """Drop edits; see :meth:`gitstate.backends.editing.EditingBackend.discard_edits`."""
    with store.folder.alone():
        return _discard(store, jobs, names, dry_run=dry_run)


def _discard(store: Store, jobs: Collection, names: Iterable[str] | None, *, dry_run: bool) -> DiscardedEdits:
    state = _chosen(store.folder.find(jobs), names)
    edits = state.edits
    for edit in edits:
        if edit.odd:
            raise InvalidInputError(
                f"{edit.path} is neither a file nor a link, or cannot be read; nothing was discarded",
                hint="move it away, or make it readable",
            )
    if not edits or dry_run:
        return DiscardedEdits(tuple(map(EditedFile.of, edits)), None)
    kept = store.folder.put_aside(edits)
    store.folder.take(edits)
    standing = {edit.path for edit in store.folder.find(jobs).edits}
    left = tuple(edit.path for edit in edits if edit.path in standing)
    return DiscardedEdits(tuple(map(EditedFile.of, edits)), kept, left)


def _chosen(state: FolderState, names: Iterable[str] | None) -> FolderState:
    """Return the edits that are named, all if none are.

    Raises:
        NotFoundError: Nothing was edited there.
        InvalidInputError: A file is not ours, a name is none, or the store shows no files.
        BusyError: Nobody can tell now.
    """
    if state.path is None:
        raise InvalidInputError(
            "this store shows no files, so nothing can be edited there",
            hint="edit in a clone that is not bare, and push",
        )
    if state.pending:
        raise BusyError(
            f"the folder cannot be dealt with now: {state.pending}; nothing was changed",
            hint="end what git is doing there, then try again",
        )
    if names is None:
        return state
    documents: dict[str, DocumentEdits] = {}
    paths: set[str] = set()
    for name in names:
        found = [each for each in state.documents if each.document == name]
        chosen = {edit.path for each in found for edit in each.edits} or _below(state, name)
        if not chosen:
            _refuse(state, name)
        paths |= chosen
    for each in state.documents:
        edits = tuple(edit for edit in each.edits if edit.path in paths)
        if edits:
            documents[each.folder] = replace(each, edits=edits)
    files = tuple(edit for edit in state.files if edit.path in paths)
    return replace(state, documents=tuple(documents.values()), files=files)


def _below(state: FolderState, name: str) -> set[str]:
    """Return the paths of the edits at a path or below it."""
    path = _plain(name)
    return {edit.path for edit in state.edits if edit.path == path or edit.path.startswith(f"{path}/")}


def _plain(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"an edit is named by a job or a path, not {name!r}")
    return name.removeprefix("./").rstrip("/")


def _refuse(state: FolderState, name: str) -> None:
    path = _plain(name)
    for other in state.others:
        if (
            path == other.rstrip("/")
            or other.startswith(f"{path}/")
            or (other.endswith("/") and path.startswith(other))
        ):
            raise InvalidInputError(
                f"{path} is not a file of the store; it was left alone",
                hint="`git add` makes it one; what is not one is yours to move or remove",
            )
    raise NotFoundError(f"nothing was edited at {name!r}", hint="`gitstate status` lists what was")
