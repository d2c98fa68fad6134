"""A store in memory and one on git, which git checks after the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.store.store import Store
from tests.git import fsck


@pytest.fixture(params=["memory", "git"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of our stores, empty."""
    with Store.in_memory() if request.param == "memory" else Store.open(tmp_path / "store") as opened:
        yield opened
    if request.param == "git":
        fsck(tmp_path / "store")
