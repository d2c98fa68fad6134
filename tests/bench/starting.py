"""How long a command takes to start, and a program to import the library: processes, from begin to end."""

import subprocess
import sys
import time
from pathlib import Path

from tests.bench.rounds import Run

__all__ = ["HELP", "measure"]

HELP = "start, gitstate --help"

_OURS = [sys.executable, "-m", "gitstate"]
_ALONE = "Python alone"
_IMPORT = "import gitstate"
_WORKS: dict[str, dict[str, list[str]]] = {
    "start, gitstate --version": {"gitstate": [*_OURS, "--version"], "git --version": ["git", "--version"]},
    HELP: {"gitstate": [*_OURS, "--help"], "git help -a": ["git", "help", "-a"]},
    "start, gitstate list": {"gitstate": [*_OURS, "list"]},
    _IMPORT: {
        "gitstate": [sys.executable, "-c", "from gitstate import GitStateBackend"],
        "with its models": [sys.executable, "-c", "from gitstate import CheckpointState, GitStateBackend"],
        "pydantic": [sys.executable, "-c", "from pydantic import BaseModel; BaseModel"],
        "aiosqlite": [sys.executable, "-c", "import aiosqlite"],
        "LangGraph AsyncSqliteSaver": [
            sys.executable,
            "-c",
            "from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver",
        ],
    },
}


def measure(run: Run) -> None:
    """Start each command some times a round; what compiles modules does not count."""
    folder = run.fresh()
    subprocess.run([*_OURS, "init", str(folder)], check=True, capture_output=True)
    for commands in _WORKS.values():
        for command in commands.values():
            _seconds(folder, command)
    for turn in run.rounds("start", share=2):
        for work, commands in _WORKS.items():
            peers = {**commands, _ALONE: [sys.executable, "-c", "pass"]}
            for peer, command in run.rotated(list(peers.items()), turn):
                run.results.add(work, peer, turn, [_seconds(folder, command) for _ in range(run.sizes.starts)])


def _seconds(folder: Path, command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begin
