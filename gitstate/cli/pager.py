"""The pager, through which a verb shows what may be taller than the screen; chosen and started as git does it."""

import io
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from gitstate.cli.output import is_screen
from gitstate.cli.stores import Settings

if TYPE_CHECKING:
    import subprocess

    from _typeshed import ReadableBuffer

__all__ = ["paged"]

_OURS = "GITSTATE_PAGER"
_EVERYBODYS = "PAGER"
_LESS = "FRX"  # what fits on the screen just stands there, colours pass, and the text stays when it quits
_FOR_A_SHELL = "|&;<>()$`~*?#%"  # a pager with one of these is run by a shell


@contextmanager
def paged(wanted: bool = True) -> Iterator[None]:
    """Show in the pager what is printed in the block, on both streams, if that goes to a terminal.

    A decorator of a verb as well: ``@paged()`` directly above its ``def``. The pager starts with the first text, so an
    error that comes before leaves the terminal as it is, and is waited for at the end. To all who print, stdout is the
    terminal still. Who quits the pager ends the block, and that is no error.

    Args:
        wanted: False for what must not wait in a pager, such as what is printed as it happens.
    """
    command = _command() if wanted and _may_page() else []
    if not command:
        yield
        return
    screen, messages = sys.stdout, sys.stderr
    pager = _Pager(command, screen)
    sys.stdout = pager.text
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not pager.quitted:
            raise
    finally:
        sys.stdout, sys.stderr = screen, messages
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's business until it quits
        try:
            pager.text.close()
        except BrokenPipeError:  # nobody wants to see the rest
            pass
        finally:
            signal.signal(signal.SIGINT, before)


def _may_page() -> bool:
    return is_screen(sys.stdout) and click.get_current_context().ensure_object(Settings).pager


def _command() -> list[str]:
    """Return the pager and its arguments; nothing when people want none, or there is none."""
    named = os.environ.get(_OURS, os.environ.get(_EVERYBODYS))
    if named is None:
        return ["less"] if shutil.which("less") else []
    if any(char in named for char in _FOR_A_SHELL):
        return ["/bin/sh", "-c", named]
    try:
        words = shlex.split(named)
    except ValueError:  # a quotation mark that is never closed
        return []
    return [] if words == ["cat"] else words


class _Pager(io.RawIOBase):
    """A pager as a stream of bytes that says it is a terminal. Where it cannot be started, it is the terminal."""

    def __init__(self, command: list[str], screen: TextIO) -> None:
        self._command = command
        self._screen = screen
        self._process: subprocess.Popen[bytes] | None = None
        self._target = -1  # the descriptor to write to; none before the first text
        self.quitted = False
        self.text = io.TextIOWrapper(io.BufferedWriter(self), encoding=screen.encoding, errors=screen.errors)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._screen.fileno()

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write to the pager. Raises BrokenPipeError once when a person quitted it, and drops what comes then."""
        if self.quitted:
            return memoryview(data).nbytes
        if self._target < 0:
            self._start()
        try:
            return os.write(self._target, data)
        except BrokenPipeError:
            self.quitted = self._process is not None
            raise

    def close(self) -> None:
        """End the text, and wait until the person has quitted the pager."""
        if self._process is not None and not self.closed:
            os.close(self._target)
            self._process.wait()
        super().close()

    def _start(self) -> None:
        import subprocess

        theirs, ours = os.pipe()
        environment = {"LESS": _LESS} | os.environ
        try:
            self._process = subprocess.Popen(self._command, stdin=theirs, env=environment)  # noqa: S603 - the person's own
        except OSError:
            os.close(ours)
            self._target = self._screen.fileno()
            return
        finally:
            os.close(theirs)
        self._target = ours
        if sys.stderr.isatty():
            sys.stderr = self.text  # or it would be written across the pager's screen
