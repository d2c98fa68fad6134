"""Executions: one commit each. The record is in the trailers, prompt and output are files of that commit's tree."""

import math
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from gitstate import clock
from gitstate.backends.subjects import message_for
from gitstate.errors import InvalidInputError, JobNotFoundError, RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.documents import Collection, Draft, Revision, Snapshot
from gitstate.store.store import Store

__all__ = ["ID_BITS", "Execution", "attempts", "facts", "page", "payload_of"]

ID_BITS = 52
"""So large may the id of an execution be: exact in every language, also where all numbers are floats."""
_RECORD = (
    "id",
    "job_id",
    "sheet_num",
    "attempt_num",
    "prompt",
    "output",
    "exit_code",
    "duration_seconds",
    "executed_at",
)
_INTEGER = re.compile(r"-?[0-9]{1,1000}")


def _new_id() -> int:
    """Draw the id of an execution: 52 bits, not zero, the same on every clone and after a rewrite of history."""
    return secrets.randbelow(2**ID_BITS - 1) + 1


@dataclass(frozen=True)
class Execution:
    """One attempt at a sheet, to be recorded; :meth:`edit` is the write.

    ``executed_at`` (aware) is for an attempt that was made elsewhere, and before; None: when it is written.

    Raises:
        InvalidInputError: A number is out of range or no number, or a text is no text.
    """

    job_id: str
    sheet_num: int
    attempt_num: int
    prompt: str | None
    output: str | None
    exit_code: int | None
    duration_seconds: float | None
    id: int = field(default_factory=_new_id)
    executed_at: datetime | None = None

    def __post_init__(self) -> None:
        for name, number in (("sheet", self.sheet_num), ("attempt", self.attempt_num)):
            if not _is_integer(number) or number < 1:
                raise InvalidInputError(f"{name} {number!r} of job {self.job_id!r} is no number from 1 up")
        if self.exit_code is not None and not _is_integer(self.exit_code):
            raise InvalidInputError(f"the exit code {self.exit_code!r} of job {self.job_id!r} is no number")
        if self.duration_seconds is not None and not _is_duration(self.duration_seconds):
            raise InvalidInputError(
                f"the duration {self.duration_seconds!r} of job {self.job_id!r} is no number of seconds"
            )
        for name, text in (("prompt", self.prompt), ("output", self.output)):
            if text is not None and not isinstance(text, str):
                raise InvalidInputError(f"the {name} of an execution is a text, not {type(text).__name__}")

    def edit(self, current: Snapshot | None) -> Draft:
        """Draft the commit of this execution; JobNotFoundError when there is no job."""
        if current is None:
            raise JobNotFoundError(f"there is no job {self.job_id!r}", hint="save its state before its executions")
        outcome = "" if self.exit_code is None else f", exit {self.exit_code}"
        text = f"executed sheet {self.sheet_num}, attempt {self.attempt_num}{outcome}"
        payloads = {"prompt": _payload(self.prompt), "output": _payload(self.output)}
        value = current.content().value
        return Draft(
            message_for(self.job_id, Event.EXECUTION, text, value, trailers=self._trailers(payloads)),
            attachments={_path(self.sheet_num, name): content for name, content in payloads.items()},
        )

    def _trailers(self, payloads: Mapping[str, bytes | None]) -> tuple[tuple[str, str], ...]:
        prompt, output = payloads["prompt"], payloads["output"]
        duration = self.duration_seconds
        said = (
            (message.EXECUTION, str(self.id)),
            (message.SHEET, str(self.sheet_num)),
            (message.ATTEMPT, str(self.attempt_num)),
            (message.TIME, (self.executed_at or clock.now()).isoformat()),
            (message.EXIT_CODE, None if self.exit_code is None else str(self.exit_code)),
            (message.DURATION, None if duration is None else repr(float(duration))),
            (message.PROMPT_BYTES, None if prompt is None else str(len(prompt))),
            (message.OUTPUT_BYTES, None if output is None else str(len(output))),
        )
        return tuple((key, value) for key, value in said if value is not None)


def attempts(store: Store, collection: Collection, job_id: str) -> Iterator[tuple[str, Message]]:
    """Yield the revision and message of each execution in the present life of a job, newest first.

    A job that was deleted and brought back goes on with the life that it had then.
    """
    if store.load(collection, job_id) is None:
        return
    start: str | None = None
    births: set[str] = set()
    while True:
        try:
            revisions = store.history(collection, job_id, start)
        except RevisionNotFoundError:
            return
        birth: Revision | None = None
        for revision in revisions:
            told = revision.message
            if told.get(collection.trailer) == job_id and _integer(told, message.EXECUTION) is not None:
                yield revision.id, told
            elif _removed(store, collection, job_id, revision):
                if birth is None:  # the deletion that was taken back
                    continue
                break  # an earlier life of the job ended here
            birth = revision
        start = None if birth is None or birth.id in births else _brought_back_from(collection, job_id, birth)
        if birth is None or start is None:
            return
        births.add(birth.id)


def _removed(store: Store, collection: Collection, job_id: str, revision: Revision) -> bool:
    if revision.removed is None:
        return store.snapshot(collection, job_id, revision.id) is None
    return revision.removed


def _brought_back_from(collection: Collection, job_id: str, birth: Revision) -> str | None:
    """Return the revision as which a commit brought a deleted job back, or the deletion that it took back."""
    told = birth.message
    ours = told.get(collection.trailer) == job_id and told.get(message.EVENT) in (Event.RESTORED, Event.UNDONE)
    return (told.get(message.SOURCE) or told.get(message.UNDOES)) if ours else None


def facts(job_id: str, told: Message) -> dict[str, Any]:
    """Return what the commit of an execution says of it: the record without prompt and output."""
    return {
        "id": _integer(told, message.EXECUTION),
        "job_id": job_id,
        "sheet_num": _integer(told, message.SHEET),
        "attempt_num": _integer(told, message.ATTEMPT),
        "exit_code": _integer(told, message.EXIT_CODE),
        "duration_seconds": _seconds(told),
        "executed_at": _time(told),
    }


def payload_of(snapshot: Snapshot | None, told: Message) -> dict[str, Any]:
    """Return prompt and output of an execution, read from the tree of its commit."""
    sheet_num = _integer(told, message.SHEET)
    return {
        "prompt": _text(snapshot, sheet_num, "prompt", told.get(message.PROMPT_BYTES)),
        "output": _text(snapshot, sheet_num, "output", told.get(message.OUTPUT_BYTES)),
    }


def _record(store: Store, collection: Collection, job_id: str, revision: str, told: Message) -> dict[str, Any]:
    """Return the record of one execution, its keys in the order in which consumers know them."""
    said = facts(job_id, told) | payload_of(store.snapshot(collection, job_id, revision), told)
    return {name: said[name] for name in _RECORD}


def page(
    store: Store, collection: Collection, job_id: str, sheet_num: int | None, limit: int | None
) -> list[dict[str, Any]]:
    """Return the records of the newest ``limit`` executions of a job, or of one of its sheets."""
    wanted = (
        (revision, told)
        for revision, told in attempts(store, collection, job_id)
        if sheet_num is None or _integer(told, message.SHEET) == sheet_num
    )
    return [_record(store, collection, job_id, *found) for found in islice(wanted, limit)]


def _is_integer(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_duration(seconds: Any) -> bool:
    return (_is_integer(seconds) or isinstance(seconds, float)) and math.isfinite(seconds)


def _path(sheet_num: int, name: str) -> str:
    return f"executions/{sheet_num:04d}/{name}.txt"


def _payload(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _text(snapshot: Snapshot | None, sheet_num: int | None, name: str, size: str | None) -> str | None:
    if snapshot is None or sheet_num is None or size is None:
        return None
    content = snapshot.read(_path(sheet_num, name))
    if content is None:
        return None
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # not as we wrote it
        return content.decode("utf-8", "replace")


# Anybody can write trailers with plain git, so what cannot be read is None and spoils nothing else.


def _integer(told: Message, key: str) -> int | None:
    text = told.get(key)
    return int(text) if text is not None and _INTEGER.fullmatch(text) else None


def _seconds(told: Message) -> float | None:
    try:
        seconds = float(told.get(message.DURATION) or "nan")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _time(told: Message) -> str | None:
    text = told.get(message.TIME)
    try:
        return None if text is None else datetime.fromisoformat(text).isoformat()
    except ValueError:
        return None
