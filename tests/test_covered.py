"""The table of ``make coverage`` says what was met, and what was not."""

from typing import Any

from tests.covered import Covered, by_floor, missed, table


def _found(lines: tuple[int, int], branches: tuple[int, int], *, missing: Any = (), ways: Any = ()) -> dict[str, Any]:
    summary = {
        "num_statements": lines[0],
        "covered_lines": lines[1],
        "num_branches": branches[0],
        "covered_branches": branches[1],
    }
    return {"summary": summary, "missing_lines": missing, "missing_branches": ways}


def test_floors_are_added_up_and_other_modules_left_out() -> None:
    files = {
        "gitstate/values/diff.py": _found((10, 9), (4, 4)),
        "gitstate/values/merge.py": _found((10, 10), (4, 2)),
        "gitstate/engine/wire/channel.py": _found((20, 5), (0, 0)),
        "gitstate/cli/main.py": _found((90, 0), (9, 0)),
        "gitstate/clock.py": _found((5, 0), (1, 0)),
    }
    floors = by_floor(files)
    assert list(floors) == ["values", "format", "engine", "store", "backends"]
    assert floors["values"] == Covered(20, 19, 8, 6)
    assert floors["engine"] == Covered(20, 5)
    assert floors["store"] == Covered()
    whole = sum(floors.values(), Covered())
    assert (whole.of_lines(), whole.of_branches()) == (60.0, 75.0)
    assert table(floors)[-1].split() == ["the", "core", "40", "60.0", "%", "8", "75.0", "%"]


def test_what_was_not_met_is_told_once() -> None:
    files = {
        "b.py": _found((9, 4), (6, 3), missing=[3, 4, 5, 9], ways=[[2, 3], [5, 9], [11, 14], [20, -18]]),
        "a.py": _found((1, 1), (0, 0)),
    }
    assert list(missed(files)) == ["b.py: 3-5, 9, 11->14, 20->end"]
