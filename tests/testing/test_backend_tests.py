"""The conformance suite: an honest backend passes it, and each fault is found by the test that is meant to find it."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gitstate.testing import StateBackendTests, overrides
from tests.testing.reference import ReferenceBackend

ROOT = Path(__file__).parents[2]


class TestReferenceBackend(StateBackendTests):
    """In auto mode, with the one fixture that is required."""

    @pytest.fixture
    def backend(self) -> ReferenceBackend:
        return ReferenceBackend()


FAULTS = {  # each broken backend, and the tests that are meant to find its fault
    "Aliases": [
        "test_a_saved_object_that_changes_later_does_not_change_the_store",
        "test_a_loaded_object_that_changes_does_not_change_the_store",
    ],
    "Sanitises": ["test_every_id_is_a_job_of_its_own"],
    "IgnoresAStatus": ["test_every_status_acts"],
    "LosesAMark": ["test_concurrent_marks_of_one_job_all_survive"],
    "LosesASave": ["test_a_save_and_marks_by_others_all_survive"],
    "HidesDamage": ["test_a_damaged_state_is_an_error_that_names_the_job"],
    "DropsTheUnknown": ["test_fields_that_the_model_does_not_know_survive"],
    "KeepsVanishedSheets": ["test_sheets_that_vanished_are_gone"],
    "TrustsEveryPid": ["test_a_running_job_whose_process_is_dead_here_is_shown_as_paused"],
    "TakesAnyPidForItsOwn": ["test_a_running_job_of_a_living_process_or_another_host_runs"],
    "WorksOnAfterClose": ["test_a_call_after_close_is_a_clear_error", "test_async_with_closes"],
    "RenamesAnArgument": ["test_arguments_have_the_names_order_and_defaults_of_the_contract"],
    "BeginsNowhere": ["test_an_unknown_job_begins_at_the_beginning"],
    "PassesOverFailures": ["test_the_next_sheet", "test_marks_move_the_job_on"],
    "RoundsNumbers": ["test_every_field_comes_back"],
    "ForgetsTheTime": ["test_a_save_sets_the_time_on_the_callers_object"],
    "LosesExecutions": ["test_an_execution_is_recorded_or_its_loss_is_logged", "test_the_history_of_executions"],
    "MarksBeyondTheEnd": ["test_a_mark_out_of_range_is_an_error"],
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of the tests that failed, by backend of ``broken``: run in strict mode, in one process."""
    report = tmp_path_factory.mktemp("broken") / "report.xml"
    module = "tests/testing/broken.py"
    chosen = [f"{module}::Test{fault}::{test}" for fault, tests in FAULTS.items() for test in tests]
    # With a folder of its own: else it would first remove those of the runs before.
    words = ["--noconftest", "--asyncio-mode=strict", "--tb=no", f"--junitxml={report}"]
    words.append(f"--basetemp={report.parent / 'tmp'}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, f"{module}::TestReferenceBackend", *chosen],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    failures: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # our own pytest wrote it
        assert case.find("error") is None, case.get("name")
        of_backend = failures.setdefault(case.get("classname", "").rpartition(".Test")[2], set())
        if case.find("failure") is not None:
            of_backend.add(case.get("name", "").partition("[")[0])
    return failures


def test_the_suite_runs_in_strict_mode_with_nothing_but_the_fixture(failed: dict[str, set[str]]) -> None:
    assert failed["ReferenceBackend"] == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(failed: dict[str, set[str]], fault: str) -> None:
    assert failed[fault] == set(FAULTS[fault])


def test_a_test_of_the_suite_is_not_replaced_unseen() -> None:
    async def silent(*_: object) -> None: ...

    with pytest.raises(TypeError, match=r"TestMine\.test_close_is_idempotent"):
        type("TestMine", (StateBackendTests,), {"test_close_is_idempotent": silent})
    with pytest.raises(TypeError, match=r"TestMine\.test_close_is_idempotent"):
        type("TestMine", (StateBackendTests,), {"test_close_is_idempotent": None})
    mixin = type("Mixin", (), {"test_close_is_idempotent": silent})
    with pytest.raises(TypeError, match=r"TestMine\.test_close_is_idempotent"):
        type("TestMine", (mixin, StateBackendTests), {})


def test_a_test_of_the_suite_is_replaced_for_a_reason() -> None:
    @overrides("our close hands over to another process")
    async def ours(*_: object) -> None: ...

    async def more(*_: object) -> None: ...

    type("TestMine", (StateBackendTests,), {"test_close_is_idempotent": ours, "test_of_my_own": more})
    with pytest.raises(ValueError, match="reason"):
        overrides(" ")
