"""The verb pin."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Gitstate, revisions
from tests.git import git


def test_a_pin_names_a_checkpoint_for_every_verb(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("pin", "nightly", "good", "~1", "--store", store)
    revision = revisions(store)[-2]
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines()[0] == f"Pinned good of job nightly at {revision[:10]}."
    assert ran.err.splitlines()[1] == f"To take it back: gitstate pin --store {store} --delete nightly good"
    assert json.loads(gitstate("show", "nightly", "--at", "good", "--json", "--store", store).out)["sheets"].keys() == {
        "1"
    }
    assert gitstate("diff", "nightly", "good", "--exit-code", "--store", store).status == 1
    assert gitstate("rollback", "nightly", "good", "--store", store).status == 0
    assert gitstate("fork", "nightly", "other", "--at", "good", "--store", store).status == 0
    assert gitstate("compare", "nightly@good", "other", "--exit-code", "--store", store).status == 0
    assert git(store, "rev-parse", "jobs/nightly/good").strip() == revision


def test_pins_are_listed_and_removed(gitstate: Gitstate, store: Path) -> None:
    assert gitstate("pin", "nightly", "--store", store).err == "Job nightly has no pins.\n"
    assert gitstate("pin", "nightly", "--json", "--store", store).out == "[]\n"
    gitstate("pin", "nightly", "good", "--store", store)
    revision = revisions(store)[-1]
    assert gitstate("pin", "night", "--store", store).out.split() == ["revision", "pin", revision[:10], "good"]
    expected = {"job": "nightly", "pin": "good", "revision": revision}
    assert json.loads(gitstate("pin", "nightly", "--json", "--store", store).out) == [expected]
    ran = gitstate("pin", "nightly", "good", "--delete", "--json", "--store", store)
    assert json.loads(ran.out) == {**expected, "deleted": True}
    assert gitstate("pin", "nightly", "--json", "--store", store).out == "[]\n"


def test_a_dry_run_writes_nothing(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("pin", "nightly", "good", "--dry-run", "--store", store)
    assert (ran.status, ran.err.splitlines()[1]) == (0, "Nothing was written, this was a dry run.")
    assert gitstate("pin", "nightly", "--json", "--store", store).out == "[]\n"
    gitstate("pin", "nightly", "good", "--store", store)
    gitstate("pin", "nightly", "good", "--delete", "--dry-run", "--store", store)
    assert len(json.loads(gitstate("pin", "nightly", "--json", "--store", store).out)) == 1
    assert gitstate("pin", "nightly", "good", "~2", "--dry-run", "--store", store).status == 4


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nightly", "good", "~2"], 4, "'good' of 'nightly' is pinned at"),
        (["nightly", "cafe"], 2, "would be read as a commit id or a time"),
        (["nightly", "a b"], 2, "a pin cannot be named 'a b'"),
        (["nightly", "late", "~9"], 3, "does not go back to '~9'"),
        (["none", "late"], 3, "there is no job 'none'"),
        (["nigh", "late"], 3, "there is no job 'nigh'"),
        (["nightly", "none", "--delete"], 3, "has no pin 'none'"),
        (["nightly", "good", "~1", "--delete"], 2, "by its name alone"),
        (["nightly", "--delete"], 2, "name the pin"),
        (["none"], 3, "there is no job 'none'"),
    ],
)
def test_what_cannot_be_pinned_is_an_error(
    gitstate: Gitstate, store: Path, arguments: list[str], status: int, says: str
) -> None:
    gitstate("pin", "nightly", "good", "--store", store)
    ran = gitstate("pin", *arguments, "--store", store)
    assert (ran.status, ran.out) == (status, "")
    assert says in ran.err
