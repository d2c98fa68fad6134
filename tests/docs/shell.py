"""A shell that lasts for a page: folder and variables stay from one command to the next."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from typing import Self

_MARK = "--- end of output ---"
_TIME_LIMIT = 60.0  # seconds a command


def environment() -> dict[str, str]:
    """Return the variables that a page's commands find."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("GITSTATE", "LC_"))}
    return found | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_PAGER": "cat",
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


class Shell:
    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run a command and return what it printed on both streams."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_MARK}\\n'\n")
        self._process.stdin.flush()
        output: list[str] = []
        limit = Timer(_TIME_LIMIT, self._process.kill)
        limit.start()
        try:
            for line in self._process.stdout:
                if line.rstrip("\n") == _MARK:
                    return "".join(output)
                output.append(line)
        finally:
            limit.cancel()
        raise AssertionError(f"the shell ended in {command!r} after\n{''.join(output)}")

    def folder(self) -> Path:
        """Return the folder in which the shell stands."""
        return Path(self.run("pwd").strip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
