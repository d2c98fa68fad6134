"""The workflows for CI do what they say: their shell lines are run, with what the service would set."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.store.store import Store
from tests.docs.pages import PROJECT
from tests.git import git
from tests.stores import leave_damaged

_FOLDER = PROJECT / "docs/how-to/ci"
_NOWHERE = "0" * 40


def _blocks(name: str) -> Iterator[str]:
    """Yield the literal blocks (``|``) of a YAML file, without their indent."""
    lines = iter((_FOLDER / name).read_text().splitlines())
    for line in lines:
        if line.endswith("|"):
            taken = [line for line in lines if line.strip()]  # in both files the block is the last thing
            indent = len(taken[0]) - len(taken[0].lstrip())
            yield "\n".join(each[indent:] for each in taken)


def _variables(name: str, base: str, head: str, *, merge_request: bool) -> dict[str, str]:
    if name.startswith("github"):
        return {"BASE": base, "HEAD": head}
    found = {"CI_COMMIT_SHA": head, "CI_COMMIT_BEFORE_SHA": base}
    if merge_request:
        found |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_BEFORE_SHA": _NOWHERE}
    return found


@pytest.mark.parametrize("name", ["github-state.yml", "gitlab-state.yml"])
def test_what_a_workflow_runs(name: str, tmp_path: Path, forking: dict[str, str]) -> None:
    with Store.open(tmp_path / "state"):
        pass
    origin = tmp_path / "state"
    git(origin, "commit", "-q", "--allow-empty", "-m", "good")
    (origin / "jobs/a").mkdir(parents=True)
    (origin / "jobs/a/job.json").write_text("oops\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "bad")
    leave_damaged(origin)
    git(tmp_path, "clone", "-q", origin, "clone")
    git(tmp_path / "clone", "checkout", "-q", "--detach")
    good, bad = git(origin, "rev-parse", "HEAD~1", "HEAD").split()
    (script,) = _blocks(name)

    def run(base: str, head: str, *, merge_request: bool = False) -> tuple[int, str]:
        environment = forking | _variables(name, base, head, merge_request=merge_request)
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=tmp_path / "clone",
            env=environment,
            capture_output=True,
            text=True,
        )
        return ran.returncode, ran.stdout + ran.stderr

    for base in (good, _NOWHERE, "1" * 40, ""):
        status, told = run(base, bad)
        assert status == 12 and "jobs/a/job.json at revision" in told, base
    assert run(good, bad, merge_request=True)[0] == 12
    assert run(good, good)[0] == 0
    assert run(_NOWHERE, good)[0] == 0
    git(tmp_path / "clone", "branch", "-qD", "main")
    assert (run(good, bad)[0], run(_NOWHERE, bad)[0]) == (12, 12), "the branch itself need not be there"


@pytest.mark.parametrize("path", sorted(_FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_workflow_installs_no_package_of_another_name(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"pip install (.*)", text) == ['"git+$GITSTATE_SOURCE"']
    assert "\t" not in text and all(len(line) <= 120 for line in text.splitlines())
