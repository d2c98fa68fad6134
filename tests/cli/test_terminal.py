"""The command line on a real terminal: 80 columns, colours, questions."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

from tests.forked import CONTROLLED

COLUMNS = 80
TIME_LIMIT = 20  # seconds

# Makes the terminal the one whose Ctrl-C reaches the process.
_CONTROLLED = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from gitstate.cli.main import main
main()
"""

_READ_AT_START = ("LC_", "LANG", "PYTHON")
forked: list[str] = []
"""A ``python`` whose ``-m gitstate`` is forked, if there is one; the fixtures of this folder name it."""


class Terminal:
    """``gitstate`` on a terminal, as long as it is entered; what it showed can be read at any time."""

    def __init__(self, *arguments: str | Path, **variables: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        unwanted = ("NO_COLOR", "COLUMNS", "CI", "LESS", "PAGER", "GITSTATE_PAGER")
        pager = {} if "PAGER" in variables else {"GITSTATE_PAGER": ""}
        environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        command = [sys.executable, "-c", _CONTROLLED]
        if forked and not any(name.startswith(_READ_AT_START) for name in variables):
            command, environment[CONTROLLED] = [*forked, "-m", "gitstate"], "1"
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment | {"TERM": "xterm-256color"} | pager | variables,
            start_new_session=True,
        )
        os.close(slave)
        self._shown = b""
        self._open = True

    def read(self) -> str:
        """Return all that was shown so far, after a wait of a tenth of a second at most."""
        if self._open and select.select([self._master], [], [], 0.1)[0]:
            try:
                chunk = os.read(self._master, 4096)
            except OSError:
                chunk = b""  # the terminal is closed when the process has ended
            self._open = bool(chunk)
            self._shown += chunk
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def write(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait(self) -> int:
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + TIME_LIMIT
        while self._open and time.monotonic() < deadline:
            self.read()
        if self._open:
            self._process.kill()
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._open = False
        os.close(self._master)


def on_terminal(*arguments: str | Path, answer: str = "", **variables: str) -> tuple[int, str]:
    """Run ``gitstate`` on a terminal; give the answer when it asks; return its exit status and what it showed."""
    with Terminal(*arguments, **variables) as terminal:
        deadline = time.monotonic() + TIME_LIMIT
        while answer and time.monotonic() < deadline:
            if terminal.read().rstrip().endswith("]:"):
                time.sleep(0.2)  # a signal between the prompt and the read would only be seen after the read
                terminal.write(answer)
                break
        return terminal.wait(), terminal.read()


def test_tables_fit_the_terminal(store: Path) -> None:
    status, shown = on_terminal("--store", store, "show", "nightly", NO_COLOR="1")
    assert status == 0 and "…" in shown, "the long error is cut"
    assert max(map(len, shown.splitlines())) <= COLUMNS


def test_statuses_have_colours_unless_nobody_wants_them(store: Path) -> None:
    assert "\x1b[32mcompleted" in on_terminal("--store", store, "list")[1]
    assert "\x1b" not in on_terminal("--store", store, "list", NO_COLOR="1")[1]
    assert "\x1b[31merror" in on_terminal("--store", store, "show", "none")[1]
    assert "\x1b" not in on_terminal("--store", store, "show", "none", NO_COLOR="1")[1]


def test_delete_asks(store: Path) -> None:
    status, shown = on_terminal("--store", store, "delete", "nightly", answer="n\n")
    assert status == 1 and "Delete job nightly?" in shown and (store / "jobs/nightly").exists()
    status, shown = on_terminal("--store", store, "delete", "nightly", answer="y\n")
    assert status == 0 and not (store / "jobs/nightly").exists()
    status, shown = on_terminal("--store", store, "delete", "weekly", "--yes")
    assert status == 0 and "?" not in shown and not (store / "jobs/weekly").exists()


def test_ctrl_c_at_the_question(store: Path) -> None:
    status, _ = on_terminal("--store", store, "delete", "nightly", answer="\x03")
    assert status == 130 and (store / "jobs/nightly").exists()
