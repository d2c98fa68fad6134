"""Room for thousands of stores that live for a moment."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.survival.people")

_IN_MEMORY = Path("/dev/shm")  # where a sync takes no time; what counts here is the order of calls


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system in memory, if there is one."""
    if not _IN_MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="gitstate-", dir=_IN_MEMORY))
    yield folder.resolve()
    shutil.rmtree(folder)
