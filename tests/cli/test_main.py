"""How a run begins and ends: what is imported, and the exit statuses of pipes and signals."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import gitstate as package
from gitstate.cli.verbs import HIDDEN, SECTIONS
from tests.cli.conftest import COMMAND, Gitstate

HEAVY = ["pydantic", "dulwich", "rich", "asyncio", "aiofiles", "sqlite3", "email"]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, gitstate.cli.main as main\n"
        "status = main.run(['--help'])\n"
        f"sys.exit(repr([name for name in {HEAVY} if name in sys.modules]) if status == 0 else 'failed')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.startswith("Usage: gitstate") and ran.stderr.strip() == "[]"


def test_a_verb_imports_no_module_of_other_verbs(store: Path) -> None:
    code = (
        "import sys, gitstate.cli.main as main\n"
        f"status = main.run(['list', '--store', {str(store)!r}])\n"
        "loaded = {name for name in sys.modules if name.startswith('gitstate.cli.')}\n"
        "sys.exit(repr(sorted({entry.split('.')[0] for entry in main._VERBS.values()} "
        "& {name.rpartition('.')[2] for name in loaded})) + f' {status}')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1] == "['completion', 'history', 'listing', 'stores'] 0"


MODELS = ["pydantic", "email", "gitstate.backends.models", "gitstate.format.codec"]
WRITING = ["dulwich.client", "dulwich.index", "dulwich.repo", "urllib3", "aiofiles", "gitstate.backends.saves"]
OTHERS = [
    "gitstate.store.verify",
    "gitstate.store.reshard",
    "gitstate.backends.importing",
    "gitstate.backends.exporting",
]


@pytest.mark.parametrize(
    ("verb", "unwanted"),
    [
        (["log", "nightly"], MODELS),
        (["diff", "nightly", "~1"], MODELS),
        (["blame", "nightly", "status"], MODELS),
        (["attempts", "nightly"], MODELS),
        (["forks", "nightly"], MODELS),
        (["list", "--failed", "1"], MODELS),
        (["show", "nightly", "--at", "~1"], []),
    ],
    ids=lambda words: words[0] if words else "",
)
def test_a_verb_that_reads_imports_no_more_than_it_needs(store: Path, verb: list[str], unwanted: list[str]) -> None:
    code = (
        "import sys, gitstate.cli.main as main\n"
        f"status = main.run({[*verb, '--store', str(store)]})\n"
        f"sys.exit(repr([name for name in {unwanted + WRITING + OTHERS} if name in sys.modules]) + f' {{status}}')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout and ran.stderr.splitlines()[-1] == "[] 0"


def test_the_version(gitstate: Gitstate) -> None:
    ran = gitstate("--version")
    assert (ran.status, ran.out, ran.err) == (0, f"gitstate {package.__version__}\n", "")


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("gitstate")
    ran = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"gitstate {package.__version__}\n"


def test_a_wrong_option_is_one_line_and_the_usage(gitstate: Gitstate) -> None:
    ran = gitstate("list", "--jsn")
    assert ran.status == 2 and ran.out == ""
    error, hint = ran.err.splitlines()
    assert error.startswith("error: No such option") and hint.startswith("hint: Usage: gitstate list")
    assert "--help'" not in error and hint.endswith("; --help explains it")


def test_the_help_says_in_a_line_what_each_verb_is_for(gitstate: Gitstate) -> None:
    shown = gitstate("--help").out
    for title, verbs in SECTIONS.items():
        assert f"\n{title}:\n" in shown
        for verb, (_, summary) in verbs.items():
            assert re.search(rf"^  {verb} +{re.escape(summary)}$", shown, re.MULTILINE), verb
    assert not any(verb in shown for verb in HIDDEN)


@pytest.mark.parametrize("group", ["remote", "rescue", "hooks", "attributes"])
def test_the_help_of_a_group_cuts_no_line_off(gitstate: Gitstate, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = gitstate(group, "--help").out.partition("\nCommands:\n")[2].splitlines()
    assert listed and not [line for line in listed if line.endswith("...")]


def test_without_a_verb_it_helps(gitstate: Gitstate) -> None:
    ran = gitstate()
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == gitstate("--help").out


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(store: Path, closed: str) -> None:
    command = f"{shlex.join([*COMMAND, '--store', str(store), 'show', 'nightly'])} {closed}"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ("nightly" in ran.stdout) == (closed == "2>&-")


def test_debug_shows_where(gitstate: Gitstate) -> None:
    ran = gitstate("--debug", "list")
    assert ran.status == 3 and ran.err.startswith("Traceback") and "\nerror: there is no store" in ran.err


def test_a_reader_that_goes_away_ends_it_quietly(store: Path) -> None:
    # The pipe is closed before anything is written: the worst case of `gitstate log | head`.
    with subprocess.Popen(
        [*COMMAND, "--store", store, "log", "nightly", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_ends_with_130_and_leaves_no_job_behind(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_text("some text")
    with subprocess.Popen(
        [*COMMAND, "demo", str(tmp_path), "--into", str(tmp_path / "play"), "--pace", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a group of its own: a terminal interrupts the whole group
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if b"started" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.strip() in (b"", b"Aborted!") or b"Traceback" not in rest
    deadline = time.monotonic() + 5
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _group_lives(process.pid)


def test_ctrl_c_while_it_is_being_read_ends_it_quietly() -> None:
    code = (
        "import sys\n"
        "class Person:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'gitstate.cli.failures':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Person())\n"
        "from gitstate.cli import start\n"
        "start()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_it_runs_as_a_module_and_by_its_name(store: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", "gitstate", "--store", store, "list"], capture_output=True, text=True)
    assert ran.returncode == 0 and "nightly" in ran.stdout
    [command] = (each for each in entry_points(group="console_scripts") if each.name == "gitstate")
    assert callable(command.load())


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_output_is_utf8_safe_in_a_plain_terminal(store: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(
        [*COMMAND, "--store", store, "list", "--json"], capture_output=True, env=environment, check=True
    )
    assert len(json.loads(ran.stdout)) == 2


@pytest.mark.parametrize("noun", ["hooks", "attributes"])
def test_a_noun_without_a_verb_shows_its_verbs(gitstate: Gitstate, noun: str) -> None:
    ran = gitstate(noun)
    assert "Commands:\n  install" in ran.err + ran.out  # click before 8.2 takes it for a question for help
    assert "error" not in ran.err
