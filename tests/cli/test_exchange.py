"""The verbs export and import."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.backends.exchange_sources import NIGHTLY, folder, weekly
from tests.cli.conftest import Gitstate
from tests.cli.test_terminal import on_terminal


def test_export_prints_json_lines(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("export", "--store", store)
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["job_id"] for row in rows] == ["nightly"] * 3 + ["weekly"]
    assert (ran.status, ran.err) == (0, "Exported 4 checkpoints and 0 executions of 2 jobs.\n")


def test_export_writes_a_file_of_the_jobs_that_are_named(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    ran = gitstate("export", "--format", "sqlite", "-o", out, "night", "--states", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    with closing(sqlite3.connect(out)) as made:
        assert made.execute("SELECT DISTINCT job_id FROM checkpoints").fetchall() == [("nightly",)]
    assert gitstate("export", "-o", out, "--store", store).status == 4
    assert gitstate("export", "-o", out, "--force", "--store", store).status == 0
    ran = gitstate("export", "--format", "csv", "--what", "checkpoints", "weekly", "--store", store)
    assert ran.out.splitlines()[0].startswith("job_id,revision,time")
    assert ran.err == "Exported 1 checkpoint of 1 job.\n"


@pytest.mark.parametrize("options", [["--format", "csv"], ["--format", "sqlite"], ["--format", "xml"]])
def test_export_says_what_cannot_be_meant(gitstate: Gitstate, store: Path, options: list[str]) -> None:
    assert gitstate("export", *options, "--store", store).status == 2


def test_import_tells_what_became_of_each_job(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {"n.json": NIGHTLY, "new.json": NIGHTLY | {"job_id": "new"}, "x.json": b"{"})
    ran = gitstate("import", source, "--dry-run", "--store", store)
    assert ran.status == 1
    assert [line.split()[:3] for line in ran.out.splitlines()[1:]] == [
        ["nightly", "skipped", "0"],
        ["new", "imported", "0"],
        ["skipped", "0", "x.json"],
    ]
    assert ran.err == "Jobs: 1 imported, 2 skipped; 0 executions.\nNothing was written, this was a dry run.\n"
    assert gitstate("show", "new", "--store", store).status == 3
    (source / "x.json").unlink()
    ran = gitstate("import", source, "--replace", "--store", store)
    assert (ran.status, ran.err) == (0, "Jobs: 1 imported, 1 replaced; 0 executions.\n")
    ran = gitstate("import", source, "--store", store)
    assert (ran.status, ran.out, ran.err) == (0, "", "Jobs: 2 unchanged; 0 executions.\n")


def test_import_reports_as_json(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    source = weekly(tmp_path / "old.db")
    found = json.loads(gitstate("import", source, "--replace", "--json", "--store", store).out)
    assert (found["dry_run"], found["executions"], found["source"]) == (False, 3, str(source))
    assert found["jobs"] == [
        {"name": "old.db, job weekly", "job_id": "weekly", "outcome": "replaced", "reason": "", "executions": 3}
        | {"notes": []}
    ]
    assert found["notes"] == ["of executions, these columns are not kept: model"]


def test_import_says_that_there_is_nothing(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    ran = gitstate("import", tmp_path / "none", "--store", store)
    assert (ran.status, ran.out) == (3, "")
    ran = gitstate("import", folder(tmp_path / "empty", {}), "--store", store)
    assert (ran.status, ran.err) == (0, "Jobs: none; 0 executions.\n")


def test_a_bar_is_shown_on_a_terminal_only(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    source = folder(tmp_path / "old", {f"{n}.json": NIGHTLY | {"job_id": f"job {n}"} for n in range(3)})
    status, shown = on_terminal("import", source, "--store", store)
    assert status == 0 and "importing" in shown and "3/3" in shown
    assert "importing" not in gitstate("import", source, "--store", store).err
    status, shown = on_terminal("export", "-o", tmp_path / "out", "--store", store)
    assert status == 0 and "exporting" in shown
    status, shown = on_terminal("export", "job 1", "--store", store)
    assert status == 0 and "exporting" not in shown and '"type": "checkpoint"' in shown
