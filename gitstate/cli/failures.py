"""Errors as people at a terminal see them: one line, a hint, and an exit status by class."""

import errno
import os
import sys
import traceback

import click

from gitstate import errors
from gitstate.cli.output import clean, coloured, note

__all__ = [
    "ASIDE",
    "BROKEN_PIPE",
    "EXIT_STATUSES",
    "INTERRUPTED",
    "PROBLEMS",
    "UNEXPECTED",
    "exit_status",
    "exit_table",
    "report",
]

UNEXPECTED = 1
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells say it
PROBLEMS = 12
ASIDE = 14
BROKEN_PIPE = 141  # 128 and the number of SIGPIPE

EXIT_STATUSES: dict[type[errors.GitStateError], tuple[int, str]] = {
    errors.InvalidInputError: (2, "wrong usage: an unknown option, an impossible value"),
    errors.NotFoundError: (3, "no such store, job, revision or file"),
    errors.ExistsError: (4, "what was to be made is there already"),
    errors.StaleError: (5, "somebody else was faster; try again"),
    errors.ConflictError: (6, "two edits cannot be joined"),
    errors.BusyError: (7, "another process holds the store, or runs the job"),
    errors.CorruptionError: (8, "stored data is damaged"),
    errors.UnsupportedError: (9, "a repository that gitstate does not work with"),
    errors.StorageError: (10, "the disk or the operating system refused"),
    errors.ClosedError: (11, "the store was closed"),
    errors.SyncError: (
        13,
        "a remote could not be reached, one side refused what the other has, or a save is too large to be synced",
    ),
}
"""The exit status of each branch of the error tree, and what it says."""


def exit_status(error: BaseException) -> int:
    """Return the exit status that stands for an error."""
    if isinstance(error, click.ClickException):
        return EXIT_STATUSES[errors.InvalidInputError][0]
    for branch, (status, _) in EXIT_STATUSES.items():
        if isinstance(error, branch):
            return status
    return EXIT_STATUSES[errors.StorageError][0] if isinstance(error, OSError) else UNEXPECTED


def exit_table() -> list[tuple[str, str]]:
    """Return every exit status and what it says, as text."""
    statuses = [
        (0, "it is done"),
        (UNEXPECTED, "it was not done; there is a difference (`--exit-code`); an unexpected error"),
        *EXIT_STATUSES.values(),
        (PROBLEMS, "`verify` found something lost or wrong, `scan` a credential"),
        (ASIDE, "`sync` is done, but somebody should look: a state was put aside or is invalid, or a file clashed"),
        (INTERRUPTED, "interrupted (Ctrl-C)"),
        (BROKEN_PIPE, "the reader of the output went away, as `| head` does"),
    ]
    return [(str(status), meaning) for status, meaning in sorted(statuses)]


def report(error: BaseException, *, debug: bool) -> int:
    """Say on stderr what went wrong, and return the exit status.

    One line names the error and a second one says what to do; ``debug`` shows the traceback before them.
    """
    if debug:
        note("".join(traceback.format_exception(error)))
    if isinstance(error, click.ClickException):
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # before click 8.2 it was no error
            note(error.format_message())
            return exit_status(error)
        message, hint = _usage_error(error)
    elif isinstance(error, errors.GitStateError):
        message, hint = error.message, error.hint
    elif isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        name = error.filename if isinstance(error.filename, str) else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) and not name
        failed = "the output could not be written" if full else "reading or writing failed"
        message = f"{name or failed}: {reason}"
        hint = "make room where the output goes" if full else ""
    else:
        message, hint = f"unexpected {type(error).__name__}: {error}", "--debug shows where"
    _say("error", message)
    if hint:
        _say("hint", hint)
    return exit_status(error)


def _usage_error(error: click.ClickException) -> tuple[str, str]:
    """Return what is wrong with a call, and how the verb is called."""
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):  # click finds --help alike where nothing is
        alike = [repr(each) for each in error.possibilities or () if each != "--help"]
        message = f"{error.message} Did you mean {' or '.join(alike)}?" if alike else error.message
    context = error.ctx if isinstance(error, click.UsageError) else None
    return message, f"{context.get_usage()}; --help explains it" if context is not None else ""


def _say(word: str, text: str) -> None:
    colour = "red" if word == "error" else "yellow"
    click.echo(f"{coloured(word, colour, sys.stderr)}: {clean(' '.join(text.split()))}", err=True)
