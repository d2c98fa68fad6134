"""What the README promises is held by tests that there are, and what it says was measured was."""

import ast
import json
import re
from typing import Any

import pytest

from tests.docs import measured
from tests.docs.pages import PROJECT

_README = (PROJECT / "README.md").read_text(encoding="utf-8")
_PROMISES = _README.partition("## What it promises\n")[2].partition("\n## ")[0]
_ROWS = [line for line in _PROMISES.splitlines() if line.startswith("| ")][1:]
_TEST = re.compile(r"\[(?P<name>\w+)\]\((?P<file>tests/[\w/]+\.py)\)")


def test_it_is_short() -> None:
    assert len(_README.splitlines()) <= 210


def test_there_are_promises() -> None:
    assert len(_ROWS) >= 12


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_promise_names_a_test_that_runs_by_default(row: str) -> None:
    found = list(_TEST.finditer(row.split("|")[2]))
    assert found, f"{row} names no test"
    for test in found:
        tree = ast.parse((PROJECT / test["file"]).read_text(encoding="utf-8"))
        named = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == test["name"]
        ]
        assert len(named) == 1, f"{test['file']} has no {test['name']}"
        marks = [ast.unparse(mark) for mark in named[0].decorator_list]
        assert not {"pytest.mark.long", "pytest.mark.skip", "pytest.mark.xfail"}.intersection(marks)


def _result(name: str, ratio: float) -> dict[str, Any]:
    numbers = {"ratio": ratio, "least": ratio, "greatest": ratio}
    said = {"asked": "<= 2", "stretch": None, "verdict": "reached" if ratio <= 2 else "NOT REACHED"}
    return {"machine": {"processors": 2}, "figures": [], "targets": [{"target": name, **numbers, **said, "more": 1}]}


def test_of_several_results_the_last_one_counts() -> None:
    first, second, third = _result("save", 1.0), _result("save", 3.0), _result("load", 2.0)
    kept = json.loads(measured.taken_over([first, second, third]))["runs"]
    assert [(run["targets"][0]["target"], run["targets"][0]["ratio"]) for run in kept] == [("load", 2.0), ("save", 3.0)]
    assert "figures" not in kept[0] and "more" not in kept[0]["targets"][0]


def test_a_part_is_renewed_beside_what_there_is() -> None:
    before = json.loads(measured.taken_over([_result("load", 1.0), _result("save", 1.0)]))
    assert measured.taken_over([before]) == json.dumps(before, indent=1) + "\n"
    kept = json.loads(measured.taken_over([before, _result("load", 3.0)]))["runs"]
    assert [(run["targets"][0]["target"], run["targets"][0]["ratio"]) for run in kept] == [("load", 3.0), ("save", 1.0)]


def test_no_target_is_measured_twice_and_each_verdict_is_what_the_numbers_say() -> None:
    targets = [target for run in measured.runs() for target in run["targets"]]
    assert len({target["target"] for target in targets}) == len(targets)
    for target in targets:
        sign, limit = target["asked"].split()
        ratio = target["ratio"]
        reached = ratio is not None and (ratio <= float(limit) if sign == "<=" else ratio >= float(limit))
        expected = {"reached", "stretch reached"} if reached else {"NOT REACHED", "no number yet"}
        assert target["verdict"] in expected, target["target"]
        assert (target["verdict"] == "no number yet") == (ratio is None)


def test_what_is_not_reached_is_said_on_the_first_page() -> None:
    assert "**not reached**" in measured.page()
    missed = [target["target"] for run in measured.runs() for target in run["targets"] if "NOT" in target["verdict"]]
    assert f"Of {sum(len(run['targets']) for run in measured.runs())} targets {len(missed)} are not reached" in _README
