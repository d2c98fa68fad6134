"""What the pages share."""

from collections.abc import Iterator

import pytest

from tests.docs.shell import environment
from tests.forked import gitstate_in_front


@pytest.fixture(scope="session")
def forking(hermetic_home: object) -> Iterator[dict[str, str]]:
    """The variables of a page whose commands are forked from one process, see :mod:`tests.forked`."""
    with gitstate_in_front(environment()) as variables:
        yield variables
