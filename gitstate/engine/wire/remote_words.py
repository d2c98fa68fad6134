"""What a remote says to people, made fit to be shown, and what it means as an error.

All of it comes from elsewhere: no byte of it reaches a terminal as a control sequence, and there is an end to it.
"""

import re
from collections.abc import Iterator

from gitstate.errors import AccessDeniedError, NoRepositoryError, SyncError, TooLargeError, UnreachableError

__all__ = ["RemoteFailedError", "Said", "is_too_large", "of_words", "visible"]

_MOST_LINES = 200
_LONGEST = 1000  # characters of a line
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
# Other controls, overrides of the direction of text, marks of direction, lone surrogates.
_HARMFUL = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = str.maketrans("\t\n\r", "   ")
_PROGRESS = re.compile(r"([A-Z][A-Za-z ]*): +(?:\d+% \()?(\d+)(?:/(\d+)\))?")
_TOTAL = re.compile(r"Total \d+ \(delta \d+\)")
_STAGES = {
    "Enumerating objects": "counting",
    "Counting objects": "counting",
    "Compressing objects": "compressing",
    "Resolving deltas": "resolving",
    "Receiving objects": "resolving",
    "Unpacking objects": "resolving",
    "Indexing objects": "resolving",
    "Checking connectivity": "resolving",
}


class RemoteFailedError(Exception):
    """The remote gave up, with words."""


class Said:
    """What a remote said in one conversation, in ``lines``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._begun = ""

    def hear(self, data: bytes) -> Iterator[tuple[str, int, int | None]]:
        """Take in some of what it says; yield what says how far it is, the rest are lines."""
        self._begun += data.decode("utf-8", "replace")
        *whole, self._begun = re.split(r"[\r\n]", self._begun)
        self._begun = self._begun[-4 * _LONGEST :]
        for each in whole:
            progress = _PROGRESS.match(each)
            if progress is not None and progress[1] in _STAGES:
                yield _STAGES[progress[1]], int(progress[2][:18]), int(progress[3][:18]) if progress[3] else None
            elif each.strip() and not _TOTAL.match(each):
                self._keep(each)

    def end(self) -> None:
        """Take what was begun as a line."""
        begun, self._begun = self._begun, ""
        if begun.strip() and not _PROGRESS.match(begun):
            self._keep(begun)

    def fail(self, data: bytes) -> None:
        """Take in its last words.

        Raises:
            RemoteFailedError: Always.
        """
        self.end()
        text = data.decode("utf-8", "replace")
        for each in text.splitlines():
            self._keep(each)
        raise RemoteFailedError(visible(text))

    def _keep(self, text: str) -> None:
        if len(self.lines) < _MOST_LINES:
            self.lines.append(visible(text))


def visible(text: str) -> str:
    """Return text of a remote as it may be shown: no control sequences, and at most 1,000 characters."""
    shown = _HARMFUL.sub("�", _ESCAPES.sub("", text.translate(_BREAKS))).strip()
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


# The first that is found counts. The texts are those of ssh, of git and of the large forges, in lower case.
_MEANINGS: tuple[tuple[str, type[SyncError], str, str], ...] = (
    (
        r"host key verification failed|host key for .* has changed|remote host identification has changed",
        AccessDeniedError,
        "ssh does not know who answers there",
        "run `ssh` to that host once by hand, and compare its key",
    ),
    (
        r"could not resolve hostname|name or service not known|nodename nor servname",
        UnreachableError,
        "its name is not known",
        "check the address and the network",
    ),
    (r"connection refused", UnreachableError, "it refuses the connection", "check the port, and that its server runs"),
    (
        r"(connection|operation) timed out|no route to host|network is (unreachable|down)|host is down"
        r"|banner exchange|connection reset by|connection closed by|kex_exchange_identification",
        UnreachableError,
        "it cannot be reached",
        "check the address and the network",
    ),
    (
        r"exceeds maximum allowed size|maxinputsize|pack too large|request entity too large",
        TooLargeError,
        "it takes no pack of this size",
        "push fewer commits at once, or raise receive.maxInputSize there",
    ),
    (
        r"dubious ownership|safe\.directory",
        AccessDeniedError,
        "the repository belongs to another user",
        "if you trust it: git config --global --add safe.directory, with its path",
    ),
    (
        r"service not enabled|receive-pack.*(disabled|denied)",
        AccessDeniedError,
        "it does not offer this service",
        "push to another address of it, or enable the service there",
    ),
    (
        r"repository .*not found|no such repository|does not appear to be a git repository|not a git repository"
        r"|could(n't| not) be found|repository does(n't| not) exist|repository not exported|no such project"
        r"|does not exist",
        NoRepositoryError,
        "there is no repository, or none that you may see",
        "correct the address, or make the repository first",
    ),
    (
        r"permission .*denied|permission denied|access denied|unauthorized|not allowed|not authori[sz]ed"
        r"|authentication failed|write access|forbidden|too many authentication failures",
        AccessDeniedError,
        "it does not let you do this",
        "give other credentials, or ask for access",
    ),
    (
        r"(git-)?(upload|receive)-pack['\"]?: (command )?not found",
        SyncError,
        "there is no git on that machine",
        "install git there",
    ),
)


def of_words(name: str, words: str) -> SyncError:
    """Return the error that a remote's last words stand for; they are in its message.

    Args:
        name: The remote's address, as it may be shown.
        words: What it, or ssh, said.
    """
    told = "; ".join(visible(each) for each in words.splitlines() if each.strip())
    told = told if len(told) <= _LONGEST else told[: _LONGEST - 1] + "…"
    for pattern, kind, meaning, hint in _MEANINGS:
        if re.search(pattern, words, re.IGNORECASE):
            return kind(f"{name}: {meaning}: {told}", hint=hint)
    return SyncError(f"{name}: {told}" if told else f"{name} hung up", hint="what is here stays; look at the remote")


def is_too_large(words: str) -> bool:
    """Whether a remote says that it takes no pack of this size."""
    return isinstance(of_words("", words), TooLargeError)
