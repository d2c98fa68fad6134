"""The whole interface on a store: each job is a document of the collection ``jobs``.

A call that writes takes its picture of the caller's state before its first await, and hands the store a function of
the job as it will be then; the store's writer runs it. So marks and saves from tasks, threads and processes survive.

Here and in what builds on it, methods import what not every program needs: pydantic and the models above all, since a
command that reads a history needs none (docs/design/0008-start-up.md).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gitstate import clock
from gitstate.backends.answering import Answering
from gitstate.backends.base import StateBackend
from gitstate.backends.checked import Checked
from gitstate.backends.collection import JOBS
from gitstate.backends.executions import ExecutionRecord, Recording
from gitstate.backends.joining import JOB_JOINING
from gitstate.backends.lineage import Lineages, Picture
from gitstate.backends.payloads import Payloads
from gitstate.backends.redaction import KEPT, Redaction
from gitstate.backends.rules import JOB_RULES, job_rules
from gitstate.backends.states import changed, laid_to_rest, updated_at
from gitstate.backends.statuses import next_sheet
from gitstate.backends.subjects import message_for
from gitstate.backends.summaries import summarize
from gitstate.engine.base import NotAtHandError
from gitstate.engine.garbage import uncollected
from gitstate.errors import CorruptionError, InvalidInputError, StateCorruptionError
from gitstate.format.layout import Layout
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Edit, Revision, Snapshot
from gitstate.store.store import Store

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gitstate.backends.models import CheckpointState
    from gitstate.backends.statuses import SheetStatus
    from gitstate.format.codec import Codec
    from gitstate.format.secrets import Redactor
    from gitstate.store.answers import Answers
    from gitstate.store.reshard import Resharded
    from gitstate.store.verify import Report
    from gitstate.values.merge import Rule

__all__ = ["DocumentBackend", "check_job_id", "check_limit"]

_log = logging.getLogger("gitstate")

T = TypeVar("T")


class DocumentBackend(StateBackend):
    """What :class:`GitStateBackend` and :class:`InMemoryStateBackend` share. Use one of these."""

    def __init__(
        self,
        store: Store,
        *,
        model: type[BaseModel] | None = None,
        fallback: tuple[str, str] | None = None,
        rules: Mapping[str, Rule] | None = None,
        redact: bool | Redactor = True,
    ) -> None:
        self._redaction = Redaction(redact)
        self._store = store
        self._made = codec = cache(partial(_codec, model))
        if model is not None:
            codec()  # so that one that is no model is refused here
        self._jobs = replace(
            JOBS,
            layout=Layout(shape=lambda: codec().shape),
            summarize=summarize,
            rules=JOB_RULES if rules is None else job_rules(rules),
            joining=JOB_JOINING,
            check=lambda value: codec().decode(value),
        )
        store.serve(self._jobs)
        store.redact_with(self._redaction.message)
        self._payloads = Payloads(store, self._jobs)
        self._answering = Answering()
        store.when_answered(self._answering.deliver)
        self._lineages = Lineages()
        self._checked = Checked()
        self._fallback = fallback

    @property
    def _codec(self) -> Codec[Any]:
        return self._made()

    @property
    def store(self) -> Store:
        """The store that holds the jobs."""
        return self._store

    # Reading

    async def load(self, job_id: str, *, at: str | None = None) -> CheckpointState | None:
        """Return the state of a job, or None when there is none.

        Args:
            job_id: The job.
            at: The state as it stood there: the first digits of a commit id, ``~1`` for the job's revision before its
                last one, a pin, a time such as ``2 hours ago``, or ``@deleted`` (docs/reference/revisions.md).

        Raises:
            StateCorruptionError: What is stored is no state; it names the job, the file, the revision and the reason.
            RevisionNotFoundError: No revision answers to ``at``, or several do.
        """
        job_id = check_job_id(job_id)
        known = self._store.at_hand(self._jobs, job_id) if at is None else None
        if known is not None:
            with suppress(StateCorruptionError):  # who made it so is looked up in a thread
                return self._read(known, based=True)
        return await asyncio.to_thread(self._load, job_id, at)

    def _load(self, job_id: str, at: str | None) -> CheckpointState | None:
        snapshot = self._store.load(self._jobs, job_id, at)
        # An older state has no base: to save it means to go back to it, not to merge it into what came after. It is
        # shown as it was then, whatever has become of its process.
        return None if snapshot is None else self._state(snapshot, based=at is None)

    def _state(self, snapshot: Snapshot, *, based: bool = True) -> CheckpointState:
        """Return the state that a snapshot holds. Raises StateCorruptionError, which says who made it none."""
        try:
            return self._read(snapshot, based=based)
        except StateCorruptionError as error:
            raise self._store.attributed(snapshot, error) from error

    def _read(self, snapshot: Snapshot, *, based: bool) -> CheckpointState:
        content = snapshot.content(as_text=True)
        try:
            state = self._codec.decode_text(content.text)
        except CorruptionError as error:
            raise snapshot.unfit(error) from error
        self._checked.add(snapshot.value_id)
        if not based:
            return cast("CheckpointState", state)
        state = laid_to_rest(state)  # first: one that is frozen comes back as a copy
        picture = Picture(self._store.identity, snapshot.document, content)
        picture.stand(snapshot.value_id, snapshot.revision)
        self._lineages.put(state, picture)
        return cast("CheckpointState", state)

    async def list_jobs(self, *, at: str | None = None) -> list[CheckpointState]:
        """Return the state of every job, now or ``at`` a revision of the store, newest ``updated_at`` first.

        A job that cannot be read is reported in the log and left out.
        """
        return await asyncio.to_thread(self._list, at)

    def _list(self, at: str | None) -> list[CheckpointState]:
        states: list[CheckpointState] = []
        with uncollected():
            for snapshot in self._store.documents(self._jobs, at, whole=True):
                try:
                    states.append(self._state(snapshot, based=at is None))
                except StateCorruptionError as error:
                    _log.warning("left out of the list: %s", error)
        return sorted(states, key=updated_at, reverse=True)

    async def get_next_sheet(self, job_id: str) -> int | None:
        """Return the number of the next sheet to process, or None when the job is complete.

        A job without state begins at 1, or, when the backend was given ``artifacts``, after the last sheet whose
        output is found there.
        """
        state = await self.load(job_id)
        if state is not None:
            own = getattr(state, "get_next_sheet", None)
            return own() if callable(own) else next_sheet(state)
        if self._fallback is None:
            return 1
        last = await self.infer_state_from_artifacts(job_id, *self._fallback)
        return 1 if last is None else last + 1

    async def verify(self, *, repair: bool = False) -> Report:
        """Check everything that the store holds, and every state against the model; see :meth:`Store.verify`."""

        def validate(snapshot: Snapshot) -> None:
            self._read(snapshot, based=False)

        return await asyncio.to_thread(self._store.verify, self._jobs, validate=validate, repair=repair)

    async def reshard(self, levels: int, *, dry_run: bool = False) -> Resharded | None:
        """Move all jobs under so many levels of folders, in one commit; see :meth:`Store.reshard`.

        Returns:
            What was done, or would be; None when there was nothing to do.
        """
        return await asyncio.to_thread(self._store.reshard, levels, self._jobs, dry_run=dry_run)

    # Writing

    async def save(
        self, state: CheckpointState, *, execution: ExecutionRecord | Mapping[str, Any] | None = None
    ) -> None:
        """Make the state durable, as one commit; ``state.updated_at`` becomes now.

        When the job moved since this object was loaded or last saved, both changes are merged field by field; the
        object itself does not take over what others changed, a load shows it. A state that was not loaded from here
        replaces the job, and history keeps what was there.

        Args:
            state: The state.
            execution: An attempt at a sheet that is recorded by the same commit, as :meth:`record_execution` would: an
                :class:`ExecutionRecord`, whose ``id`` is that of the record, or a mapping with its fields. Save it
                once: each ``id`` is one execution.

        Raises:
            ConflictError: Somebody else changed the same things; ``conflicts`` lists them. The job is as it was, and
                the refused state is kept whole: ``rescue`` names it (:meth:`RescuingBackend.rescues`).
            StaleError: The job was purged from the store since the state was loaded or saved last.
            InvalidInputError: The state is no instance of the backend's model, or holds what JSON cannot keep, or the
                execution is none; nothing was written.
        """
        from gitstate.backends import saves
        from gitstate.backends.refusals import Refusal

        if not isinstance(state, self._codec.model):
            raise InvalidInputError(f"a {self._codec.model.__name__} is saved here, not a {type(state).__name__}")
        recording = None if execution is None else Recording(ExecutionRecord.of(execution), self._redaction)
        stamped = changed(state, {"updated_at": clock.now()})
        redactor = self._redaction.redactor
        known_as = self._lineages.encoded(state, redactor)
        beside = [] if recording is None else recording.short_texts
        encoded = self._codec.encode_changed(stamped, known_as, redactor, keep=KEPT, beside=beside)
        if recording is not None:
            recording.are_clean = encoded.are_clean
        job_id = check_job_id(encoded.value.get("job_id"))
        known = self._lineages.get(state, self._store.identity, job_id)
        previous = None if known is None else known.alive()
        content = Content(value=encoded.value)
        picture = Picture(self._store.identity, job_id, content, encoded=encoded, previous=previous)
        self._lineages.put(state, picture)
        refusal = Refusal(partial(self._store.rescues, self._jobs), self._codec, picture, recording)
        purged = partial(self._was_purged, job_id)
        edit = saves.edit_for(self._codec, self._checked, self._redaction, picture, recording, purged)
        future = self._store.submit(self._jobs, job_id, refusal.watch(edit), refusal.keep)
        future.add_done_callback(lambda _: picture.drop())  # without effect if it was published
        await self._answering.wait(future)

    def _was_purged(self, job_id: str, revision: str) -> bool:
        from gitstate.store.purge import was_purged

        return was_purged(self._store.reader, job_id, revision)

    async def mark_sheet_status(
        self, job_id: str, sheet_num: int, status: SheetStatus, error_message: str | None = None
    ) -> None:
        """Change the status of one sheet, with what follows from it for the sheet and the job.

        Raises:
            JobNotFoundError: There is no such job.
            InvalidInputError: The number is out of range, or the status unknown.
        """
        from gitstate.backends import marks

        job_id = check_job_id(job_id)
        wanted = marks.sheet_status(status)
        said = None if error_message is None else self._redaction.text(error_message)
        edit = marks.edit_for(self._codec, self._checked, job_id, sheet_num, wanted, said)
        await self._submit(job_id, edit)

    async def delete(self, job_id: str) -> bool:
        """Delete a job's state; history keeps it. True if there was one."""
        job_id = check_job_id(job_id)

        def edit(current: Snapshot | None) -> Draft | None:
            if current is None:
                return None
            return Draft(message_for(job_id, Event.DELETED, "deleted", None), delete=True)

        return await self._submit(job_id, edit) is not None

    async def recover(
        self,
        job_id: str,
        workspace: str,
        artifact_pattern: str,
        total_sheets: int,
        job_name: str | None = None,
    ) -> CheckpointState:
        """Build a state out of the output files that are found, commit it and return it; gaps stay pending.

        Where no file is found, or no workspace, all sheets are pending.

        Raises:
            ExistsError: The job has state.
            InvalidInputError: The pattern is not relative, a sheet above ``total_sheets`` was found, or the backend's
                model asks for more than artifacts tell.
        """
        from gitstate.backends import recovery

        job_id = check_job_id(job_id)
        found = await asyncio.to_thread(recovery.find_sheets, self._store, workspace, artifact_pattern)
        state = recovery.state_from(job_id, job_name or job_id, total_sheets, found)
        value = self._redaction.value(self._codec, _encode(_codec(None), state))
        try:
            self._codec.decode(value)
        except CorruptionError as error:
            raise InvalidInputError(
                f"artifacts do not tell all that a {self._codec.model.__name__} needs: {error.message}",
                hint="give that field a default, or save a state of your own",
            ) from error
        await self._submit(job_id, recovery.edit_for(job_id, value, len(found), artifact_pattern))
        return cast("CheckpointState", await self.load(job_id))

    # Artifacts

    async def infer_state_from_artifacts(self, job_id: str, workspace: str, artifact_pattern: str) -> int | None:
        """Return the highest sheet number among the output files that match, or None.

        A relative workspace is the current folder's if it exists there, else the one in the store's worktree, else the
        one in its committed tree.
        """
        from gitstate.backends import recovery

        job_id = check_job_id(job_id)
        found = await asyncio.to_thread(recovery.find_sheets, self._store, workspace, artifact_pattern)
        return max(found, default=None)

    # Life

    async def flush(self) -> None:
        """Wait until everything is saved and the worktree shows it."""
        await asyncio.to_thread(self._store.flush)

    async def close(self) -> None:
        """Finish what was begun, refresh the worktree, let go of everything. Idempotent."""
        await asyncio.to_thread(self._store.close)

    async def _answer(self, question: Callable[[Answers], T]) -> T:
        """Return the answer to a question: at once if all that it takes is at hand, which is quicker than the way to a
        thread and back; else from a thread.
        """
        try:
            return question(self._store.answers)
        except NotAtHandError:
            return await asyncio.to_thread(question, self._store)

    async def _submit(self, job_id: str, edit: Edit) -> Revision | None:
        return await self._answering.wait(self._store.submit(self._jobs, job_id, edit))


def check_job_id(job_id: Any) -> str:
    """Return a job id as a plain text. Raises InvalidInputError: it is none, or empty."""
    if not isinstance(job_id, str) or not job_id:
        raise InvalidInputError(f"a job id is a text that is not empty, not {job_id!r}")
    return str.__str__(job_id)  # a plain text also of a member of somebody's enum


def check_limit(limit: int | None) -> int | None:
    """Return a limit that can be counted to; a larger one is none."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidInputError(f"a limit is a number from 0 up, not {limit!r}")
    return None if limit is None or limit > sys.maxsize else limit


def _codec(model: type[BaseModel] | None) -> Codec[Any]:
    from gitstate.backends.models import CheckpointState
    from gitstate.format.codec import Codec

    return Codec(CheckpointState if model is None else model)


def _encode(codec: Codec[Any], state: BaseModel) -> dict[str, Any]:
    value: dict[str, Any] = codec.encode(state)  # type: ignore[assignment]  # a model is encoded as an object
    return value
