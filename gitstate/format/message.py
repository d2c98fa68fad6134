"""Messages of commits: a subject, a body, and trailers that no id, text or value can break or forge.

The grammar of trailers is that of ``git interpret-trailers``: the last paragraph of a message, one ``Key: value`` a
line. Their values are ASCII; what is not plain printable ASCII is written as a JSON string.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Self

from gitstate.errors import InvalidInputError

__all__ = [
    "AGAINST",
    "APPLIED",
    "ATTEMPT",
    "CODE",
    "CONFLICT",
    "DURATION",
    "ENDED",
    "EVENT",
    "EVENTS",
    "EXECUTION",
    "EXIT_CODE",
    "FAILED",
    "JOB",
    "ORIGIN",
    "OUTPUT_BYTES",
    "PROGRESS",
    "PROMPT_BYTES",
    "PROPOSAL",
    "RESCUE",
    "SHEET",
    "SKIPPED",
    "SOURCE",
    "STATUS",
    "TIME",
    "TRAILERS",
    "UNDOES",
    "Event",
    "Message",
    "Trailer",
    "fitting",
    "is_key",
]


class Trailer(NamedTuple):
    """A trailer of ours: its key, which form its value has, and what it says."""

    key: str
    form: str
    says: str


JOB = "Gitstate-Job"
EVENT = "Gitstate-Event"
STATUS = "Gitstate-Status"
PROGRESS = "Gitstate-Progress"
FAILED = "Gitstate-Failed"
SKIPPED = "Gitstate-Skipped"
EXECUTION = "Gitstate-Execution"
SHEET = "Gitstate-Sheet"
ATTEMPT = "Gitstate-Attempt"
EXIT_CODE = "Gitstate-Exit-Code"
DURATION = "Gitstate-Duration"
TIME = "Gitstate-Time"
PROMPT_BYTES = "Gitstate-Prompt-Bytes"
OUTPUT_BYTES = "Gitstate-Output-Bytes"
ENDED = "Gitstate-Ended"
SOURCE = "Gitstate-Source"
UNDOES = "Gitstate-Undoes"
ORIGIN = "Gitstate-Origin"
CODE = "Gitstate-Code"
PROPOSAL = "Gitstate-Proposal"
RESCUE = "Gitstate-Rescue"
CONFLICT = "Gitstate-Conflict"
AGAINST = "Gitstate-Against"
APPLIED = "Gitstate-Applied"

TRAILERS = (
    Trailer(JOB, "any text", "the id of the job that the commit is about; of `merged`, may stand several times"),
    Trailer(EVENT, "a word", "what happened; see the events below"),
    Trailer(STATUS, "a word", "the job's status after it"),
    Trailer(PROGRESS, "`done/total`", "how many sheets are completed or skipped after it, and how many there are"),
    Trailer(FAILED, "numbers: `3 7-9`", "the sheets that are failed after it; left out if there are none"),
    Trailer(SKIPPED, "numbers: `3 7-9`", "the sheets that are skipped after it; left out if there are none"),
    Trailer(EXECUTION, "1 to 2^52 - 1", "the id of the execution that it records, drawn at random until unused"),
    Trailer(SHEET, "1 or more", "the sheet of the execution"),
    Trailer(ATTEMPT, "1 or more", "which attempt at the sheet it was"),
    Trailer(TIME, "ISO 8601, UTC", "when the execution was made"),
    Trailer(EXIT_CODE, "an integer", "the exit code of the execution; left out if unknown"),
    Trailer(DURATION, "a decimal number", "how many seconds the execution took; left out if unknown"),
    Trailer(PROMPT_BYTES, "an integer", "the size of the file with its prompt; left out if there is none"),
    Trailer(OUTPUT_BYTES, "an integer", "the size of the file with its output; left out if there is none"),
    Trailer(
        ENDED,
        "`sheet attempt status [seconds]`",
        "an attempt that ended with this save or mark, `completed` or `failed`, and how long it took; may stand "
        "several times",
    ),
    Trailer(SOURCE, "a commit id", "of `rolled-back` and `restored`: whose state, or a part of it, was brought back"),
    Trailer(UNDOES, "a commit id", "of `undone`: whose change was taken back; no change is taken back twice"),
    Trailer(ORIGIN, "`job@commit`", "of `forked`: the job that this one began as, and the commit at which"),
    Trailer(
        CODE,
        "a commit id, or `id dirty`, or `id unchecked`",
        "the commit of the project whose code ran; `dirty`: its tracked files had other changes; `unchecked`: whether "
        "they had is unknown",
    ),
    Trailer(PROPOSAL, "any text", "of `merged`: the name of the proposal that was applied, its second parent"),
    Trailer(RESCUE, "a word", "of `rescued`: why the state was kept aside: `refused`, `parked` or `invalid`"),
    Trailer(CONFLICT, "a JSON pointer", "of `rescued`: a place that could not be merged; may stand several times"),
    Trailer(AGAINST, "a commit id", "of `rescued`: where the job stood, which kept its own state"),
    Trailer(APPLIED, "a commit id", "the rescue that was brought back into the job"),
)
"""All of ours, in the order in which people meet them."""


class Event(StrEnum):
    """What a commit did to its document; ``resharded`` and ``purged`` are of all documents, ``rescued`` of none."""

    CREATED = "created"
    SAVED = "saved"
    SHEET = "sheet"
    EXECUTION = "execution"
    DELETED = "deleted"
    ROLLED_BACK = "rolled-back"
    RESTORED = "restored"
    UNDONE = "undone"
    SKIPPED = "skipped"
    RESET = "reset"
    FORKED = "forked"
    RECOVERED = "recovered"
    MERGED = "merged"
    IMPORTED = "imported"
    EDITED = "edited"
    RESHARDED = "resharded"
    RESCUED = "rescued"
    PURGED = "purged"


EVENTS = {
    Event.CREATED: "the first save of a job, or of one that was deleted",
    Event.SAVED: "a state was saved",
    Event.SHEET: "one sheet was marked",
    Event.EXECUTION: "an execution was recorded, and nothing else",
    Event.DELETED: "the job was deleted",
    Event.ROLLED_BACK: "an earlier state became the present one",
    Event.RESTORED: "sheets or values of an earlier state, or a deleted job, came back",
    Event.UNDONE: "a change that a person made was taken back",
    Event.SKIPPED: "a person said that sheets are not to be run",
    Event.RESET: "a person made sheets pending again, so that they run once more",
    Event.FORKED: "a new job began as a checkpoint of another one",
    Event.RECOVERED: "a state was made of the output files that were found",
    Event.MERGED: "a save was merged with what others had changed meanwhile; or a proposal or a rescue was applied",
    Event.IMPORTED: "a state came from files or a database",
    Event.EDITED: "somebody changed the files; also what a commit without trailers counts as",
    Event.RESHARDED: "all jobs moved under another number of folders",
    Event.RESCUED: "a state that was refused, or lost a merge, was kept aside; such a commit is on no branch",
    Event.PURGED: "jobs or values were purged: all commits before it were written anew without them",
}
"""What each event means."""


_SUBJECT_LIMIT = 200  # characters
_ROOM = 1 << 18  # bytes of trailers; who fetches takes in no commit beyond four times as many
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_TRAILER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)")
_TRAILER_LIKE = re.compile(r"[A-Za-z0-9-]+[ \t]*:|\(cherry picked from")
_PLAIN = re.compile(r"(?!\")[!-~](?:[ -~]*[!-~])?")
_TAME = re.compile(r"(?![#]|---)[!-~]+(?: [!-~]+)*")  # a line that is harmless as it is, unless it holds scissors
_BREAK = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_SPACES = re.compile(r"\s+")
# What a terminal would obey or UTF-8 cannot say: controls, overrides of the direction of text, lone surrogates.
_HARMFUL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SCISSORS = re.compile(r"(?<=-) >8 (?=-)")  # git ends a message there, whatever its comment character is


@dataclass(frozen=True)
class Message:
    """The message of a commit. What is given is made harmless at once, so that what is written reads back the same.

    Args:
        subject: One line; white space is folded, more than 200 characters are cut.
        body: Any text. Lines that begin with ``---`` or ``#`` get a leading space: git's tools would stop at the
            first, and eat the second.
        trailers: Keys of letters, digits and ``-``, and any text as value, except that a surrogate pair reads back as
            the one character that it stands for.

    Raises:
        InvalidInputError: A key is none.
    """

    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for key, _ in self.trailers:
            if not is_key(key):
                raise InvalidInputError(f"{key!r} is no key of a trailer", hint="use letters, digits and -")
        object.__setattr__(self, "subject", _one_line(self.subject))
        object.__setattr__(self, "body", _paragraphs(self.body, last=not self.trailers))

    def get(self, key: str) -> str | None:
        """Return the value of the first trailer with this key, or None."""
        return self._first.get(key)

    @cached_property
    def _first(self) -> dict[str, str]:
        return dict(reversed(self.trailers))

    def first(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the value of the first trailer with each of some keys, if there is one."""
        return {key: self._first[key] for key in keys if key in self._first}

    def all(self, key: str) -> list[str]:
        """Return the values of all trailers with this key, in their order."""
        return [value for name, value in self.trailers if name == key]

    def to_bytes(self) -> bytes:
        """Return the message as it stands in a commit: UTF-8, LF, no NUL, the trailers as the last paragraph."""
        block = "\n".join([f"{key}: {_written(value)}" for key, value in self.trailers])
        return ("\n\n".join([part for part in (self.subject, self.body, block) if part]) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read any message, ours or not; never raises. Bytes that are not UTF-8 are replaced."""
        text = data.decode("utf-8", "replace").replace("\0", "\ufffd")
        lines = [line.rstrip() for line in text.strip("\n").split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        body_start = lines.index("") if "" in lines else len(lines)
        block_start = len(lines) - lines[::-1].index("") if "" in lines else len(lines)
        trailers = _trailers(lines[block_start:])
        body = lines[body_start : block_start if trailers else None]
        return cls(" ".join(lines[:body_start]), "\n".join(body), trailers)


def fitting(trailers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the first ones of some trailers, as many as a commit has room for: large ones are taken in by nobody."""
    sizes = accumulate(len(key) + len(_written(value)) + 3 for key, value in trailers)
    return tuple(each for each, size in zip(trailers, sizes, strict=True) if size <= _ROOM)


def is_key(text: str) -> bool:
    """Whether a text can be the key of a trailer: letters, digits and ``-``."""
    return _KEY.fullmatch(text) is not None


def _one_line(text: str) -> str:
    if len(text) <= _SUBJECT_LIMIT and _TAME.fullmatch(text) and ">8" not in text:
        return text
    line = _HARMFUL.sub("\ufffd", _SPACES.sub(" ", text[: 4 * _SUBJECT_LIMIT])).strip()
    line = _SCISSORS.sub(" > 8 ", line) or "(no subject)"
    if line.startswith(("#", "---")):
        line = "\\" + line
    return line if len(line) <= _SUBJECT_LIMIT else line[: _SUBJECT_LIMIT - 1].rstrip() + "…"


def _paragraphs(text: str, *, last: bool) -> str:
    """Return a body made harmless; the ``last`` paragraph of a message must not look like a block of trailers."""
    if not text:
        return ""
    text = _SCISSORS.sub(" > 8 ", _HARMFUL.sub("\ufffd", _BREAK.sub("\n", text)))
    lines = [_harmless(line.rstrip(), last=last) for line in text.split("\n")]
    return "\n".join(lines).strip("\n")


def _harmless(line: str, *, last: bool) -> str:
    if line.startswith(("---", "#")) or (last and _TRAILER_LIKE.match(line)):
        return " " + line
    return line


def _written(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)


def _trailers(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the trailers of a last paragraph; none if it holds anything else, except what git itself adds."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        match = _TRAILER.fullmatch(line)
        if match is not None:
            found.append((match[1], [match[2]]))
        elif found and line[0] in " \t":
            found[-1][1].append(line.strip())
        elif not line.startswith(("#", "(cherry picked from")):
            return ()
    return tuple((key, _read(" ".join(lines))) for key, lines in found)


def _read(text: str) -> str:
    if text.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(text))
    return text
