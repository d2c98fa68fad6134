"""Executions: one commit each, that of a save or one of their own.

The record is in the trailers, prompt and output are files of that commit's tree.
"""

import math
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from gitstate import clock
from gitstate.backends.lives import lives
from gitstate.backends.redaction import Redaction
from gitstate.backends.subjects import message_for
from gitstate.errors import InvalidInputError, JobNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.answers import Answers
from gitstate.store.documents import Collection, Draft, Edit, Revision, Snapshot
from gitstate.store.store import Store
from gitstate.store.trails import Said

__all__ = [
    "ID_BITS",
    "RECORD",
    "ExecutionRecord",
    "Recorded",
    "Recording",
    "Written",
    "edit_for",
    "folder_of",
    "ids",
    "integer",
    "numbers",
    "recorded",
    "recorded_by",
]

ID_BITS = 52
"""So large may the id of an execution be: exact in every language, also where all numbers are floats."""
RECORD = (
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
"""The keys of a record, in the order in which consumers know them."""
_LARGE = 10**18  # no sheet, attempt or exit code is that large
_SHORT = 1 << 16  # characters that are looked at in no time
_MET = 4096  # values of trailers that are kept, as they were read
_INTEGER = re.compile(r"-?[0-9]{1,1000}")


def _new_id() -> int:
    """Draw the id of an execution: 52 bits, not zero, the same on every clone and after a rewrite of history."""
    return secrets.randbelow(2**ID_BITS - 1) + 1


@dataclass(frozen=True)
class ExecutionRecord:
    """One attempt at a sheet, to be recorded once. ``id`` is the integer that its record has.

    Args:
        sheet_num: The sheet, from 1.
        attempt_num: Which attempt at the sheet, from 1.
        prompt: What was asked.
        output: What came of it.
        exit_code: The exit status of the attempt's process.
        duration_seconds: How long it took.
        executed_at: When it was made (aware), of one that was made elsewhere and before; None: when it is written.
        id: The integer; one of its own if none is given.

    Raises:
        InvalidInputError: A number is out of range or no number, a text is no text, or a time is none or naive.
    """

    sheet_num: int
    attempt_num: int
    prompt: str | None = None
    output: str | None = None
    exit_code: int | None = None
    duration_seconds: float | None = None
    executed_at: datetime | None = field(default=None, kw_only=True)
    id: int = field(default_factory=_new_id, kw_only=True)

    def __post_init__(self) -> None:
        for name, number in (("sheet", self.sheet_num), ("attempt", self.attempt_num)):
            if not _is_integer(number) or not 1 <= number < _LARGE:
                raise InvalidInputError(f"the {name} of an execution is a number from 1 up, not {number!r}")
        if self.exit_code is not None and not (_is_integer(self.exit_code) and abs(self.exit_code) < _LARGE):
            raise InvalidInputError(f"the exit code of an execution is an integer, not {self.exit_code!r}")
        if self.duration_seconds is not None and not _is_duration(self.duration_seconds):
            raise InvalidInputError(
                f"the duration of an execution is a number of seconds, not {self.duration_seconds!r}"
            )
        if not _is_integer(self.id) or not 1 <= self.id < 2**ID_BITS:
            raise InvalidInputError(f"the id of an execution is a number from 1 to 2**{ID_BITS} - 1, not {self.id!r}")
        if self.executed_at is not None and not _is_moment(self.executed_at):
            raise InvalidInputError(f"the time of an execution is an aware datetime, not {self.executed_at!r}")
        for name, text in (("prompt", self.prompt), ("output", self.output)):
            if text is not None and not isinstance(text, str):
                raise InvalidInputError(f"the {name} of an execution is a text, not {type(text).__name__}")

    @classmethod
    def of(cls, given: "ExecutionRecord | Mapping[str, Any]") -> "ExecutionRecord":
        """Return a record as it is, or made of a mapping with these keys.

        Raises:
            InvalidInputError: It is neither, a key is unknown, or sheet or attempt is missing.
        """
        if isinstance(given, ExecutionRecord):
            return given
        if not isinstance(given, Mapping):
            raise InvalidInputError(f"an execution is an ExecutionRecord or a mapping, not {type(given).__name__}")
        known = [each.name for each in fields(cls) if not each.kw_only]
        unknown = [key for key in given if key not in known]
        missing = [key for key in ("sheet_num", "attempt_num") if key not in given]
        if unknown or missing:
            wrong = f"has no {missing[0]}" if missing else f"has no place for {unknown[0]!r}"
            raise InvalidInputError(f"an execution {wrong}", hint=f"its keys are {', '.join(known)}")
        return cls(**given)

    @property
    def told(self) -> str:
        """The execution in a few words."""
        outcome = "" if self.exit_code is None else f", exit {self.exit_code}"
        return f"executed sheet {self.sheet_num}, attempt {self.attempt_num}{outcome}"


class Written(NamedTuple):
    """What the commit that records an execution has of it: trailers, and files, None for one that is not there."""

    trailers: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, bytes | None] = MappingProxyType({})


class Recording:
    """An execution that a commit is to record.

    Args:
        record: The execution.
        redaction: Replaces credentials in its prompt and its output.
    """

    def __init__(self, record: ExecutionRecord, redaction: Redaction) -> None:
        self.record = record
        self.are_clean = False
        """Whether somebody looked at the texts, and found no credential."""
        self._redaction = redaction

    @cached_property
    def _texts(self) -> list[bytes | None]:
        """The prompt and the output. They may be large: they are encoded once, for their sizes and their files."""
        texts = (self.record.prompt, self.record.output)
        return [None if text is None else text.encode("utf-8", "surrogatepass") for text in texts]

    @property
    def short_texts(self) -> list[bytes]:
        """The prompt and the output, if they are so short that to look at them holds nobody up."""
        is_short = len(self.record.prompt or "") + len(self.record.output or "") <= _SHORT
        return [text for text in self._texts if text] if is_short else []

    @cached_property
    def written(self) -> Written:
        """What the commit has of it."""
        record = self.record
        prompt, output = self._texts if self.are_clean else map(self._redaction.payload, self._texts)
        said = {
            message.EXECUTION: record.id,
            message.SHEET: record.sheet_num,
            message.ATTEMPT: record.attempt_num,
            message.TIME: (record.executed_at or clock.now()).astimezone(UTC).isoformat(),
            message.EXIT_CODE: record.exit_code,
            message.DURATION: None if record.duration_seconds is None else float(record.duration_seconds),
            message.PROMPT_BYTES: None if prompt is None else len(prompt),
            message.OUTPUT_BYTES: None if output is None else len(output),
        }
        trailers = tuple((key, str(value)) for key, value in said.items() if value is not None)
        files = {_path(record.sheet_num, "prompt"): prompt, _path(record.sheet_num, "output"): output}
        return Written(trailers, files)


def edit_for(job_id: str, record: ExecutionRecord, redaction: Redaction) -> Edit:
    """Return the write that records an execution of a job; it raises JobNotFoundError when there is no job."""
    recording = Recording(record, redaction)

    def edit(current: Snapshot | None) -> Draft:
        if current is None:
            raise JobNotFoundError(f"there is no job {job_id!r}", hint="save its state before its executions")
        trailers, attachments = recording.written
        told = message_for(job_id, Event.EXECUTION, record.told, current.content().value, trailers=trailers)
        return Draft(told, attachments=attachments)

    return edit


class Recorded(NamedTuple):
    """What a commit says of the execution that it records; None where that cannot be read.

    The fields are the columns of an export, in their order.
    """

    job_id: str
    id: int
    sheet_num: int | None
    attempt_num: int | None
    exit_code: int | None
    duration_seconds: float | None
    executed_at: str | None
    prompt_bytes: int | None
    output_bytes: int | None
    revision: str


_SAID = (
    message.EXECUTION,
    message.SHEET,
    message.ATTEMPT,
    message.EXIT_CODE,
    message.DURATION,
    message.TIME,
    message.PROMPT_BYTES,
    message.OUTPUT_BYTES,
)


def recorded_by(collection: Collection, job_id: str, revision: Revision) -> Recorded | None:
    """Return the execution of a job that a commit records, or None."""
    if revision.message.get(collection.trailer) != job_id:
        return None
    return _recorded(job_id, revision.message.first(_SAID), revision.id)


def _recorded(job_id: str, said: Said, revision: str) -> Recorded | None:
    number = integer(said.get(message.EXECUTION))
    if number is None:
        return None
    return Recorded(
        job_id,
        number,
        integer(said.get(message.SHEET)),
        integer(said.get(message.ATTEMPT)),
        integer(said.get(message.EXIT_CODE)),
        _seconds(said.get(message.DURATION)),
        _time(said.get(message.TIME)),
        integer(said.get(message.PROMPT_BYTES)),
        integer(said.get(message.OUTPUT_BYTES)),
        revision,
    )


def recorded(store: Store, collection: Collection, job_id: str) -> Iterator[tuple[Recorded, Revision]]:
    """Yield the executions in the present life of a job, newest first, with the commits that record them.

    A record that stands in several commits, such as one that was saved again or cherry-picked, is one execution.
    """
    met: set[int] = set()
    for life in lives(store, collection, job_id):
        found = store.history(collection, job_id, life.end, until=life.began.id, key=message.EXECUTION, attached=True)
        for revision in found:
            said = recorded_by(collection, job_id, revision)
            if said is not None and said.id not in met:
                met.add(said.id)
                yield said, revision


class Numbers(NamedTuple):
    """How many executions there are, how many of them exited with 0, and how long one took on average, if known."""

    total: int
    successful: int
    seconds: float | None


def numbers(store: Answers, collection: Collection, job_id: str) -> Numbers:
    """Return the numbers of the executions in the present life of a job."""
    met: dict[int, Said] = {}
    for life in lives(store, collection, job_id, None, message.EXECUTION, message.EXIT_CODE, message.DURATION):
        for said in life.said:
            number = integer(said[message.EXECUTION])
            if number is not None:
                met.setdefault(number, said)
    codes = [integer(said.get(message.EXIT_CODE)) for said in met.values()]
    seconds = [each for said in met.values() if (each := _seconds(said.get(message.DURATION))) is not None]
    return Numbers(len(met), codes.count(0), sum(seconds) / len(seconds) if seconds else None)


def ids(store: Answers, collection: Collection, job_id: str) -> frozenset[int]:
    """Return the ids of the executions in the present life of a job."""
    found = (
        integer(said[message.EXECUTION])
        for life in lives(store, collection, job_id, None, message.EXECUTION)
        for said in life.said
    )
    return frozenset(number for number in found if number is not None)


def _is_integer(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_duration(seconds: Any) -> bool:
    try:
        return (_is_integer(seconds) or isinstance(seconds, float)) and math.isfinite(seconds)
    except OverflowError:  # an integer that no float can hold
        return False


def _is_moment(time: Any) -> bool:
    try:
        return isinstance(time, datetime) and time.utcoffset() is not None and bool(time.astimezone(UTC))
    except OverflowError:  # in UTC it is of the year 0 or 10000
        return False


def folder_of(sheet_num: int) -> str:
    """Return the folder, in that of a job, in which the prompt and the output of a sheet's attempts lie."""
    return f"executions/{sheet_num:04d}"


def _path(sheet_num: int, name: str) -> str:
    return f"{folder_of(sheet_num)}/{name}.txt"


# Anybody can write trailers with plain git, so what cannot be read is None and spoils nothing else. What was read
# before is asked for again and again, as by a dashboard.


@lru_cache(maxsize=_MET)
def integer(text: str | None) -> int | None:
    """Return the integer that a trailer says, None if it says none."""
    if text is None:
        return None
    return int(text) if (text.isdecimal() and text.isascii() and len(text) < 20) or _INTEGER.fullmatch(text) else None


@lru_cache(maxsize=_MET)
def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "nan")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


@lru_cache(maxsize=_MET)
def _time(text: str | None) -> str | None:
    try:
        return None if text is None else datetime.fromisoformat(text).isoformat()
    except ValueError:
        return None
