"""The verbs diff and compare, and the forms in which they show what changed."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.review import JobDiff
from gitstate.backends.sides import JobSide
from gitstate.cli.diff_markdown import diff_page
from tests.cli.conftest import Gitstate, revisions
from tests.cli.test_terminal import COLUMNS, on_terminal
from tests.git import git

HOSTILE = "</code></pre></details>|`*_@you #1 https://x.example\n\n# forged\n\n\x1b[2J\u202e<script>"


def test_diff_shows_the_last_save(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("--store", store, "diff", "nightly")
    sides, sheets, errors, others = ran.out.split("\n\n")
    assert [line.split()[:2] for line in sides.splitlines()[1:]] == [
        ["from", revisions(store)[1][:10]],
        ["to", revisions(store)[2][:10]],
    ]
    assert sides.endswith("nightly: sheet 2 failed (1/3 done)") and "A Tester" in sides
    assert sheets.split() == [
        "sheet",
        "status",
        "attempts",
        "seconds",
        "+",
        "2",
        "none",
        "->",
        "failed",
        "none",
        "->",
        "1",
    ]
    assert errors == "new errors\nsheet 2  no space left\\non device"
    assert ["~", "/total_retry_count", "0", "1"] in [line.split() for line in others.splitlines()]
    assert "/updated_at" not in ran.out and "(1); --all shows them" in ran.err
    assert ran.status == 0


def test_diff_between_revisions(gitstate: Gitstate, store: Path) -> None:
    first, second, third = revisions(store)
    to_head = gitstate("--store", store, "diff", "nightly", first)
    assert to_head.out == gitstate("--store", store, "diff", "nightly", first, third).out
    part = gitstate("--store", store, "diff", "nightly", first, second)
    assert "none -> completed" in part.out and "failed" not in part.out
    gone = gitstate("--store", store, "diff", "nightly", third, second).out
    assert re.search(r"^-  /sheets/2/error_message +\"no space left", gone, re.MULTILINE), "an error that went is told"
    back = gitstate("--store", store, "diff", "nightly", second, first)
    assert "completed -> none" in back.out and "\n-" in back.out
    every = gitstate("--store", store, "diff", "nightly", first, "--all")
    assert "/updated_at" in every.out and every.err == ""


def test_the_exit_code_says_whether_there_is_a_difference(gitstate: Gitstate, store: Path) -> None:
    head = revisions(store)[-1]
    assert gitstate("--store", store, "diff", "nightly", "--exit-code").status == 1
    same = gitstate("--store", store, "diff", "nightly", head, "--exit-code")
    assert (same.status, same.err) == (0, "Nothing changed.\n")
    for form in ("json", "patch", "unified", "markdown"):
        assert gitstate("--store", store, "diff", "nightly", "--exit-code", "--format", form).status == 1
        assert gitstate("--store", store, "diff", "nightly", head, "--exit-code", "--format", form).status == 0
    assert gitstate("--store", store, "compare", "nightly", "weekly", "--exit-code").status == 1
    assert gitstate("--store", store, "compare", "nightly", "nightly", "--exit-code").status == 0


def test_diff_as_json(gitstate: Gitstate, store: Path) -> None:
    found = json.loads(gitstate("--store", store, "diff", "nightly", "--json").out)
    assert found == json.loads(gitstate("--store", store, "diff", "nightly", "--format", "json").out)
    assert found.keys() == {"before", "after", "fields", "sheets", "errors", "hidden"}
    assert found["after"]["checkpoint"]["revision"] == revisions(store)[2]
    (sheet,) = found["sheets"]
    assert sheet["before"] is None and sheet["after"]["status"] == "failed"
    assert {"pointer": "/total_retry_count", "before": 0, "after": 1} in found["fields"]
    assert "before" not in sheet["changes"][0], "what was not there has no key"
    assert found["errors"] == [{"sheet": "2", "text": "no space left\non device"}]


def test_diff_as_a_patch(gitstate: Gitstate, store: Path) -> None:
    operations = json.loads(gitstate("--store", store, "diff", "nightly", "--format", "patch").out)
    assert {"op": "replace", "path": "/total_retry_count", "value": 1} in operations
    assert {operation["path"] for operation in operations} >= {"/sheets/2", "/updated_at"}


def test_a_unified_diff_can_be_applied(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    first, _, third = revisions(store)
    text = gitstate("--store", store, "diff", "nightly", first, "--format", "unified").out
    git(store, "switch", "-q", "--detach", first)
    (tmp_path / "it.diff").write_text(text)
    git(store, "apply", "--index", "--directory=jobs/nightly", str(tmp_path / "it.diff"))
    assert git(store, "diff", "--cached", third, "--", "jobs/nightly") == ""
    git(store, "reset", "-q", "--hard")
    git(store, "switch", "-q", "main")


def test_a_unified_diff_says_that_a_line_is_not_ended(gitstate: Gitstate, store: Path) -> None:
    file = store / "jobs/nightly/job.json"
    file.write_text(file.read_text().rstrip("\n"))
    git(store, "commit", "-qam", "Cut it")
    text = gitstate("--store", store, "diff", "nightly", "--format", "unified").out
    assert text.endswith("+}\n\\ No newline at end of file\n")


def test_compare_two_jobs(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("--store", store, "compare", "nightly", "weekly")
    sides, sheets = ran.out.split("\n\n")
    assert [line.split()[:2] for line in sides.splitlines()] == [
        ["job", "revision"],
        ["from", "nightly"],
        ["to", "weekly"],
    ]
    rows = [line.split() for line in sheets.splitlines()]
    assert rows[1][:3] == ["~", "1", "completed"] and rows[2][:5] == ["-", "2", "failed", "|", "none"]
    found = json.loads(gitstate("--store", store, "compare", "nightly", "weekly", "--json").out)
    assert found.keys() == {"before", "after", "sheets"}
    assert [row["sheet"] for row in found["sheets"]] == ["1", "2"]
    assert found["sheets"][1]["after"] is None and found["sheets"][0].keys() == {"sheet", "before", "after"}


def test_compare_reads_the_longest_id_that_exists(gitstate: Gitstate, tmp_path: Path) -> None:
    store = tmp_path / "state"

    async def fill() -> None:
        async with GitStateBackend(store) as backend:
            for job_id in ("a", "a@b", "gone@x"):
                await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=1))
            await backend.delete("gone@x")

    asyncio.run(fill())
    made = {job: revisions(store, job)[0] for job in ("a", "a%40b", "gone%40x")}

    def sides(one: str, other: str) -> list[tuple[str, str]]:
        found = json.loads(gitstate("--store", store, "compare", one, other, "--json").out)
        return [(side["job"], side["checkpoint"]["revision"]) for side in (found["before"], found["after"])]

    assert sides("a@b", f"a@{made['a']}") == [("a@b", made["a%40b"]), ("a", made["a"])]
    assert sides(f"a@b@{made['a%40b']}", "a") == [("a@b", made["a%40b"]), ("a", made["a"])]
    assert sides(f"gone@x@{made['gone%40x']}", "a")[0] == ("gone@x", made["gone%40x"])
    missing = gitstate("--store", store, "compare", "b@c", "a")
    assert missing.status == 3 and "'b@c'" in missing.err


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["diff", "none"], 3, "none"),
        (["diff", "nightly", "0123456789"], 3, "0123456789"),
        (["diff", "nightly", "--format", "html"], 2, "html"),
        (["diff", ""], 2, "empty"),
        (["diff"], 2, "Missing argument"),
        (["compare", "nightly"], 2, "Missing argument"),
        (["compare", "none", "nobody"], 3, "none"),
    ],
)
def test_what_cannot_be_shown_is_an_error(
    gitstate: Gitstate, store: Path, arguments: list[str], status: int, says: str
) -> None:
    ran = gitstate("--store", store, *arguments)
    assert (ran.status, ran.out) == (status, "") and says in ran.err and ran.err.startswith("error: ")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A store whose job says what could break a terminal or a page."""
    store = tmp_path / "hostile"

    async def fill() -> None:
        async with GitStateBackend(store) as backend:
            state = CheckpointState(job_id=HOSTILE, job_name="x", total_sheets=2)
            await backend.save(state)
            state.mark_sheet_started(1)
            state.mark_sheet_failed(1, HOSTILE, stdout_tail=HOSTILE * 200)
            state.metadata[HOSTILE] = HOSTILE
            await backend.save(state)

    asyncio.run(fill())
    return store


@pytest.mark.parametrize("form", ["text", "markdown", "json", "patch", "unified"])
def test_no_state_drives_the_terminal(gitstate: Gitstate, hostile: Path, form: str) -> None:
    ran = gitstate("--store", hostile, "diff", HOSTILE, "--format", form)
    assert ran.status == 0 and all(line.isprintable() for line in (ran.out + ran.err).split("\n"))
    other = "json" if form in ("patch", "unified") else form
    ran = gitstate("--store", hostile, "compare", HOSTILE, HOSTILE, "--format", other)
    assert ran.status == 0 and all(line.isprintable() for line in (ran.out + ran.err).split("\n"))


def test_no_state_breaks_a_page(gitstate: Gitstate, hostile: Path) -> None:
    page = gitstate("--store", hostile, "diff", HOSTILE, "--format", "markdown").out
    for word in ("script", "details", "pre", "code"):
        assert page.count(f"<{word}>") == page.count(f"</{word}>"), word
    assert "<script" not in page
    outside = re.sub(r"<pre>.*?</pre>|<code>[^<]*</code>", "", page, flags=re.DOTALL)
    assert "forged" not in outside and "@you" not in outside and "example" not in outside
    inside = " ".join(re.findall(r"<code>([^<]*)</code>", page))
    assert not set(inside) & set("<>|`*@[]!\\:.") and not re.search(r"\b_|_\b", inside)
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {5, 7}, "five cells or four, whatever a text holds"
    assert len(page) < 65_536


def test_a_page_has_an_end(gitstate: Gitstate) -> None:
    values: list[dict[str, Any]] = [
        {f"field {number}": text for number in range(5000)} for text in ("<&>" * 30, "|" * 90)
    ]
    nowhere = JobSide("job", None, exists=False)
    page = diff_page(JobDiff.of((nowhere, nowhere), *values))
    assert len(page) < 65_536 and page.count("<details>") == page.count("</details>") == 1
    shown = page.count("| ~ |")
    assert shown > 50 and f"{5000 - shown} more lines do not fit" in page


def test_large_texts_are_folded_with_their_size(gitstate: Gitstate, hostile: Path) -> None:
    text = gitstate("--store", hostile, "diff", HOSTILE).out
    assert re.search(r"/sheets/1/stdout_tail .*… \([\d,]+ characters\)", text)
    page = gitstate("--store", hostile, "diff", HOSTILE, "--format", "markdown").out
    size = len(HOSTILE * 200)
    assert f"after: {size:,} characters, the first 4,000 of them</summary>" in page


def test_on_a_terminal(store: Path) -> None:
    for arguments in (["diff", "nightly"], ["compare", "nightly", "weekly"]):
        status, shown = on_terminal("--store", store, *arguments, NO_COLOR="1")
        assert status == 0 and max(map(len, shown.splitlines())) <= COLUMNS
        assert "\x1b" not in shown
    assert "\x1b[32m+\x1b[0m" in on_terminal("--store", store, "diff", "nightly")[1]
    unified = on_terminal("--store", store, "diff", "nightly", "--format", "unified")[1]
    assert "\x1b[32m+" in unified and "\x1b[31m-" in unified


def test_help_does_not_wait_for_what_diffs_need() -> None:
    script = "import sys; from gitstate.cli.main import run; run(['diff', '--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pydantic" not in done.stdout and "dulwich" not in done.stdout
