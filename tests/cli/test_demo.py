"""The demo does what it says, and says so when it did not."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate.cli import demo_work
from gitstate.cli.demo import _progress
from gitstate.cli.demo_play import Play
from tests.cli.conftest import Gitstate
from tests.cli.test_terminal import on_terminal

FILES = 6


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.md").write_text(f"# Chapter {number}\n\nStores keep states; states tell stores.\n" * 20)
    return folder


def test_the_demo(gitstate: Gitstate, texts: Path, tmp_path: Path) -> None:
    ran = gitstate("demo", texts, "--into", tmp_path / "play", "--pace", "0.1")
    assert (ran.status, ran.err) == (0, ""), ran.out
    assert "FAILED" not in ran.out and ran.out.count("  ok     ") == 13
    assert "SIGKILL ended the job in the middle of sheet 4" in ran.out
    assert re.search(r"^\$ git log --oneline.*\n[0-9a-f]{7} index-of-terms: recovered 6 sheets", ran.out, re.MULTILINE)
    assert "$ git show --stat" in ran.out and "jobs/index-of-terms/executions/0004/output.txt" in ran.out
    # What it says is true: the job ran twice, and sheet 4 was begun twice.
    store = tmp_path / "play/state"
    subjects = subprocess.run(["git", "-C", store, "log", "--format=%s"], capture_output=True, text=True).stdout
    begun = re.findall(r"sheet (\d) in_progress", subjects)
    assert sorted(begun) == ["1", "2", "3", "4", "4", "5", "6"]
    subprocess.run(["git", "-C", store, "fsck", "--strict"], check=True)
    assert subprocess.run(["git", "-C", store, "status", "--porcelain"], capture_output=True).stdout == b""
    state = json.loads(gitstate("show", "index-of-terms", "--json", "--store", store).out)
    assert state["status"] == "completed" and len(state["sheets"]) == FILES
    assert len(list((tmp_path / "play/reports").iterdir())) == FILES


FORGETFUL = """
import asyncio, sys
from gitstate import GitStateBackend
from gitstate.cli import demo_job
async def forget():
    async with GitStateBackend(sys.argv[1]) as backend:
        await backend.delete(demo_job.JOB)
asyncio.run(forget())
"""
CARELESS = """
from gitstate.cli import demo_work
demo_work.report = lambda number, root, files: "all is well"
"""
TIRED = """
import sys, pathlib
if pathlib.Path(sys.argv[3], "sheet3-report.md").exists():
    sys.exit(3)
"""
REST = """
import asyncio, pathlib
from gitstate.cli import demo_job
asyncio.run(demo_job.run(*map(pathlib.Path, sys.argv[1:4]), float(sys.argv[4])))
"""


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (FORGETFUL, "FAILED it resumed at sheet 4"),
        (CARELESS, "FAILED every report says what it should"),
        (TIRED, "FAILED the job ended by itself"),
    ],
    ids=["begins anew", "writes nonsense", "never resumes"],
)
def test_a_job_that_misbehaves_is_found_out(
    fault: str, told: str, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "play"
    place.mkdir()
    root, files = demo_work.sources(texts)
    job = (sys.executable, "-c", "import sys\n" + fault + REST)
    play = Play(place, texts, root, demo_work.plan(files), 0.1, job)
    play.run(_progress)
    assert play.failures > 0 and told in capsys.readouterr().out


def test_where_it_may_not_work(gitstate: Gitstate, texts: Path, tmp_path: Path) -> None:
    assert gitstate("demo", texts, "--into", texts).status == 4
    assert gitstate("demo", tmp_path / "none").status == 3
    (tmp_path / "bare").mkdir()
    assert gitstate("demo", tmp_path / "bare").status == 2


def test_without_git_it_shows_our_own_history(
    gitstate: Gitstate, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = gitstate("demo", texts, "--into", tmp_path / "play", "--pace", "0.1")
    assert ran.status == 0, ran.out + ran.err
    assert "There is no git command here" in ran.out and "index-of-terms: recovered 6 sheets" in ran.out


def test_a_progress_bar_on_a_terminal(texts: Path, tmp_path: Path) -> None:
    status, shown = on_terminal("demo", texts, "--into", tmp_path / "play", "--pace", "0.1")
    assert status == 0 and "━" in shown and f"{FILES}/{FILES}" in shown


def test_a_demo_that_is_interrupted_says_where_its_files_are(
    gitstate: Gitstate, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Play, progress: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Play, "run", interrupted)
    ran = gitstate("demo", texts, "--into", tmp_path / "play")
    assert ran.status == 130
    assert f"Interrupted. What the demo left lies in {tmp_path / 'play'}." in ran.err
