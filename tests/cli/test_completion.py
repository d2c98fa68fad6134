"""Completion in the shell: what is offered, that bash takes it, and that nobody notices when nothing can be offered."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.shell_completion import ZshComplete

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli import completion
from gitstate.cli.main import cli
from gitstate.cli.stores import Settings
from gitstate.engine import ancestry
from gitstate.engine.objects import ObjectId
from gitstate.engine.reader import ObjectReader
from tests.cli.conftest import Gitstate, revisions
from tests.forked import gitstate_in_front
from tests.stores import leave_damaged

ODD = ["two words", "a*b", "größe→", "it's", "$HOME", "a;b", "~root", "`id`", 'say "x"', "back\\slash", "{a,b}", "#1"]

# Calls the function that bash calls, with a line and its words; prints the replies, one a line.
_BASH = """
eval "$(gitstate completion bash)"
COMP_LINE=$1; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
read -r _ _ function _ <<<"$(complete -p gitstate | sed 's/.*-F/- -F/')"
"$function" gitstate
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def front(hermetic_home: object) -> Iterator[Path]:
    """A folder whose ``gitstate`` is forked in the environment in which bash is run."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    with gitstate_in_front(environment) as variables:
        yield Path(variables["PATH"].split(":")[0])


@pytest.fixture(autouse=True)
def _forked(front: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(front / "python"))


def offered(*words: str | Path) -> dict[str, str | None]:
    """Return what is offered in place of the last word, with its explanation, as zsh shows it."""
    *before, incomplete = map(str, words)
    items = ZshComplete(cli, {"obj": Settings()}, "gitstate", "_GITSTATE_COMPLETE").get_completions(before, incomplete)
    return {item.value: item.help for item in items}


def in_bash(*words: str | Path, line: str = "", **variables: str) -> list[str]:
    """Return what bash puts in place of the last word of a line; by default the words stand apart in it."""
    line = line or " ".join(map(str, ("gitstate", *words)))
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"} | variables
    ran = subprocess.run(
        ["bash", "--norc", "-c", _BASH, "bash", line, "gitstate", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.splitlines()


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A store with jobs whose ids mean something to a shell, and two that no line can hold."""
    path = tmp_path / "odd"
    asyncio.run(_fill(path, [*ODD, "line\nbreak", "bell\a"]))
    return path


async def _fill(path: Path, job_ids: list[str]) -> None:
    async with GitStateBackend(path) as backend:
        for job_id in job_ids:
            await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=1))


def test_bash_completes_verbs_options_jobs_and_revisions(store: Path) -> None:
    assert in_bash("comp") == ["compare", "completion"]
    assert in_bash("show", "--a") == ["--at"]
    assert in_bash("--store", store, "show", "") == ["nightly", "weekly"]
    assert in_bash("show", "--store", store, "n") == ["nightly"]
    [revision] = revisions(store, "weekly")
    names = in_bash("diff", "weekly", "", GITSTATE_STORE=str(store))
    assert names == ["\\~1", "\\~2", "@deleted", revision[:10]]


def test_what_bash_is_given_means_the_id(odd: Path) -> None:
    given = in_bash("--store", odd, "show", "")
    assert len(given) == len(ODD), "what no line can hold is left out"
    ran = subprocess.check_output(["bash", "--norc", "-c", f"printf '%s\\n' {' '.join(given)}"], text=True)
    assert sorted(ran.splitlines()) == sorted(ODD)
    assert in_bash("--store", odd, "show", "two\\ w") == in_bash("--store", odd, "show", "'two w") == ["two\\ words"]


@pytest.mark.parametrize(
    ("typed", "words", "expected"),
    [
        ("a:", ["a", ":"], ["b", "bc@d"]),  # as bash 5.2 parts what is typed
        ("a:bc", ["a", ":", "bc"], ["bc@d"]),
        ("a:bc@", ["a", ":", "bc", "@"], ["@d"]),
        ("x@y", ["x", "@", "y"], ["@y"]),
        ("'a:b", ["'a:b"], ["a:b", "a:bc@d"]),
        ("x@y --at @", ["x", "@", "y", "--at", "@"], ["@deleted"]),
        ("x@y --at @d", ["x", "@", "y", "--at", "@", "d"], ["@deleted"]),
        ("x@y --at=@d", ["x", "@", "y", "--at", "=@", "d"], ["@deleted"]),
    ],
)
def test_bash_completes_what_holds_characters_at_which_it_parts_words(
    tmp_path: Path, typed: str, words: list[str], expected: list[str]
) -> None:
    path = tmp_path / "parted"
    asyncio.run(_fill(path, ["a:b", "a:bc@d", "x@y"]))
    assert in_bash("show", *words, line=f"gitstate show {typed}", GITSTATE_STORE=str(path)) == expected


@pytest.mark.parametrize(("shell", "ids"), [("bash", ["a,b"]), ("fish", []), ("zsh", ["a,b", "b,"])])
def test_ids_that_a_script_would_cut_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, ids: list[str]
) -> None:
    asyncio.run(_fill(tmp_path / "commas", ["a,b", "b,"]))
    monkeypatch.setenv("_GITSTATE_COMPLETE", f"{shell}_complete")
    assert list(offered("--store", tmp_path / "commas", "show", "")) == ids


def test_other_shells_are_given_the_ids_as_they_are(odd: Path) -> None:
    assert list(offered("--store", odd, "show", "")) == sorted(ODD)


@pytest.mark.parametrize(
    "verb", ["show", "log", "attempts", "diff", "compare", "rollback", "restore", "undo", "fork", "forks", "delete"]
)
def test_every_verb_offers_the_jobs(store: Path, verb: str) -> None:
    assert list(offered("--store", store, verb, "")) == ["nightly", "weekly"]


@pytest.mark.parametrize(
    "words",
    [
        ["diff", "nightly"],
        ["diff", "nightly", "~1"],
        ["rollback", "nightly"],
        ["restore", "nightly"],
        ["show", "nightly", "--at"],
        ["fork", "nightly", "new", "--at"],
    ],
)
def test_revisions_are_offered_with_what_they_are(store: Path, words: list[str]) -> None:
    names = offered("--store", store, *words, "")
    assert list(names)[:3] == ["~1", "~2", "@deleted"] and all(names.values())
    assert [help and help.partition(":")[0] for help in list(names.values())[3:]] == ["nightly"] * 3
    digits = list(names)[-1]
    assert offered("--store", store, *words, digits[:4]).keys() == {digits}


def test_only_the_newest_revisions_are_offered(tmp_path: Path) -> None:
    async def fill() -> None:
        async with GitStateBackend(tmp_path / "many") as backend:
            state = CheckpointState(job_id="many", job_name="many", total_sheets=1)
            for state.total_sheets in range(1, 26):
                await backend.save(state)

    asyncio.run(fill())
    names = offered("--store", tmp_path / "many", "rollback", "many", "")
    assert len(names) == 3 + 20
    assert next(name for name in names if "25" in str(names[name])) == list(names)[3]


def test_undelete_offers_what_was_deleted(gitstate: Gitstate, store: Path) -> None:
    assert offered("--store", store, "undelete", "") == {}
    gitstate("--store", store, "delete", "weekly")
    assert offered("--store", store, "undelete", "") == {"weekly": None}
    assert list(offered("--store", store, "show", "")) == ["nightly"]
    assert "weekly: deleted" in offered("--store", store, "undelete", "weekly", "--at", "").values()
    gitstate("--store", store, "undelete", "weekly")
    assert offered("--store", store, "undelete", "") == {}


def test_the_store_is_the_one_that_the_verb_would_take(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gitstate: Gitstate
) -> None:
    assert offered("show", "") == {}
    monkeypatch.chdir(store / "jobs")
    assert list(offered("show", "")) == ["nightly", "weekly"]
    gitstate("init", tmp_path / "other")
    monkeypatch.setenv("GITSTATE_STORE", str(tmp_path / "other"))
    assert offered("show", "") == {}
    assert list(offered("show", "--store", store, "")) == ["nightly", "weekly"]
    assert offered("show", "--store", store, "--branch", "other", "") == {}


def test_nothing_is_said_where_nothing_can_be_offered(tmp_path: Path, store: Path) -> None:
    assert in_bash("--store", tmp_path / "none", "show", "") == [""]
    (tmp_path / "file").write_text("no store")
    assert in_bash("--store", tmp_path / "file", "show", "") == [""]
    leave_damaged(store)
    for pack in (store / ".git/objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(b"damaged")
    assert in_bash("--store", store, "show", "") == [""]
    assert in_bash("--store", store, "show", "nightly", "--at", "@") == ["@deleted"]


def test_completing_writes_nothing(store: Path) -> None:
    def picture() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in store.rglob("*")}

    (store / "jobs/nightly/job.json").unlink()  # the next refresh of the worktree would bring it back
    before = picture()
    assert offered("--store", store, "show", "") and offered("--store", store, "rollback", "nightly", "")
    assert picture() == before


def test_what_takes_too_long_is_left_out(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_TIME_LIMIT", -1)
    assert offered("--store", store, "show", "") == {}
    assert list(offered("--store", store, "rollback", "nightly", "")) == ["~1", "~2", "@deleted"]


def test_commits_that_are_read_in_bulk_take_no_longer(
    gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitstate("--store", store, "delete", "nightly")
    now, read = 0.0, 0
    commits = ObjectReader.commits

    def slow(self: ObjectReader, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        nonlocal now, read
        for each in commits(self, start):
            now, read = now + 1, read + 1
            yield each

    monkeypatch.setattr(ancestry, "_ONE_BY_ONE", 1)
    monkeypatch.setattr(ObjectReader, "commits", slow)
    monkeypatch.setattr(completion, "time", SimpleNamespace(monotonic=lambda: now))
    assert offered("--store", store, "undelete", "") == {"nightly": None}, "what was found until then"
    assert read == 1


def test_completing_imports_no_models(store: Path) -> None:
    code = (
        "import sys, gitstate.cli.main as main\n"
        "try: main.run()\n"
        "finally: sys.exit(repr({'pydantic', 'rich', 'asyncio'} & sys.modules.keys()))"
    )
    variables = {"_GITSTATE_COMPLETE": "bash_complete", "COMP_WORDS": f"gitstate --store {store} show n"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=variables | {"COMP_CWORD": "4"}, capture_output=True, text=True
    )
    assert (ran.stdout, ran.stderr) == ("plain,nightly\n", "set()\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_whole(gitstate: Gitstate, shell: str) -> None:
    ran = gitstate("completion", shell)
    assert (ran.status, ran.err) == (0, "")
    assert f"_GITSTATE_COMPLETE={shell}_complete" in ran.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=ran.out, text=True, check=True)


def test_other_shells_are_refused(gitstate: Gitstate) -> None:
    ran = gitstate("completion", "csh")
    assert ran.status == 2 and "csh" in ran.err


def test_statuses_are_offered(store: Path) -> None:
    assert set(offered("--store", store, "list", "--status", "p")) == {"pending", "paused", "paused_at_chain"}


def test_proposals_are_offered_wherever_one_is_named(gitstate: Gitstate, store: Path) -> None:
    for name in ("rerun-1", "rerun-2", "other"):
        assert gitstate("propose", name, "--store", store).status == 0
    for words in (
        ["review", "re"],
        ["apply", "re"],
        ["propose", "re"],
        ["show", "--proposal", "re"],
        ["--proposal", "re"],
    ):
        *before, incomplete = words
        assert list(offered("--store", store, *before, incomplete)) == ["rerun-1", "rerun-2"]
