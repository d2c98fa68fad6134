"""The parts of the benchmark run, with tiny numbers, and give what the targets ask for."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiosqlite", reason="the bench extra is not installed")
pytest.importorskip("langgraph.checkpoint.sqlite.aio", reason="the bench extra is not installed")
pytest.importorskip("pygit2", reason="the bench extra is not installed")

from tests.bench import command, export, growth, report
from tests.bench.command import GROUPS, LIMIT, PARTS
from tests.bench.libgit import Pygit2
from tests.bench.noise import Noise
from tests.bench.peers import GitCommand, Peer
from tests.bench.results import Figure, Results
from tests.bench.rounds import FULL, TINY, Run
from tests.bench.targets import targets
from tests.bench.work import change, state_of
from tests.git import fsck, git


def test_every_part_gives_what_its_targets_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path, TINY)
    for part in PARTS.values():
        part.measure(run)
    assert [str(target) for target in targets(TINY) if run.results.ratio(target.top, target.bottom) is None] == []
    lost = run.results.ratio(Figure(f"lost by {TINY.crowd} processes"), None)
    assert lost is not None and lost.greatest == 0
    report.print_figures(run.results)
    report.print_targets(run.results, targets(TINY))
    shown = capsys.readouterr().out
    assert [work for work in run.results.works() if work not in shown] == []
    told = json.loads(export.as_json({}, {"save": Noise().told()}, TINY, run.results, targets(TINY)))
    assert [target["target"] for target in told["targets"]] == [str(target) for target in targets(TINY)]
    assert [curve["curve"] for curve in told["curves"]] == [curve.name for curve in growth.curves(TINY)]
    for curve, wanted in zip(told["curves"], growth.curves(TINY), strict=True):
        ours = next(line for line in curve["lines"] if line["peer"] == "gitstate")
        assert [point["size"] for point in ours["points"]] == list(wanted.works)


def test_the_targets_name_the_work_that_is_measured() -> None:
    asked = {target.top.work for target in targets(FULL)}
    assert {f"save, {sheets:,} sheets" for sheets in FULL.saves if sheets >= FULL.small} <= asked


def test_a_whole_run_has_its_limit_and_growth_is_a_group_of_parts() -> None:
    assert sum(part.seconds for part in PARTS.values()) <= LIMIT
    assert set(GROUPS["growth"]) <= set(PARTS)
    assert set(command._chosen(["growth", "disk"])) == {*growth.PARTS, "disk"}
    assert command._chosen([]) == list(PARTS)


def test_each_part_has_a_target_of_make_and_a_row_of_the_page() -> None:
    root = Path(__file__).parents[2]
    made = next(line for line in (root / "Makefile").read_text().splitlines() if line.startswith("BENCHES"))
    assert re.findall(r"\w+", made.partition(",")[2]) == [*PARTS, *GROUPS]
    page = (root / "docs/reference/bench.md").read_text().partition("## The parts")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\w+) \|", page, re.MULTILINE)[1:] == list(PARTS)


def test_the_page_names_every_key_of_a_result() -> None:
    results = Results()
    for turn in range(2):
        results.add("save, 20 sheets", "gitstate", turn, [0.002])
        results.add("save, 20 sheets", "LangGraph AsyncSqliteSaver", turn, [0.001])
        results.add("save, 200 sheets", "gitstate", turn, [0.003])
    told = json.loads(export.as_json({}, {"save": Noise().told()}, FULL, results, targets(FULL)))
    (target,), (curve,) = told["targets"], told["curves"]
    (line,) = curve["lines"]
    page = (Path(__file__).parents[2] / "docs/reference/bench.md").read_text()
    for keys in (told, told["parts"][0], told["figures"][0], told["figures"][0]["ratio"], target, curve, line):
        assert [key for key in keys if f"`{key}`" not in page] == []
    assert [key for key in line["points"][0] if f"`{key}`" not in page] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such"], "there is no part no-such"),
        (["save", "--rounds", "0"], "there is no run of less than one round"),
        (["save", "--json", "no-such/result.json"], "there is no folder no-such"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(words)
    assert said in capsys.readouterr().err


def test_what_was_measured_is_told_although_a_part_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(run: Run) -> None:
        run.results.add("save, 20 sheets", "gitstate", 0, [0.002])
        raise OSError("the disk is full")

    monkeypatch.setattr(command, "_use_home", lambda home: None)
    monkeypatch.setattr(command, "PARTS", {"save": command.Part(fail, 1)})
    path = tmp_path / "result.json"
    with pytest.raises(OSError, match="disk is full"):
        command.main(["save", "--folder", str(tmp_path), "--json", str(path)])
    told = json.loads(path.read_text())
    assert [figure["work"] for figure in told["figures"]] == ["save, 20 sheets"]
    assert [part["part"] for part in told["parts"]] == ["save"]
    assert told["machine"]["at_the_end"]["append_and_fsync_ms"] > 0
    assert "save, 20 sheets (ms)" in capsys.readouterr().out


def test_the_curves_begin_and_end_where_they_must() -> None:
    ends = {(curve.grows, min(curve.works), max(curve.works)) for curve in growth.curves(FULL)}
    assert ends >= {
        ("jobs", 1, 10_000),
        ("sheets", 1, 1_000),
        ("commits", 10, 100_000),
        ("callers", 1, 16),
        ("processes", 1, 8),
    }


@pytest.mark.parametrize("kind", [Pygit2, GitCommand])
async def test_who_writes_git_writes_what_git_takes_and_gives_it_back(tmp_path: Path, kind: type[Peer]) -> None:
    peer = kind(tmp_path)
    await peer.open()
    states = [state_of(job_id, 4, 2) for job_id in ("one", "two")]
    for state in states:
        await peer.save(state, 1)
        await peer.save(state, change(state, 1, 2))
        await peer.record(state.job_id, 2, 1, "do it", "done")
    assert await peer.load("two") == states[1]
    assert sorted(await peer.list_jobs(), key=lambda state: state.job_id) == states
    await peer.close()
    assert git(tmp_path, "rev-list", "--count", "HEAD") == "6\n"
    assert git(tmp_path, "show", "HEAD:jobs/two/executions/0002/output.txt") == "done"
    fsck(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is what the system says at once")
def test_the_most_memory_is_not_that_of_who_started_the_process() -> None:
    child = "from tests.bench import stores; print(stores._most_memory().all)"
    parent = f"import subprocess, sys; b'x' * int(3e8); subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 1e6 < int(done.stdout) < 2e8
