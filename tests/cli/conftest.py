"""The command line in this process, and a store for it to look at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitstate.cli.main import run


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Gitstate = Callable[..., Ran]


@pytest.fixture
def gitstate(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Gitstate:
    """Run ``gitstate`` with arguments, in an empty folder unless the test goes elsewhere."""
    monkeypatch.delenv("GITSTATE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ran:
        status = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(status, captured.out, captured.err)

    return call
