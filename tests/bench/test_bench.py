"""The parts of the benchmark run, with tiny numbers, and give what the targets ask for."""

import json
from pathlib import Path

import pytest

pytest.importorskip("aiosqlite", reason="the bench extra is not installed")
pytest.importorskip("langgraph.checkpoint.sqlite.aio", reason="the bench extra is not installed")

from tests.bench import report
from tests.bench.command import PARTS
from tests.bench.results import Figure, Results, Target, Unit
from tests.bench.rounds import FULL, TINY, Run
from tests.bench.targets import targets


def test_every_part_gives_what_its_targets_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path, TINY)
    for measure in PARTS.values():
        measure(run)
    assert [str(target) for target in targets(TINY) if run.results.ratio(target.top, target.bottom) is None] == []
    lost = run.results.ratio(Figure(f"lost by {TINY.callers} processes"), None)
    assert lost is not None and lost.greatest == 0
    report.print_figures(run.results)
    report.print_targets(run.results, targets(TINY))
    shown = capsys.readouterr().out
    assert [work for work in run.results.works() if work not in shown] == []
    told = json.loads(report.as_json({}, run.results, targets(TINY)))
    assert [target["target"] for target in told["targets"]] == [str(target) for target in targets(TINY)]


def test_the_targets_name_the_work_that_is_measured() -> None:
    asked = {target.top.work for target in targets(FULL)}
    assert {f"save, {sheets:,} sheets" for sheets in FULL.saves} <= asked


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    results = Results()
    for turn, (ours, theirs) in enumerate([(1.0, 1.0), (6.0, 2.0), (10.0, 5.0)]):
        results.add("save", "gitstate", turn, [ours])
        results.add("save", "other", turn, [theirs])
    ratio = results.ratio(Figure("save"), Figure("save", "other"))
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.greatest) == (2.0, 1.0, 3.0)
    assert results.ratio(Figure("save"), Figure("save", "nobody")) is None


def test_a_figure_alone_is_in_the_unit_of_its_target() -> None:
    results = Results()
    results.add("disk", "gitstate", 0, [6144.0], Unit.KB)
    target = Target(Figure("disk"), None, 6.0, 2.0)
    ratio = results.ratio(target.top, None)
    assert ratio is not None
    assert target.holds(ratio.median, target.limit) and not target.holds(ratio.median, 2.0)
