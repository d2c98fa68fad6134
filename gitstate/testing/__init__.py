"""What ships for other people's tests: the conformance suite of state backends.

Needs pytest, and pytest-asyncio to run; nothing else of gitstate imports it.
"""

import pytest

pytest.register_assert_rewrite(
    "gitstate.testing.interface_tests",
    "gitstate.testing.mark_tests",
    "gitstate.testing.state_tests",
)

from gitstate.testing.backend_tests import StateBackendTests  # noqa: E402  # pytest must know of the modules before
from gitstate.testing.harness import overrides  # noqa: E402  # the same

__all__ = ["StateBackendTests", "overrides"]
