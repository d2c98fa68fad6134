"""What samples come to: statistics, ratios, targets and noise. Needs none of the peers."""

import math
import time
from pathlib import Path

import pytest

from tests.bench import machine
from tests.bench.noise import Noise
from tests.bench.results import Figure, Results, Series, Target, Unit
from tests.bench.rounds import TINY, Run


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


def test_the_spread_is_the_median_deviation_of_the_rounds_from_their_median() -> None:
    assert Series(Unit.MS, {0: [1.0]}).spread() is None
    assert Series(Unit.COUNT, {0: [0.0], 1: [0.0]}).spread() is None
    assert Series(Unit.MS, {0: [2.0, 2.0, 9.0], 1: [1.0], 2: [2.5]}).spread() == 0.25


def test_a_part_whose_time_is_up_begins_no_third_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = TINY.__class__(**{**vars(TINY), "rounds": 5})
    assert list(Run(tmp_path, sizes).rounds("save")) == [0, 1, 2, 3, 4]
    assert list(Run(tmp_path, sizes, until=-math.inf).rounds("save")) == [0, 1]
    assert "the time is up after 2 of 5 rounds" in capsys.readouterr().err


def test_what_several_parts_use_is_made_once(tmp_path: Path) -> None:
    run, made = Run(tmp_path, TINY), list[Path]()
    assert run.once("a store", made.append) == run.once("a store", made.append) == made[0]
    assert len(made) == 1 and run.fresh() not in made


def test_noise_tells_how_busy_the_machine_was() -> None:
    noise = Noise()
    time.sleep(0.05)
    told = noise.told()
    assert told["seconds"] >= 0 and told["load_average"] >= 0
    if Path("/proc/stat").exists():
        assert 0 <= told["others_percent"] <= 100 and 0 <= told["steal_percent"] <= 100


def test_noise_tells_what_it_can_where_the_system_tells_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.bench.noise._STAT", tmp_path / "none")
    assert set(Noise().told()) == {"seconds", "load_average"}


def test_the_machine_tells_what_a_sync_costs(tmp_path: Path) -> None:
    about = machine.about(tmp_path)
    assert about["append_and_fsync_ms"] > 0 and about["overwrite_with_dsync_ms"] > 0 and about["new_file_ms"] > 0
