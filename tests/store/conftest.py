"""A store in memory and one on git, which git checks after the test, and a desk whose folder follows a branch."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.store.store import Store
from tests.git import fsck
from tests.store.desks import FILES, Desk


@pytest.fixture(params=["memory", "git"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of our stores, empty."""
    with Store.in_memory() if request.param == "memory" else Store.open(tmp_path / "store") as opened:
        yield opened
    if request.param == "git":
        fsck(tmp_path / "store")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk, empty; git checks it after the test."""
    desk = Desk(tmp_path / "store")
    yield desk
    desk.engine.close()
    subprocess.run(["git", "fsck", "--strict"], cwd=desk.path, check=True, capture_output=True)


@pytest.fixture
def shown(desk: Desk) -> Desk:
    """A store with a job, which the view shows."""
    desk.save(FILES)
    desk.refresh()
    return desk
