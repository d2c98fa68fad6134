"""Pictures and tables of a result: complete, the same each time, and small."""

import json
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

pytest.importorskip("langgraph.checkpoint.sqlite.aio", reason="the bench extra is not installed")
pytest.importorskip("pygit2", reason="the bench extra is not installed")
pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from tests.bench import export, growth, plot, table
from tests.bench.results import Figure, Results, Unit
from tests.bench.rounds import TINY
from tests.bench.targets import targets

_SMALL = 150_000  # bytes of a picture
_PEER = "aiosqlite, WAL, FULL"


def _result() -> str:
    """Return a result of made-up numbers for every target and every curve."""
    random, results = Random(8), Results()
    for curve in growth.curves(TINY):
        for work in curve.works.values():
            for peer in ("gitstate", _PEER):
                results.add(work, peer, 0, [random.uniform(0.001, 0.01) / curve.unit.scale * 1000], curve.unit)
    known = {(work, peer) for work, peers in results.works().items() for peer in peers}
    for target in targets(TINY):
        for figure in (target.top, target.bottom or target.top):
            if (figure.work, figure.peer) not in known:
                known.add((figure.work, figure.peer))
                results.add(figure.work, figure.peer, 0, [random.uniform(0.001, 0.01)], Unit.MS)
    return export.as_json({}, {}, TINY, results, targets(TINY))


def test_a_result_is_drawn_whole_and_the_same_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "result.json"
    told.write_text(_result())
    paths = plot.draw(told.read_text(), tmp_path / "first")
    assert [path.name for path in paths] == ["growth.png", "growth.svg", "ratios.png", "ratios.svg"]
    plot.main([str(told), str(tmp_path / "second")])
    for first, second in zip(paths, map(Path, capsys.readouterr().out.split()), strict=True):
        assert first.parent != second.parent and first.read_bytes() == second.read_bytes()
        assert 1_000 < first.stat().st_size < _SMALL
    drawn = {
        path.stem: "".join(ElementTree.parse(path).getroot().itertext()) for path in paths if path.suffix == ".svg"
    }
    for curve in growth.curves(TINY):
        assert curve.name in drawn["growth"]
    assert _PEER in drawn["growth"]
    compared = {target.top.work for target in targets(TINY) if target.bottom == Figure(target.top.work, _PEER)}
    assert compared and not [work for work in compared if work not in drawn["ratios"]]
    assert (tmp_path / "first/growth.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    results = Results()
    results.add("disk", "gitstate", 0, [1.0], Unit.KB)
    assert plot.draw(export.as_json({}, {}, TINY, results, targets(TINY)), tmp_path) == []


def test_tables_have_all_targets_and_peers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    path.write_text(_result())
    table.main([str(path)])
    asked, measured = capsys.readouterr().out.split("\n\n")
    assert [line.split(" | ")[0] for line in asked.splitlines()[2:]] == [f"| {target}" for target in targets(TINY)]
    assert f"| {targets(TINY)[1].top.work} | {_PEER} | " in measured
    assert {line.count(" |") for line in asked.splitlines() if "---" not in line} == {6}


def test_a_result_of_another_form_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    for text in ("[]", "no JSON", json.dumps({"form": 0})):
        path.write_text(text)
        with pytest.raises(SystemExit):
            plot.main([str(path), str(tmp_path / "drawn")])
        with pytest.raises(SystemExit):
            table.main([str(path)])
    assert "run `make bench` again" in capsys.readouterr().err
    assert not (tmp_path / "drawn").exists()
