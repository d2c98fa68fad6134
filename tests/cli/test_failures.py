"""Every error ends as a line, a hint and an exit status of its class."""

import errno
import inspect

import click
import pytest

from gitstate import errors
from gitstate.cli import failures

ALL_ERRORS = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, errors.GitStateError) and error is not errors.GitStateError
]


def test_every_branch_of_the_tree_has_a_status_of_its_own() -> None:
    assert set(failures.EXIT_STATUSES) == set(errors.GitStateError.__subclasses__())
    statuses = [status for status, _ in failures.EXIT_STATUSES.values()]
    assert statuses == sorted(set(statuses)) and statuses[0] == 2


@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: error.__name__)
def test_an_error_ends_with_the_status_of_its_branch(error: type[errors.GitStateError]) -> None:
    branch = next(branch for branch in failures.EXIT_STATUSES if issubclass(error, branch))
    assert failures.exit_status(error("no")) == failures.EXIT_STATUSES[branch][0]


def test_other_errors_have_a_status_too() -> None:
    assert failures.exit_status(click.UsageError("no")) == 2
    assert failures.exit_status(PermissionError("no")) == 10
    assert failures.exit_status(RuntimeError("no")) == 1


def test_a_report_is_a_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    status = failures.report(errors.BusyError("a\x1b[1m is\nbusy", hint="wait"), debug=False)
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err) == (7, "", "error: a\\x1b[1m is busy\nhint: wait\n")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(errors.BusyError("busy"), debug=True)
    assert "Traceback" not in capsys.readouterr().out
    failures.report(ZeroDivisionError("by zero"), debug=True)
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: by zero\n" in shown and shown.endswith("hint: --debug shows where\n")


def test_an_unexpected_error_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.report(KeyError("x"), debug=False) == 1
    assert capsys.readouterr().err.startswith("error: unexpected KeyError: 'x'\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "full"),
            "error: the output could not be written: No space left on device\nhint: make room where the output goes\n",
        ),
        (OSError(errno.EIO, "odd"), "error: reading or writing failed: Input/output error\n"),
        (OSError("odd"), "error: reading or writing failed: odd\n"),
        (FileNotFoundError(errno.ENOENT, "gone", "a.txt"), "error: a.txt: No such file or directory\n"),
    ],
)
def test_an_error_of_the_system_is_told_in_words(error: OSError, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.report(error, debug=False) == 10
    assert capsys.readouterr().err == said
